package post

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/postrider/postrider/sdk"
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

// secrets are what an attempt sends that nobody else should read.
type secrets []string

// with returns the secrets and more of them. The array is not shared, since attempts add their tokens.
func (s secrets) with(more ...string) secrets {
	all := append(make(secrets, 0, len(s)+2*len(more)), s...)
	for _, secret := range more {
		if len(secret) < shortestSecret {
			continue
		}
		all = append(all, secret)
		if quoted, err := json.Marshal(secret); err == nil && len(quoted) != len(secret)+2 { // as it stands in an answer that is JSON
			all = append(all, string(quoted[1:len(quoted)-1]))
		}
	}
	slices.SortStableFunc(all, func(a, b string) int { return len(b) - len(a) }) // one may be a part of another
	return all
}

// hide takes the secrets out of what becomes known of an attempt: a receiver may send back what it got.
func (s secrets) hide(o sdk.Outcome) sdk.Outcome {
	if len(s) == 0 {
		return o
	}
	o.Reason, o.Excerpt = s.hideIn(o.Reason), s.hideIn(o.Excerpt)
	if len(o.Excerpt) > 0 {
		o.Excerpt = s.hideCut(o.Excerpt)
	}
	return o
}

func (s secrets) hideIn(text string) string {
	for _, secret := range s {
		text = strings.ReplaceAll(text, secret, hidden)
	}
	return text
}

// hideCut hides a secret of which the end of an excerpt shows the beginning.
func (s secrets) hideCut(text string) string {
	for _, secret := range s {
		for n := min(len(secret), len(text)); n >= shortestSecret; n-- {
			if strings.HasSuffix(text, secret[:n]) {
				return text[:len(text)-n] + hidden
			}
		}
	}
	return text
}
