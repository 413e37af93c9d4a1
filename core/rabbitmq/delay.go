package rabbitmq

import (
	"math/rand/v2"
	"slices"
	"time"
)

const (
	// near is how long a message may wait in memory until it is due: less than a trip through a delay queue is worth, and the end of each longer wait,
	// so that it comes neither early nor late.
	near = 250 * time.Millisecond

	// asideFor is how long what needs a damaged record is away, each time: a rung of the ladder, whatever longer ones the schedule adds.
	asideFor = time.Hour
)

// delays knows the rungs that messages wait on.
type delays struct {
	prefix string
	rungs  []time.Duration // ascending
}

// send makes the posting of e to queue, over the delay queue that brings it closest to its due time.
func (d delays) send(queue string, e envelope, now time.Time) *posting {
	wait := e.due.Sub(now)
	if e.due.IsZero() || wait <= 0 {
		e.due, e.left = time.Time{}, 0
		return &posting{key: queue, message: encode(&e)}
	}
	if wait <= near {
		e.left = ceilMilli(wait)
		return &posting{key: queue, message: encode(&e)}
	}
	rung := d.rung(wait)
	e.left = ceilMilli(max(0, wait-rung))
	return &posting{exchange: delayName(d.prefix, rung), key: queue, message: encode(&e)}
}

// about makes the posting of e to queue for about wait from now, over a single rung: the two around it are drawn so that waits come out right on
// average, and messages that are deferred together don't come back together.
func (d delays) about(queue string, e envelope, wait time.Duration) *posting {
	e.due, e.left = time.Time{}, 0
	above, _ := slices.BinarySearch(d.rungs, wait)
	above = min(above, len(d.rungs)-1)
	below := max(0, above-1)
	rung := d.rungs[above]
	if low := d.rungs[below]; low < wait && wait < rung && rand.Int64N(int64(rung-low)) > int64(wait-low) {
		rung = low
	}
	return &posting{exchange: delayName(d.prefix, rung), key: queue, message: encode(&e)}
}

// rung returns the rung that a message takes first which has to wait. It is the shortest that is long enough, where that is hardly too long (so each
// delay of the schedule is one trip); else the longest that is too short, and what is left then is another trip.
func (d delays) rung(wait time.Duration) time.Duration {
	above, _ := slices.BinarySearch(d.rungs, wait)
	if above < len(d.rungs) && d.rungs[above]-wait <= max(wait/40, 25*time.Millisecond) {
		return d.rungs[above]
	}
	return d.rungs[max(0, above-1)]
}

func ceilMilli(d time.Duration) time.Duration {
	return (d + time.Millisecond - 1).Truncate(time.Millisecond)
}
