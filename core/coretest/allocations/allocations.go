// Package allocations guards how many allocations one event costs at each seam of the hot path. Counts, unlike times, are the same on every machine, so that
// a change that adds one is found by the tests and not by a profile years later.
//
// The budgets are the table in budgets.go; a test of each seam measures it with [Guard]. The race detector allocates for itself, so the guards
// run without it: `make allocations`, which `make test` includes.
package allocations

import (
	"runtime"
	"testing"
)

const (
	events = 4000 // of one measurement: enough that what a pool or a map allocates now and then vanishes
	tries  = 3
)

// Guard fails t when the seam allocates more than its budget for each event. Run works through n events at that seam, in this process; what it
// prepares for that counts too. The least of some measurements counts, since whatever else goes on can only add to it.
func Guard(t *testing.T, seam string, run func(n int)) {
	t.Helper()
	budget, ok := budgets()[seam]
	if !ok {
		t.Fatalf("seam %q has no budget: give it one in core/coretest/allocations/budgets.go", seam)
	}
	if raceDetector {
		t.Skip("the race detector allocates for itself: make allocations")
	}
	run(events / 4) // pools fill, connections are made
	least := measure(run)
	for range tries - 1 {
		least = min(least, measure(run))
	}
	t.Logf("%s: %.2f allocations per event, of %g + %g", seam, least, budget.usual, budget.margin)
	if least > budget.usual+budget.margin {
		t.Errorf("seam %q allocates %.2f times per event, and %g are usual: find what is new with -memprofile, and avoid it; "+
			"where it is worth its price, say so in core/coretest/allocations/budgets.go", seam, least, budget.usual)
	}
}

func measure(run func(n int)) float64 {
	runtime.GC() // not in the middle, where it empties the pools
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	run(events)
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / events
}
