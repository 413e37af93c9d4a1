// Package garbage bounds how much of what nobody uses any more Go's collector leaves in memory.
//
// Daemon and plugins pass things on: next to nothing of theirs lives, and GOGC's usual 100 has them collect many times a second. At 400 the
// daemon needs 15 % and a busy notifier 10 % less CPU, for some ten MiB. But where tens of MiB live (10,000 attempts under way, 100,000
// subscribers), 400 means hundreds of MiB of garbage, and collecting that seldom saves little: so GOGC follows what lives.
package garbage

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	most  = 400      // percent of what lives
	least = 100      // percent: Go's own, or a process that keeps much would collect without end
	bound = 64 << 20 // bytes, between these two
)

// Bound sets GOGC now, and again after each collection, unless it is set in the environment.
func Bound() {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(most)
	follow(most)
}

// follow adjusts GOGC when the collector has run for the next time: then it has found that nothing leads to the mark.
func follow(current int) {
	mark := new([64]byte) // more than what the allocator packs together with others
	runtime.AddCleanup(mark, func(current int) {
		wanted := percent(living())
		if wanted*10 < current*9 || wanted*10 > current*11 { // setting it stops the world for a moment
			debug.SetGCPercent(wanted)
			current = wanted
		}
		follow(current)
	}, current)
}

// percent returns GOGC for so many bytes that live.
func percent(living uint64) int {
	return int(min(max(bound*100/max(1, living), least), most))
}

// living returns what the last collection found alive, in bytes, as GOGC counts it: the heap and the stacks; what globals hold is little.
func living() (bytes uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}}
	metrics.Read(samples)
	for _, s := range samples {
		bytes += s.Value.Uint64()
	}
	return bytes
}
