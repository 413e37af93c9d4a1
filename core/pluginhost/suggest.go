package pluginhost

import (
	"strings"

	"github.com/postrider/postrider/core/spelling"
)

// suggestion completes a sentence about a name that nobody knows: with what the writer may have meant, else with all there is.
func suggestion(wrong string, known []string) string {
	if meant := spelling.DidYouMean(wrong, known); meant != "" {
		return meant
	}
	if len(known) == 0 {
		return "; there is none at all"
	}
	return "; there is " + strings.Join(known, ", ")
}
