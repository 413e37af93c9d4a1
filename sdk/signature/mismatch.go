package signature

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// Cause is the kind of reason for which something is not verified.
type Cause string

// The causes.
const (
	Header Cause = "header" // a field is missing, or not of its form
	Clock  Cause = "clock"  // the signature is right, but its time is not now
	Form   Cause = "form"   // the secret is right, but meant in another form: as base64, or as it stands
	Body   Cause = "body"   // the body was changed on its way, in a way that could be found out
	Wrong  Cause = "wrong"  // the secret is another one, or the body was changed: a signature can't tell which
)

// Mismatch is the error of what is not verified.
type Mismatch struct {
	Cause Cause
	What  string // a sentence: what is wrong, and what to do
}

// Error returns the sentence.
func (m *Mismatch) Error() string { return m.What }

// missing says which field is missing, and what there is in its place.
func (s Scheme) missing(header http.Header, name string) *Mismatch {
	what := fmt.Sprintf("there is no %s", shown(name))
	for _, other := range Schemes() {
		if field := other.Names().Signature; other != s && header.Get(field) != "" {
			return &Mismatch{Header, fmt.Sprintf("%s, but a %s: verify it by the scheme %s", what, shown(field), other)}
		}
	}
	return &Mismatch{Header, what + ": was it sent by a notifier that signs, such as http-signed, with this scheme and these names?"}
}

// diagnose finds out why no signature is by one of the keys, as far as that can be known.
func (v Verifier) diagnose(found signatures, c content) *Mismatch {
	var secrets, public bool
	for _, key := range v.Keys {
		secrets, public = secrets || key.secrets != nil, public || key.public != nil
	}
	switch {
	case len(found.hmac) == 0 && !public:
		return &Mismatch{Form, "it is signed with ed25519 (v1a), which takes the sender's public key to verify: a token that begins with whpk_"}
	case len(found.ed25519) == 0 && !secrets:
		return &Mismatch{Form, "it is signed with HMAC-SHA256 (v1), which takes the shared secret to verify, and not an ed25519 key"}
	}
	for _, before := range bodiesBefore(c.body) {
		if v.Scheme.match(v.Keys, found, content{c.id, c.stamp, before.body}) {
			return &Mismatch{Body, fmt.Sprintf("the body was changed on its way: the signature is right for it %s; verify the bytes that came, before anything reads"+
				" or rewrites them", before.how)}
		}
	}
	for _, key := range v.Keys {
		for _, meant := range otherForms(key.token) {
			if v.Scheme.match([]Key{{secrets: [][]byte{meant.secret}}}, found, c) {
				return &Mismatch{Form, "the secret is right, but it was signed with it " + meant.how}
			}
		}
	}
	signed := "the body"
	if v.Scheme == Standard {
		signed = "the body, or its id or timestamp,"
	}
	return &Mismatch{Wrong, fmt.Sprintf("it is signed by nobody who has this secret: either the secret is another than the subscriber's verification token,"+
		" or %s was changed on its way (%d bytes came)", signed, len(c.body))}
}

// variant is what a body may have been before something on its way changed it.
type variant struct {
	body []byte
	how  string
}

// bodiesBefore undoes what proxies and frameworks do to bodies.
func bodiesBefore(body []byte) []variant {
	variants := []variant{
		{bytes.TrimSpace(body), "without the white space around it"},
		{append(bytes.Clone(body), '\n'), "with a line end after it"},
		{bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n")), "with line ends of \\n in place of \\r\\n"},
	}
	var compact bytes.Buffer
	if json.Compact(&compact, body) == nil {
		variants = append(variants, variant{compact.Bytes(), "as JSON without white space"})
		plain := strings.NewReplacer(`\/`, `/`, `\u003c`, `<`, `\u003e`, `>`, `\u0026`, `&`).Replace(compact.String())
		variants = append(variants, variant{[]byte(plain), "as JSON without needless escapes"})
	}
	return variants
}

// form is another way in which a token may be meant.
type form struct {
	secret []byte
	how    string
}

func otherForms(token string) []form {
	var forms []form
	if trimmed := strings.TrimSpace(token); trimmed != token {
		forms = append(forms, form{[]byte(trimmed), "without the white space around it"})
	}
	rest, prefixed := strings.CutPrefix(token, secretPrefix)
	if prefixed {
		forms = append(forms, form{[]byte(token), "as text, whsec_ and all"}, form{[]byte(rest), "as text, what follows whsec_"})
	}
	if raw, err := base64.StdEncoding.DecodeString(rest); err == nil && !prefixed {
		forms = append(forms, form{raw, "as base64: write whsec_ before it"})
	}
	return forms
}
