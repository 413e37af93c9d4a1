package pluginhost

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestLatenciesAreToldWithinAnEighth(t *testing.T) {
	for took := time.Microsecond; took < time.Hour; took += took/7 + 1 {
		if got := upTo(bucketOf(took)); got < took.Truncate(time.Microsecond) || float64(got) > float64(took)*1.13+2000 {
			t.Errorf("%v is told as %v", took, got)
		}
	}
}

func TestLatenciesAreThoseOfTheLastMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m meter
		for i := range 1000 {
			took := time.Millisecond
			if i%50 == 0 {
				took = time.Second
			}
			m.count(took, i%100 == 0)
		}
		half, most := m.latencies()
		if half < time.Millisecond || half > 1200*time.Microsecond || most < time.Second || most > 1200*time.Millisecond {
			t.Errorf("got %v and %v, want about 1 ms and 1 s", half, most)
		}
		time.Sleep(2*windowLength + 1)
		if half, most := m.latencies(); half != 0 || most != 0 {
			t.Errorf("two minutes later: got %v and %v, want none", half, most)
		}
		if m.requests.Load() != 1000 || m.errors.Load() != 10 {
			t.Errorf("got %d requests and %d errors, want 1000 and 10", m.requests.Load(), m.errors.Load())
		}
	})
}
