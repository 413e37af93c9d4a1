package post

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestRetryAfterIsSecondsOrADateAndAtMostAnHour(t *testing.T) {
	now := time.Date(2026, 1, 31, 9, 30, 0, 0, time.UTC)
	tests := map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"120":                           2 * time.Minute,
		"3601":                          time.Hour,
		"4294967295":                    time.Hour,
		"99999999999999999999":          time.Hour,
		"-5":                            0,
		"soon":                          0,
		"1.5":                           0,
		"Sat, 31 Jan 2026 09:31:30 GMT": 90 * time.Second,
		"Sat, 31 Jan 2026 09:00:00 GMT": 0,
		"Sun, 01 Feb 2026 09:30:00 GMT": time.Hour,
	}
	for value, want := range tests {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: got %v, want %v", value, got, want)
		}
	}
}

func TestAnExcerptIsTextThatNoTerminalObeys(t *testing.T) {
	tests := map[string]string{
		"plain":                   "plain",
		"grün\nund\trot":          "grün\nund\trot",
		"\x1b[2Jbell\a\r\x00\x7f": " [2Jbell    ",
		"cut \xe2\x82":            "cut \uFFFD",
		"\x1f\x8b\xff\xfe":        " \uFFFD",
		"c1 \u0085":               "c1  ",
	}
	for raw, want := range tests {
		if got := clean([]byte(raw)); got != want {
			t.Errorf("%q: got %q, want %q", raw, got, want)
		}
	}
}

func TestABadPatternOfARuleIsNamed(t *testing.T) {
	for _, pattern := range []StatusPattern{"", "5", "5xy", "xx", "6xx", "0xx", "099", "600", "2XX", "20 ", "+20", "410", "banana"} {
		_, err := Success{Retry: []StatusPattern{"503", pattern}}.Rule()
		if err == nil || !strings.HasPrefix(err.Error(), "retry[1]: ") {
			t.Errorf("retry %q: got %v", pattern, err)
		}
		_, err = Success{Delivered: []StatusPattern{pattern}}.Rule()
		if err == nil || !strings.HasPrefix(err.Error(), "delivered[0]: ") {
			t.Errorf("delivered %q: got %v", pattern, err)
		}
	}
}

func TestTheSchemaOfAPatternTakesWhatTheRuleTakes(t *testing.T) {
	var schema struct{ Pattern string }
	if err := json.Unmarshal(StatusPattern("").JSONSchema(), &schema); err != nil {
		t.Fatal(err)
	}
	pattern := regexp.MustCompile(schema.Pattern)
	candidates := []StatusPattern{"", "5", "5xy", "xx", "0xx", "1xx", "4xx", "5xx", "6xx", "099", "2XX", "20 ", " 20", "+20", "2000", "4100", "200\n"}
	for status := range 1000 {
		candidates = append(candidates, StatusPattern(fmt.Sprintf("%03d", status)))
	}
	for _, candidate := range candidates {
		_, err := Success{Retry: []StatusPattern{candidate}}.Rule()
		if fits := pattern.MatchString(string(candidate)); fits != (err == nil) {
			t.Errorf("%q: fits the schema: %v, but the rule says %v", candidate, fits, err)
		}
	}
}
