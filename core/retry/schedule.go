package retry

import (
	"math"
	"math/rand/v2"
	"time"
)

// The bounds of every schedule.
const (
	MaxRetries = 1000
	MaxDelay   = 30 * 24 * time.Hour // before jitter
)

// kind says how a schedule finds its delays.
type kind uint8

const (
	quadratic kind = iota // n² seconds before the nth retry
	exponential
	explicit
)

// Schedule says how long to wait before each retry. It is immutable and safe for concurrent use. Two schedules are the same if their JSON
// is. The zero Schedule never retries; [Default] is what applies where nobody says otherwise.
type Schedule struct {
	kind    kind
	retries int     // length of the budget
	jitter  float64 // 0 to 1

	first  time.Duration   // exponential
	factor float64         // exponential
	max    time.Duration   // exponential
	delays []time.Duration // explicit; never written to once it stands here
}

// Default returns the schedule of the reference system: five retries, after 1, 4, 9, 16 and 25 seconds.
func Default() Schedule { return Schedule{kind: quadratic, retries: 5} }

// Delay returns how long to wait before a retry, counted from 1, after the attempt before it has failed. ok is false where the budget has no
// such retry. With jitter, every call draws anew.
func (s Schedule) Delay(retry int) (d time.Duration, ok bool) {
	if retry < 1 || retry > s.retries {
		return 0, false
	}
	d = s.delay(retry)
	if s.jitter > 0 {
		d += time.Duration(rand.Float64() * s.jitter * float64(d))
	}
	return d, true
}

// Retries returns how many retries there are: one attempt less than there are attempts in all.
func (s Schedule) Retries() int { return s.retries }

// Span returns the sum of all delays, without jitter: how long a receiver may be away before its deliveries are given up.
func (s Schedule) Span() time.Duration {
	var sum time.Duration // at most MaxRetries × MaxDelay, 82 years: no overflow
	for retry := 1; retry <= s.retries; retry++ {
		sum += s.delay(retry)
	}
	return sum
}

// delay returns the delay before a retry of the budget, without jitter.
func (s Schedule) delay(retry int) time.Duration {
	switch s.kind {
	case exponential:
		// Grows to +Inf at worst, which the comparison catches before anything is converted.
		d := float64(s.first) * math.Pow(s.factor, float64(retry-1))
		if d >= float64(s.max) {
			return s.max
		}
		return time.Duration(d)
	case explicit:
		return s.delays[retry-1]
	default:
		return time.Duration(retry*retry) * time.Second // at most 1000², under twelve days
	}
}
