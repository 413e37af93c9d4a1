package post

import (
	"strings"
	"testing"
	"time"
)

// FuzzRetryAfter reads any field: what it asks for is 0 to an hour, and digits that ask for more get the hour.
func FuzzRetryAfter(f *testing.F) {
	f.Fuzz(func(t *testing.T, value string, now int64) {
		got := retryAfter(value, time.Unix(now, 0))
		if got < 0 || got > time.Hour {
			t.Errorf("%q at %d: got %v", value, now, got)
		}
		isNumber := value != "" && strings.Trim(value, "0123456789") == ""
		if isNumber && len(strings.TrimLeft(value, "0")) > 4 && got != time.Hour {
			t.Errorf("%q: got %v, want an hour", value, got)
		}
	})
}
