package sdk

import (
	"context"
	"slices"
	"sync"
	"time"
)

// lifetime is the context of one request, as far as its end goes: it is over at its deadline, when it is cancelled, or once it was answered.
//
// [context.WithDeadline] would enter every request in a list of its stream's, which all of them queue for, and start a timer. Most requests are answered
// before anybody is told of their end, and so what that takes is made when somebody asks for it. A sender asks once, by AfterFunc: 0.6 µs, where a context
// for its call, one for its attempt and [context.AfterFunc] took 3.8.
type lifetime struct {
	stream   context.Context // whose values it has
	deadline time.Time       // zero: none

	mu    sync.Mutex
	err   error         // why it is over; nil: it isn't
	done  chan struct{} // nil: nobody asked for it
	after []*func()     // what AfterFunc was given
	timer *time.Timer   // at the deadline; nil: nobody waits for it
}

// Deadline implements [context.Context].
func (l *lifetime) Deadline() (time.Time, bool) { return l.deadline, !l.deadline.IsZero() }

// Value implements [context.Context].
func (l *lifetime) Value(key any) any { return l.stream.Value(key) }

// Err implements [context.Context].
func (l *lifetime) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil && !l.deadline.IsZero() && !time.Now().Before(l.deadline) { // also where no timer tells of it
		l.finish(context.DeadlineExceeded)
	}
	return l.err
}

// Done implements [context.Context].
func (l *lifetime) Done() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done == nil {
		l.done = make(chan struct{})
		if l.err != nil {
			close(l.done)
		} else {
			l.await()
		}
	}
	return l.done
}

// AfterFunc is [context.AfterFunc] for this context.
func (l *lifetime) AfterFunc(f func()) (stop func() bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		go f()
		return func() bool { return false }
	}
	l.after = append(l.after, &f)
	l.await()
	return func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		i := slices.Index(l.after, &f)
		if i < 0 {
			return false
		}
		l.after = slices.Delete(l.after, i, i+1)
		return true
	}
}

// end ends it, unless it is over already.
func (l *lifetime) end(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.finish(why)
}

// await sees to it that the deadline is noticed. As all that follows, it is called with the lock held.
func (l *lifetime) await() {
	if l.timer == nil && !l.deadline.IsZero() {
		l.timer = time.AfterFunc(time.Until(l.deadline), func() { l.end(context.DeadlineExceeded) })
	}
}

func (l *lifetime) finish(why error) {
	if l.err != nil {
		return
	}
	l.err = why
	if l.done != nil {
		close(l.done)
	}
	for _, f := range l.after {
		go (*f)()
	}
	l.after = nil
	if l.timer != nil {
		l.timer.Stop()
	}
}
