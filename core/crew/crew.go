// Package crew runs functions on goroutines that it keeps for a while. A new goroutine starts with a small stack, and grows it by copying, step by
// step, each time it goes as deep as a database read or a call over gRPC does: with one for each message that was 6 % of the daemon's time.
package crew

import (
	"slices"
	"sync"
	"time"
)

// linger is how long a goroutine without work is kept.
const linger = time.Second

// Crew is a group of goroutines. The zero Crew has no members yet.
//
// Who is idle waits for its next function and nothing else, and one timer sends home whoever has waited long enough. A timer of each one's own, and a wait
// for whatever comes first, were 2.5 % of the daemon's time.
type Crew struct {
	group sync.WaitGroup

	mu     sync.Mutex
	idle   []*member   // the one that waits longest is the first; the last one is called, while its stack is still in the processor's cache
	rounds *time.Timer // until the first one may go home; nil: nobody is idle, or was when the last round ended
	ended  bool
}

// member is one goroutine.
type member struct {
	next  chan func() // has room for one; closed: it goes home
	since time.Time   // when it began to wait
}

// New returns a crew without members.
func New() *Crew { return &Crew{} }

// Go runs f on a goroutine of its own, and never waits for one.
func (c *Crew) Go(f func()) {
	if m := c.pick(); m != nil {
		m.next <- f
		return
	}
	c.group.Go(func() { c.work(f) })
}

// pick returns a member that waits for f, or nil.
func (c *Crew) pick() *member {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := len(c.idle) - 1
	if last < 0 {
		return nil
	}
	m := c.idle[last]
	c.idle = c.idle[:last]
	return m
}

func (c *Crew) work(f func()) {
	m := &member{next: make(chan func(), 1)}
	for works := true; works; f, works = <-m.next {
		f()
		c.rest(m)
	}
}

// rest counts m among the idle, or sends it home where nothing will come.
func (c *Crew) rest(m *member) {
	m.since = time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		close(m.next)
		return
	}
	c.idle = append(c.idle, m)
	if c.rounds == nil {
		c.rounds = time.AfterFunc(linger, c.dismiss)
	}
}

// dismiss sends home who has been idle for long enough.
func (c *Crew) dismiss() {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for n < len(c.idle) && time.Since(c.idle[n].since) >= linger {
		close(c.idle[n].next)
		n++
	}
	c.idle, c.rounds = slices.Delete(c.idle, 0, n), nil
	if len(c.idle) > 0 {
		c.rounds = time.AfterFunc(linger-time.Since(c.idle[0].since), c.dismiss)
	}
}

// Wait returns when every function has, and ends the crew: Go must not be called any more.
func (c *Crew) Wait() {
	c.mu.Lock()
	c.ended = true
	for _, m := range c.idle {
		close(m.next)
	}
	c.idle = nil
	if c.rounds != nil {
		c.rounds.Stop()
	}
	c.mu.Unlock()
	c.group.Wait()
}
