package pluginhost

import (
	"fmt"
	"testing"
)

func TestOnlySoManySuspectsAreRemembered(t *testing.T) {
	var s suspects
	for i := range maxSuspects + 1 {
		s.watch(fmt.Sprint(i))
		s.watch(fmt.Sprint(i))
	}
	if s.custody("0") != free || s.custody("1") != watched || s.custody(fmt.Sprint(maxSuspects)) != watched {
		t.Error("the oldest, and that one alone, should be forgotten")
	}
	if s.confine("0"); s.convict("0") || s.custody("0") != free {
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
	s.watch("a")
	s.confine("a")
	for i, want := range []bool{false, false, true, false, false, true} { // a replay has three again
		if got := s.convict("a"); got != want {
			t.Errorf("crash %d: got %t, want %t", i+1, got, want)
		}
		if got := s.custody("a"); got != confined {
			t.Errorf("crash %d: got custody %d, want it confined", i+1, got)
		}
	}
}
