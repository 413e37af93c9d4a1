package retry

import (
	"slices"
	"time"
)

// Delays returns the different delays of the budget, ascending, for a queue that keeps a place for each; none where jitter draws them anew each time.
func (s Schedule) Delays() []time.Duration {
	if s.jitter > 0 {
		return nil
	}
	delays := make([]time.Duration, s.retries)
	for i := range delays {
		delays[i] = s.delay(i + 1)
	}
	slices.Sort(delays)
	return slices.Compact(delays)
}
