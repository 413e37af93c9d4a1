package main

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/postrider/postrider/plugins/internal/post"
	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/signature"
)

// signing is how deliveries are signed, as users write it: in the configuration, or in a subscriber's settings, where what is left out is as
// configured.
type signing struct {
	Scheme      scheme      `json:"scheme,omitempty" jsonschema:"standard (Standard Webhooks), magento, github or stripe; left out: standard"`
	HeaderNames headerNames `json:"header_names,omitzero" jsonschema:"other names for header fields, for receivers that were written for another sender"`
}

// headerNames are other names than the scheme's own.
type headerNames struct {
	Signature post.FieldName `json:"signature,omitempty" jsonschema:"of the field with the signature; left out: the scheme's own"`
	ID        post.FieldName `json:"id,omitempty" jsonschema:"of a field that repeats webhook-id"`
	Timestamp post.FieldName `json:"timestamp,omitempty" jsonschema:"of a field that repeats webhook-timestamp"`
}

// scheme is the name of a [signature.Scheme].
type scheme string

// JSONSchema takes the names that there are.
func (scheme) JSONSchema() json.RawMessage {
	return json.RawMessage(`{"type": "string", "pattern": "^(standard|magento|github|stripe)$", "description": "standard, magento, github or stripe"}`)
}

// signer signs messages.
type signer struct {
	scheme    signature.Scheme
	signature string // the names of its fields, in canonical form
	id        string // "": it isn't repeated
	timestamp string // "": it isn't repeated
}

// standard signs as Standard Webhooks says.
var standard = &signer{scheme: signature.Standard, signature: signature.Standard.Names().Signature}

// signer returns what signs as s says, and where it says nothing, as base does. The name of the signature's field goes with the scheme: whoever changes
// the scheme gets the scheme's own.
func (s signing) signer(base *signer) (*signer, error) {
	made := *base
	if s.Scheme != "" {
		made.scheme = signature.Scheme(s.Scheme)
		if err := made.scheme.Check(); err != nil {
			return nil, fmt.Errorf("scheme: %w", err)
		}
		made.signature = made.scheme.Names().Signature
	}
	for _, field := range []struct {
		key  string
		name post.FieldName
		set  *string
	}{
		{"signature", s.HeaderNames.Signature, &made.signature},
		{"id", s.HeaderNames.ID, &made.id},
		{"timestamp", s.HeaderNames.Timestamp, &made.timestamp},
	} {
		if field.name == "" {
			continue
		}
		name, err := field.name.Canonical()
		if err != nil {
			return nil, fmt.Errorf("header_names.%s: %w", field.key, err)
		}
		*field.set = name
	}
	if made.signature == made.id || made.signature == made.timestamp || made.id != "" && made.id == made.timestamp {
		return nil, fmt.Errorf("header_names: two of signature, id and timestamp have the same name")
	}
	return &made, nil
}

// leaves refuses headers that have a field of the signature's.
func (s *signer) leaves(headers post.Headers) error {
	for _, name := range []string{s.signature, s.id, s.timestamp} {
		if headers.Has(name) {
			return fmt.Errorf("headers: %s is a field of the signature: leave it out", name)
		}
	}
	return nil
}

// sign adds the fields of the signature: by the subscriber's token, and by those before it that are still valid. An error is about the token.
func (s *signer) sign(m *post.Message, d sdk.Delivery) error {
	keys, err := s.keys(d)
	if err != nil {
		return err
	}
	value, err := s.scheme.Sign(signature.Message{ID: m.ID, Time: m.Time, Body: m.Body}, keys...)
	if err != nil {
		return fmt.Errorf("sign for subscriber %d: %w", d.Subscriber, err)
	}
	m.Header = append(m.Header, post.Field{Name: s.signature, Value: value})
	if s.id != "" {
		m.Header = append(m.Header, post.Field{Name: s.id, Value: m.ID})
	}
	if s.timestamp != "" {
		m.Header = append(m.Header, post.Field{Name: s.timestamp, Value: strconv.FormatInt(m.Time.Unix(), 10)})
	}
	return nil
}

// keys reads the tokens for the scheme, the current one first. One of those before that the scheme can't use could not have verified anything.
func (s *signer) keys(d sdk.Delivery) ([]signature.Key, error) {
	if d.Token == "" {
		return nil, fmt.Errorf("subscriber %d has no verification token, and the signature needs one: postrider subscriber rotate-secret %d", d.Subscriber, d.Subscriber)
	}
	current, err := s.scheme.Key(d.Token)
	if err != nil {
		return nil, fmt.Errorf("the verification token of subscriber %d can't be used to sign: %w; postrider subscriber rotate-secret %d gives it another",
			d.Subscriber, err, d.Subscriber)
	}
	keys := []signature.Key{current}
	for _, token := range d.EarlierTokens {
		if key, err := s.scheme.Key(token); err == nil {
			keys = append(keys, key)
		}
	}
	return keys, nil
}
