package dispatch

import (
	"context"
	"sync"
	"time"
)

// limit bounds calls that may all take equally long, as [context.WithTimeout] bounds one. They run out of time in the order in which they began, so that one
// timer and a place in a list do for all of them. A timer of its own and a place in its parent's set for each attempt, and a timer for each event, were 1.9 µs
// of the 8.4 of CPU that an event took in BenchmarkEvent, and 0.7 of the 4.4 of a delivery.
//
// It watches the parents of its calls until they end: they must be few, and live long.
type limit struct {
	after time.Duration

	mu             sync.Mutex
	oldest, latest *limited // under way
	timer          *time.Timer
	armed          bool                     // the timer is on its way, to what is the oldest or was it
	watched        map[<-chan struct{}]bool // the ends of parents
}

// limited is the context of one call. It ends with its parent, when the time is over, and by stop, which must be called.
type limited struct {
	context.Context // the parent
	by              *limit
	deadline        time.Time
	done            chan struct{}
	err             error // once done is closed
	older, younger  *limited
}

func newLimit(after time.Duration) *limit {
	return &limit{after: after, watched: make(map[<-chan struct{}]bool)}
}

// begin returns the context of a call that begins now.
func (l *limit) begin(parent context.Context) *limited {
	c := &limited{Context: parent, by: l, deadline: time.Now().Add(l.after), done: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watch(parent)
	c.older = l.latest
	if l.latest == nil {
		l.oldest = c
	} else {
		l.latest.younger = c
	}
	l.latest = c
	if err := parent.Err(); err != nil {
		l.end(c, err)
	} else if !l.armed {
		l.arm(l.after)
	}
	return c
}

// watch sees to it that what parent is the parent of ends with it. The lock is held.
func (l *limit) watch(parent context.Context) {
	done := parent.Done()
	if done == nil || l.watched[done] {
		return
	}
	l.watched[done] = true
	context.AfterFunc(parent, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.watched, done)
		for c := l.oldest; c != nil; {
			next := c.younger
			if c.Context.Done() == done {
				l.end(c, parent.Err())
			}
			c = next
		}
	})
}

// arm has the oldest looked at after d. The lock is held.
func (l *limit) arm(d time.Duration) {
	l.armed = true
	if l.timer == nil {
		l.timer = time.AfterFunc(d, l.expire)
		return
	}
	l.timer.Reset(d)
}

// expire ends those whose time is over.
func (l *limit) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed = false
	for l.oldest != nil {
		if left := time.Until(l.oldest.deadline); left > 0 {
			l.arm(left)
			return
		}
		l.end(l.oldest, context.DeadlineExceeded)
	}
}

// end ends a call that is under way. The lock is held.
func (l *limit) end(c *limited, err error) {
	if c.older == nil {
		l.oldest = c.younger
	} else {
		c.older.younger = c.younger
	}
	if c.younger == nil {
		l.latest = c.older
	} else {
		c.younger.older = c.older
	}
	c.older, c.younger = nil, nil // or one that is kept would keep all that came after it
	c.err = err
	close(c.done)
}

// stop says that the call is over.
func (c *limited) stop() {
	c.by.mu.Lock()
	defer c.by.mu.Unlock()
	if c.err == nil {
		c.by.end(c, context.Canceled)
	}
}

// Deadline implements [context.Context].
func (c *limited) Deadline() (time.Time, bool) {
	if earlier, ok := c.Context.Deadline(); ok && earlier.Before(c.deadline) {
		return earlier, true
	}
	return c.deadline, true
}

// Done implements [context.Context].
func (c *limited) Done() <-chan struct{} { return c.done }

// Err implements [context.Context].
func (c *limited) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}
