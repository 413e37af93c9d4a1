package pluginhost

import "time"

// The pace of restarts. A plugin is broken when it failed crashLoop times and never ran for a healthy minute in between; it is tried again
// all the same, at the longest delay, because what it misses (a file, a server) may come back.
const (
	firstDelay  = 100 * time.Millisecond
	healthy     = time.Minute
	crashLoop   = 10
	rarestStart = 10 * time.Minute // of a file that never described itself
)

// productive answers are no crash loop, however short the process lived: starting it again gets work done.
const productive = 10

// pace decides when a process is started again.
type pace struct {
	longest  time.Duration // between two starts of a plugin
	failures int           // in a row, none after a healthy minute
}

// failed notes that the process is gone after it ran for ran (0: it didn't start), and returns how long to wait before the next start.
func (p *pace) failed(ran time.Duration) time.Duration {
	if ran >= healthy {
		p.failures = 0
	}
	p.failures++
	return min(firstDelay<<min(p.failures-1, 30), p.longest)
}

// worked notes how many answers a process gave before it was gone.
func (p *pace) worked(answers int64) {
	if answers >= productive {
		p.failures = 0
	}
}

// broken reports a crash loop.
func (p *pace) broken() bool { return p.failures >= crashLoop }

// stranger returns how long to wait before a file is run again that never described itself: it may be no plugin at all, but may as well have
// started too slowly on a busy machine.
func (p *pace) stranger() time.Duration {
	return min(p.longest<<min(p.failures-1, 30), rarestStart)
}
