package core

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestATokenThatIsReplacedStaysValidForTheOverlapAndNoOtherLonger(t *testing.T) {
	start := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	s := Subscriber{Token: "a"}
	replace := func(token string, overlap time.Duration, after time.Duration, want ...string) {
		t.Helper()
		if err := s.ReplaceToken(token, overlap, start.Add(after)); err != nil {
			t.Fatal(err)
		}
		if got := s.EarlierTokens(start.Add(after)); s.Token != token || !reflect.DeepEqual(got, want) {
			t.Errorf("got %q with %q before it, want %q with %q", s.Token, got, token, want)
		}
	}
	replace("b", 24*time.Hour, 0, "a")
	if got := s.EarlierTokens(start.Add(24*time.Hour - 1)); len(got) != 1 {
		t.Errorf("just before the overlap ends: got %q, want a", got)
	}
	if got := s.EarlierTokens(start.Add(24 * time.Hour)); got != nil {
		t.Errorf("when the overlap ends: got %q, want none", got)
	}
	replace("c", 48*time.Hour, time.Hour, "b", "a")
	if got := s.EarlierTokens(start.Add(24 * time.Hour)); !reflect.DeepEqual(got, []string{"b"}) {
		t.Errorf("a day later: got %q, want b alone: a later rotation must not prolong an earlier one", got)
	}
	replace("d", time.Minute, 2*time.Hour, "c", "b", "a")
	if got := s.EarlierTokens(start.Add(2*time.Hour + time.Minute)); got != nil {
		t.Errorf("after a short overlap: got %q, want none: it shortens those before", got)
	}
	replace("e", 0, 2*time.Hour)
	replace("f", time.Hour, 3*time.Hour, "e")
	replace("e", time.Hour, 3*time.Hour, "f") // taken back: what is valid now is no earlier token
}

func TestATokenThatMakesNoSenseIsRefused(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		token   string
		overlap time.Duration
		want    string
	}{
		{"", 0, "empty"},
		{"a", time.Hour, "has already"},
		{"b", -1, "from 0s"},
		{"b", MaxTokenOverlap + 1, "from 0s"},
	} {
		s := Subscriber{Token: "a"}
		if err := s.ReplaceToken(test.token, test.overlap, now); !IsInvalid(err) || !strings.Contains(err.Error(), test.want) || s.Token != "a" {
			t.Errorf("%q for %v: got %v, want it refused with %q", test.token, test.overlap, err, test.want)
		}
	}
	s := Subscriber{Token: "0"}
	var err error
	for i := 1; err == nil && i < 10; i++ {
		err = s.ReplaceToken(strings.Repeat("x", i), time.Hour, now)
	}
	if !IsInvalid(err) || len(s.Earlier) != MaxEarlierTokens || strings.Contains(err.Error(), "xx") {
		t.Errorf("got %d earlier tokens and %v, want %d and an error without tokens", len(s.Earlier), err, MaxEarlierTokens)
	}
	if err := s.ReplaceToken("last", 0, now); err != nil || s.Earlier != nil {
		t.Errorf("without an overlap: got %v and %d earlier tokens, want none", err, len(s.Earlier))
	}
	var fresh Subscriber
	if err := fresh.ReplaceToken("first", time.Hour, now); err != nil || fresh.Earlier != nil {
		t.Errorf("a first token: got %v and %d earlier tokens, want none", err, len(fresh.Earlier))
	}
}
