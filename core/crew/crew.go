// Package crew runs functions on goroutines that it keeps for a while. A new goroutine starts with a small stack, and grows it by copying, step by
// step, each time it goes as deep as a database read or a call over gRPC does: with one for each message that was 6 % of the daemon's time.
package crew

import (
	"sync"
	"time"
)

// linger is how long a goroutine without work is kept.
const linger = time.Second

// Crew is a group of goroutines. The zero Crew is not ready: use [New].
type Crew struct {
	idle    chan func()
	leaving chan struct{}
	group   sync.WaitGroup
}

// New returns a crew without members.
func New() *Crew { return &Crew{idle: make(chan func()), leaving: make(chan struct{})} }

// Go runs f on a goroutine of its own, and never waits for one.
func (c *Crew) Go(f func()) {
	select {
	case c.idle <- f:
	default:
		c.group.Go(func() { c.work(f) })
	}
}

func (c *Crew) work(f func()) {
	patience := time.NewTimer(linger)
	defer patience.Stop()
	for {
		f()
		patience.Reset(linger)
		select {
		case f = <-c.idle:
		case <-patience.C:
			return
		case <-c.leaving:
			return
		}
	}
}

// Wait returns when every function has, and ends the crew: Go must not be called any more.
func (c *Crew) Wait() {
	close(c.leaving)
	c.group.Wait()
}
