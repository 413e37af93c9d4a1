package spelling_test

import (
	"testing"

	"github.com/postrider/postrider/core/spelling"
)

func TestATypoIsAnsweredWithTheNearestCandidate(t *testing.T) {
	candidates := []string{"listen", "data_dir", "plugin_dir", "plugins", "log"}
	for _, test := range []struct{ word, want string }{
		{"lisen", ` (did you mean "listen"?)`},
		{"lsiten", ` (did you mean "listen"?)`},
		{"Listen", ` (did you mean "listen"?)`},
		{"plugin", ` (did you mean "plugins"?)`},
		{"datadir", ` (did you mean "data_dir"?)`},
		{"lag", ` (did you mean "log"?)`},
		{"", ""},
		{"colour", ""},
		{"x", ""},
	} {
		if got := spelling.DidYouMean(test.word, candidates); got != test.want {
			t.Errorf("%q: got %q, want %q", test.word, got, test.want)
		}
	}
}
