package post

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// reserved are the header fields that are not for users to set: those of one connection (RFC 9110, 7.6.1), those that say where a body ends and how it
// is coded, and that which would have the receiver answer twice.
var reserved = []string{
	"Connection", "Content-Encoding", "Content-Length", "Expect", "Host", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
	"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// namesOfDeliveries begins the fields that name a delivery; receivers rely on them.
const namesOfDeliveries = "Webhook-"

// fieldNamePattern takes what RFC 9110, 5.6.2 calls a token.
const fieldNamePattern = "^[-A-Za-z0-9!#$%&'*+.^_`|~]+$"

// FieldName is the name of a header field that a user chose.
type FieldName string

// JSONSchema takes what [FieldName.Canonical] takes.
func (FieldName) JSONSchema() json.RawMessage {
	return json.RawMessage(`{"type": "string", "pattern": "` + fieldNamePattern + `",
		"description": "the name of a header field, as \"X-Shop-Signature\""}`)
}

// Canonical returns the name as [Field] wants it. It refuses what is no name, and what is not for users to set.
func (n FieldName) Canonical() (string, error) {
	name := http.CanonicalHeaderKey(string(n))
	switch {
	case !httpguts.ValidHeaderFieldName(string(n)):
		return "", fmt.Errorf("%q is no name of a header field", string(n))
	case slices.Contains(reserved, name):
		return "", fmt.Errorf("%s is not for users to set: the connection needs it", name)
	case strings.HasPrefix(name, namesOfDeliveries):
		return "", fmt.Errorf("%s is not for users to set: %s… names the delivery", name, strings.ToLower(namesOfDeliveries))
	}
	return name, nil
}
