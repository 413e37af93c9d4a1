package signature

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strconv"
	"time"
)

// Message is what is signed.
type Message struct {
	ID   string    // of the delivery: webhook-id
	Time time.Time // of the attempt, in whole seconds: webhook-timestamp
	Body []byte
}

// Sign returns the value of the signature's header field. Keys are the current one and those before it that are still valid, newest first; what
// becomes of more than one, [Scheme.Several] says.
func (s Scheme) Sign(m Message, keys ...Key) (string, error) {
	if len(keys) == 0 {
		return "", errors.New("there is no key to sign with")
	}
	if !s.Several() {
		keys = keys[len(keys)-1:]
	}
	stamp := strconv.FormatInt(m.Time.Unix(), 10)
	var value []byte
	if s == Stripe {
		value = append(append(value, "t="...), stamp...)
	}
	for i, key := range keys {
		if !key.signs() {
			return "", errors.New("the token is a public key (whpk_): it verifies, but can't sign; the private one begins with whsk_")
		}
		if s == Standard && i > 0 {
			value = append(value, ' ')
		}
		value = s.append(value, key, content{m.ID, stamp, m.Body})
	}
	return string(value), nil
}

// content is what one signature is about, as it is written in the header.
type content struct {
	id, stamp string
	body      []byte
}

// append writes the signature by one key.
func (s Scheme) append(value []byte, key Key, c content) []byte {
	if key.private != nil {
		return base64.StdEncoding.AppendEncode(append(value, "v1a,"...), ed25519.Sign(key.private, s.signed(c)))
	}
	for _, secret := range key.secrets {
		mac := s.mac(secret, c)
		switch s {
		case Standard:
			value = base64.StdEncoding.AppendEncode(append(value, "v1,"...), mac)
		case Magento:
			value = hex.AppendEncode(value, mac)
		case GitHub:
			value = hex.AppendEncode(append(value, "sha256="...), mac)
		case Stripe:
			value = hex.AppendEncode(append(value, ",v1="...), mac)
		}
	}
	return value
}

// prefix is what the scheme signs before the body.
func (s Scheme) prefix(c content) string {
	switch s {
	case Standard:
		return c.id + "." + c.stamp + "."
	case Stripe:
		return c.stamp + "."
	}
	return ""
}

// signed returns all that the scheme signs.
func (s Scheme) signed(c content) []byte { return append([]byte(s.prefix(c)), c.body...) }

// mac hashes the same without joining it: bodies may be large.
func (s Scheme) mac(secret []byte, c content) []byte {
	hash := hmac.New(sha256.New, secret)
	hash.Write([]byte(s.prefix(c)))
	hash.Write(c.body)
	return hash.Sum(make([]byte, 0, sha256.Size))
}
