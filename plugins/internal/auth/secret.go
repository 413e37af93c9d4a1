package auth

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// Secret is a setting that is taken and never shown: its schema says writeOnly, so that the daemon's API leaves it out of its answers.
type Secret string

// JSONSchema says so.
func (Secret) JSONSchema() json.RawMessage {
	return json.RawMessage(`{"type": "string", "writeOnly": true}`)
}

// hidden stands where a secret was.
const hidden = "[secret]"

// shortestSecret is how long a secret must be, in bytes, to be looked for: shorter ones are found in ordinary words.
const shortestSecret = 6

// Secrets are what a request sends that nobody else should read.
type Secrets []string

// With returns the secrets and more of them. The array is not shared, since requests add their tokens.
func (s Secrets) With(more ...string) Secrets {
	all := append(make(Secrets, 0, len(s)+4*len(more)), s...)
	for _, secret := range more {
		if len(secret) < shortestSecret {
			continue
		}
		all = append(all, secret)
		for _, form := range formsOf(secret) {
			if form != secret {
				all = append(all, form)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b string) int { return len(b) - len(a) }) // one may be a part of another
	return all
}

// formsOf returns a secret as it stands in JSON, and in a URL's path and query.
func formsOf(secret string) []string {
	forms := []string{url.PathEscape(secret), url.QueryEscape(secret)}
	if quoted, err := json.Marshal(secret); err == nil {
		forms = append(forms, string(quoted[1:len(quoted)-1]))
	}
	return forms
}

// Hide returns text without the secrets that somebody sent back in it.
func (s Secrets) Hide(text string) string {
	for _, secret := range s {
		text = strings.ReplaceAll(text, secret, hidden)
	}
	return text
}

// HideCut is Hide for the beginning of a text, whose end may show the beginning of a secret.
func (s Secrets) HideCut(text string) string {
	text = s.Hide(text)
	for _, secret := range s {
		for n := min(len(secret), len(text)); n >= shortestSecret; n-- {
			if strings.HasSuffix(text, secret[:n]) {
				return text[:len(text)-n] + hidden
			}
		}
	}
	return text
}
