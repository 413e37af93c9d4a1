package signature

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
)

// What tokens begin with, as Standard Webhooks has it. Before these, a token is the bytes of the secret itself; after them, base64.
const (
	secretPrefix  = "whsec_" // an HMAC secret
	privatePrefix = "whsk_"  // an ed25519 key, as its seed (32 bytes) or with its public half (64)
	publicPrefix  = "whpk_"  // the public half of one: it verifies, but can't sign
)

// secretSize is that of a new secret, in bytes. Standard Webhooks asks for 24 to 64.
const secretSize = 32

// Key is a token, read for one scheme. Printing it shows nothing of it.
type Key struct {
	token   string
	secrets [][]byte // for HMAC; each signs
	private ed25519.PrivateKey
	public  ed25519.PublicKey
}

// Key reads a token: after whsec_ it is a secret in base64, after whsk_ and whpk_ an ed25519 key; anything else is a secret as it stands.
//
// Stripe's own libraries take a whsec_ secret as text, prefix and all. So with that scheme it is both, the text and, if it is base64, what that
// stands for, and signs twice.
func (s Scheme) Key(token string) (Key, error) {
	if err := s.Check(); err != nil {
		return Key{}, err
	}
	if token == "" {
		return Key{}, errors.New("the token is empty")
	}
	key := Key{token: token}
	rest, isSecret := strings.CutPrefix(token, secretPrefix)
	switch {
	case strings.HasPrefix(token, privatePrefix), strings.HasPrefix(token, publicPrefix):
		if err := key.readEd25519(s); err != nil {
			return Key{}, err
		}
		return key, nil
	case !isSecret:
		key.secrets = [][]byte{[]byte(token)}
		return key, nil
	}
	secret, err := base64.StdEncoding.DecodeString(rest)
	switch {
	case s == Stripe && (err != nil || len(secret) == 0):
		key.secrets = [][]byte{[]byte(token)}
	case err != nil:
		return Key{}, fmt.Errorf("the token begins with %s, but what follows is not base64", secretPrefix)
	case len(secret) == 0:
		return Key{}, fmt.Errorf("the token is %s and nothing more", secretPrefix)
	case s == Stripe:
		key.secrets = [][]byte{[]byte(token), secret}
	default:
		key.secrets = [][]byte{secret}
	}
	return key, nil
}

func (k *Key) readEd25519(s Scheme) error {
	prefix := k.token[:strings.IndexByte(k.token, '_')+1]
	if s != Standard {
		return fmt.Errorf("the token is an ed25519 key (%s), which the scheme %s doesn't know: use the scheme standard, or a secret", prefix, s)
	}
	raw, err := base64.StdEncoding.DecodeString(k.token[len(prefix):])
	if err != nil {
		return fmt.Errorf("the token begins with %s, but what follows is not base64", prefix)
	}
	switch {
	case prefix == publicPrefix && len(raw) == ed25519.PublicKeySize:
		k.public = raw
		return nil
	case prefix == privatePrefix && (len(raw) == ed25519.SeedSize || len(raw) == ed25519.PrivateKeySize):
		k.private = ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize])
		k.public = k.private.Public().(ed25519.PublicKey)
		if len(raw) == ed25519.PrivateKeySize && !bytes.Equal(raw, k.private) {
			return fmt.Errorf("the token begins with %s, but its public half doesn't belong to its private one", prefix)
		}
		return nil
	case prefix == publicPrefix:
		return fmt.Errorf("the token begins with %s, but holds %d bytes: a public ed25519 key has 32", prefix, len(raw))
	}
	return fmt.Errorf("the token begins with %s, but holds %d bytes: an ed25519 key has 32, or 64 with its public half", prefix, len(raw))
}

// signs reports whether the key can make signatures: a public one can't.
func (k Key) signs() bool { return k.secrets != nil || k.private != nil }

// Public returns what a receiver verifies with: whpk_ and the public half of an ed25519 key. It is "" for a secret, which both ends share.
func (k Key) Public() string {
	if k.public == nil {
		return ""
	}
	return publicPrefix + base64.StdEncoding.EncodeToString(k.public)
}

// Format keeps the key out of whatever prints it, by any verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "signature.Key") }

// NewSecret returns a new token for HMAC-SHA256: whsec_ and 32 random bytes.
func NewSecret() string {
	var secret [secretSize]byte
	_, _ = rand.Read(secret[:]) // never fails: see its documentation
	return secretPrefix + base64.StdEncoding.EncodeToString(secret[:])
}

// NewEd25519 returns a new token for ed25519: whsk_ and a private key with its public half.
func NewEd25519() string {
	var seed [ed25519.SeedSize]byte
	_, _ = rand.Read(seed[:]) // never fails: see its documentation
	return privatePrefix + base64.StdEncoding.EncodeToString(ed25519.NewKeyFromSeed(seed[:]))
}
