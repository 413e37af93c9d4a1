package signature

import (
	"fmt"
	"net/http"
	"strings"
)

// Scheme says what is signed, and how a signature is written.
type Scheme string

// The schemes. Each signs with HMAC-SHA256; Standard with ed25519 too, where the token is such a key.
const (
	Standard Scheme = "standard" // id.timestamp.body, as "v1,<base64>" or "v1a,<base64>"; several are separated by spaces
	Magento  Scheme = "magento"  // body, in lower-case hexadecimal digits
	GitHub   Scheme = "github"   // body, as "sha256=<hexadecimal>"
	Stripe   Scheme = "stripe"   // timestamp.body, as "t=<seconds>,v1=<hexadecimal>"; several v1
)

// Schemes returns all of them.
func Schemes() []Scheme { return []Scheme{Standard, Magento, GitHub, Stripe} }

// Check refuses a scheme that doesn't exist.
func (s Scheme) Check() error {
	switch s {
	case Standard, Magento, GitHub, Stripe:
		return nil
	}
	return fmt.Errorf("no scheme is called %q: it is standard, magento, github or stripe", string(s))
}

// Names are the names of header fields, in any case. An empty one is the scheme's own.
type Names struct {
	Signature string
	ID        string // what Standard signs as the id
	Timestamp string // what Standard signs as the timestamp
}

// Names returns the scheme's own names, in canonical form.
func (s Scheme) Names() Names {
	names := Names{Signature: "Webhook-Signature", ID: "Webhook-Id", Timestamp: "Webhook-Timestamp"}
	switch s {
	case Magento:
		names.Signature = "X-Magento-Signature"
	case GitHub:
		names.Signature = "X-Hub-Signature-256"
	case Stripe:
		names.Signature = "Stripe-Signature"
	}
	return names
}

// or fills in what n leaves out, and puts all into canonical form.
func (n Names) or(other Names) Names {
	return Names{
		Signature: canonical(n.Signature, other.Signature), ID: canonical(n.ID, other.ID), Timestamp: canonical(n.Timestamp, other.Timestamp),
	}
}

func canonical(name, other string) string {
	if name == "" {
		return other
	}
	return http.CanonicalHeaderKey(name)
}

// Several reports whether a signature of this scheme can be by several keys. One that can't is by the oldest key that is still valid, so that
// a receiver that was given a new one has time, until the old one ends, to take both.
func (s Scheme) Several() bool { return s == Standard || s == Stripe }

// shown is a field's name as people write it.
func shown(name string) string { return strings.ToLower(name) }
