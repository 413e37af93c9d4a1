package pluginhost

import (
	"fmt"
	"testing"
)

func TestOnlySoManySuspectsAreRemembered(t *testing.T) {
	var s suspects
	for i := range maxSuspects + 1 {
		s.add(fmt.Sprint(i))
		s.add(fmt.Sprint(i))
	}
	if s.has("0") || !s.has("1") || !s.has(fmt.Sprint(maxSuspects)) {
		t.Error("the oldest, and that one alone, should be forgotten")
	}
	if s.convict("0") || s.has("0") {
		t.Error("one that is forgotten can't be convicted")
	}
	for i := range maxSuspects + 1 {
		s.clear(fmt.Sprint(i))
	}
	if s.count.Load() != 0 || len(s.order) != 0 {
		t.Errorf("got %d suspects, %d in order, want none", s.count.Load(), len(s.order))
	}
}

func TestTheThirdCrashWhileAloneConvicts(t *testing.T) {
	var s suspects
	s.add("a")
	for i, want := range []bool{false, false, true, false, false, true} { // a replay has three again
		if got := s.convict("a"); got != want {
			t.Errorf("crash %d: got %t, want %t", i+1, got, want)
		}
		if !s.has("a") {
			t.Errorf("crash %d: no suspect any more", i+1)
		}
	}
}
