package pluginhost

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/postrider/postrider/core"
)

// hidden stands where a secret was.
const hidden = core.Hidden

// shortestSecret is how long a secret must be, in bytes, to be looked for: shorter ones are found in ordinary words.
const shortestSecret = 6

// newHide returns what replaces secrets in text that came from a plugin: also as they stand in JSON, and the longest first.
func newHide(secrets []string) func(string) string {
	var forms []string
	for _, secret := range secrets {
		if len(secret) < shortestSecret {
			continue
		}
		forms = append(forms, secret)
		if quoted, err := json.Marshal(secret); err == nil {
			forms = append(forms, string(quoted[1:len(quoted)-1]))
		}
	}
	if len(forms) == 0 {
		return func(text string) string { return text }
	}
	slices.SortFunc(forms, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	var pairs []string
	for _, form := range slices.Compact(forms) {
		pairs = append(pairs, form, hidden)
	}
	return strings.NewReplacer(pairs...).Replace
}
