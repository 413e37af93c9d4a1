package dispatch

import "time"

// When a breaker opens, and for how long.
const (
	breakerWindow   = 10 * time.Second
	breakerAttempts = 20 // in the window, of distinct deliveries; opens when over half of them failed
	breakerFirst    = time.Second
	breakerMost     = 30 * time.Second
)

// breaker keeps a lane whose receiver is down from making attempts in vain: they would burn the schedule of every delivery, and take room from
// others. While it is open nothing is attempted; then one attempt at a time is, as a probe, until one succeeds. The zero breaker is closed.
//
// It counts from a failure on: what succeeded before says nothing about now.
type breaker struct {
	since    time.Time // when counting began; zero: nothing failed lately
	attempts int
	failures int

	until   time.Time     // open: when the next probe may be made; zero: closed
	wait    time.Duration // how long it was last opened
	probing bool          // open, and a probe is under way
}

func (b *breaker) isOpen() bool { return !b.until.IsZero() }

// admits reports whether a probe may be made, in an open breaker.
func (b *breaker) admits(now time.Time) bool { return !b.probing && !now.Before(b.until) }

// transition is what an attempt did to a breaker.
type transition int

const (
	unchanged transition = iota
	opened               // nothing is attempted until the wait is over
	reopened             // the same, after a probe that failed
	closed               // all is well again
)

// isQuiet reports whether there is nothing to remember.
func (b *breaker) isQuiet(now time.Time) bool {
	return !b.isOpen() && (b.since.IsZero() || now.Sub(b.since) > breakerWindow)
}

// learn takes note of an attempt that was made. Where it says so, the lane is to be looked at again after a while: a probe may be made then, or there is
// nothing to remember any more.
func (b *breaker) learn(now time.Time, x experience) (change transition, again time.Duration) {
	switch {
	case b.isOpen() && !x.failed:
		*b = breaker{}
		return closed, 0
	case b.isOpen() && b.probing:
		return reopened, b.open(now, min(2*b.wait, breakerMost))
	case b.isOpen(): // it began before
		return unchanged, 0
	case x.repeated, b.isQuiet(now) && !x.failed:
		return unchanged, 0
	}
	if b.isQuiet(now) {
		*b = breaker{since: now}
		again = breakerWindow + time.Millisecond
	}
	b.attempts++
	if x.failed {
		b.failures++
	}
	if b.attempts < breakerAttempts || 2*b.failures <= b.attempts {
		return unchanged, again
	}
	return opened, b.open(now, breakerFirst)
}

func (b *breaker) open(now time.Time, wait time.Duration) time.Duration {
	*b = breaker{until: now.Add(wait), wait: wait}
	return wait
}
