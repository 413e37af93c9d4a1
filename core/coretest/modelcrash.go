package coretest

import (
	"context"
	"errors"
	"slices"

	"pgregory.net/rapid"

	"github.com/postrider/postrider/core"
)

// crash has the queue die while it is given something, or while something is handed over. Whether that had happened, the log tells of a hand-over;
// of a publish nobody knows, so that it is repeated.
func (l *queueLife) crash(rt *rapid.T) {
	var published []core.Outgoing
	var k modelKey
	var result core.Result
	var came []modelKey
	inHand := l.m.inHands()
	if len(inHand) > 0 && rapid.Bool().Draw(rt, "while handing over") {
		k = pick(rt, inHand, "handed over")
		result = l.drawResult(rt, k)
	} else {
		for range rapid.IntRange(1, 3).Draw(rt, "events") {
			published = append(published, core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(l.newEvent(rt)), Due: drawDue(rt)})
		}
	}
	l.arm()
	if published != nil {
		for _, o := range published { // a handler may have it before Publish fails
			l.m.accept(o)
		}
		if err := l.b.Publish(context.Background(), published...); err == nil {
			rt.Fatal("a publish that crashed was acknowledged")
		}
	} else {
		l.m.die(k, result) <- verdict{result: result}
		l.awaitEnd(rt, k)
		came = l.m.died(k)
	}
	ending := slices.Clone(l.consuming)
	l.let(errors.New("the queue has crashed"))
	for _, c := range ending {
		if c.wait() == nil {
			rt.Fatal("Consume ended without an error although its queue died")
		}
	}
	l.m.begin(0)
	l.checkRight(rt)
	l.b.Close() //nolint:errcheck // it is dead
	l.open(rt)
	l.afterCrash(rt, k, result, came)
	l.publishAfterCrash(rt, published)
	l.maybeConsume(rt)
}

// awaitEnd waits until a queue that dies by the hand-over of k has ended all consuming. All other handlers fail meanwhile.
func (l *queueLife) awaitEnd(rt *rapid.T, k modelKey) {
	l.until(rt, func() string {
		for _, other := range l.m.inHands() {
			if other != k {
				l.answer(other, verdict{err: errors.New("the queue is crashing")})
			}
		}
		for _, c := range l.consuming {
			if len(c.done) == 0 {
				return "Consume goes on although its queue died"
			}
		}
		return ""
	})
}

// afterCrash finds out what became of a hand-over. came is what handlers were handed of what follows from it, and failed at.
func (l *queueLife) afterCrash(rt *rapid.T, k modelKey, result core.Result, came []modelKey) {
	defer l.m.crashed()
	if result.Log == nil {
		return
	}
	switch _, err := l.b.Attempt(context.Background(), k.event, k.subscriber, attemptIn(result).Number); {
	case err == nil:
		l.m.handOver(k, result)
	case !errors.Is(err, core.ErrNotFound):
		rt.Fatalf("the attempt that was handed over in the crash: %v", err)
	case len(came) > 0:
		rt.Fatalf("what follows from a hand-over has come, which is not logged: %+v", came)
	}
	for _, k := range came {
		l.m.giveBack(k, true)
	}
}

// publishAfterCrash repeats a publish that has had no answer.
func (l *queueLife) publishAfterCrash(rt *rapid.T, published []core.Outgoing) {
	if published == nil {
		return
	}
	if err := l.b.Publish(context.Background(), published...); err != nil {
		rt.Fatalf("publish again what was published in the crash: %v", err)
	}
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	for _, o := range published {
		e := l.m.entries[keyOf(o.Message)]
		e.session, e.twice = 0, !l.m.oneStep
	}
}

// die notes that the queue is going to die of the hand-over of k. A queue of several steps may hand over some of what follows from it before it is dead.
func (m *queueModel) die(k modelKey, result core.Result) chan<- verdict {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.oneStep {
		m.dying = map[modelKey]core.Outgoing{}
		for _, o := range result.Next {
			m.dying[keyOf(o.Message)] = o
		}
	}
	m.entries[k].hand.over = true
	return m.entries[k].hand.verdict
}

// died notes that it is dead, and returns those of what follows that had come.
func (m *queueModel) died(k modelKey) (came []modelKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries[k].hand, m.entries[k].touched = nil, true
	came, m.came, m.dying = m.came, nil, nil
	return came
}

// crashed notes what a crash may have left of what happened since the queue was opened, where that is no single step: the broker may not have
// come to know that a message was consumed or sent away, and may not have got what follows from one. [ModelTest] says what may be seen of it.
func (m *queueModel) crashed() {
	m.mu.Lock()
	if !m.oneStep {
		for k := range m.recent {
			m.again[k] = true
		}
		for _, e := range m.entries {
			e.twice = e.twice || e.deferred || e.asked
			e.early = e.early || e.asked
			e.absent = e.absent || e.follows
		}
	}
	m.mu.Unlock()
	m.opened()
}

// opened notes that the queue was closed in good order, and opened again: nothing is half-done.
func (m *queueModel) opened() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.recent)
	for _, e := range m.entries {
		e.deferred, e.follows, e.asked = false, false, false
	}
}

// repeat returns what follows from an attempt that is in the log, as a dispatcher does. There may be a second message then of all of that.
func (m *queueModel) repeat(k attemptKey) *core.Result {
	next := m.logged[k].Next
	for _, o := range next {
		if e := m.entries[keyOf(o.Message)]; e != nil && e.message.Attempt == o.Message.Attempt {
			e.twice, e.early = true, e.early || !e.due.Equal(o.Due)
			e.absent, e.follows = false, true
			continue
		}
		number := attemptKey{keyOf(o.Message), o.Message.Attempt}
		if _, logged := m.logged[number]; logged {
			m.again[number] = true
		}
	}
	return &core.Result{Next: next}
}

// allArePresent notes that nothing crashes any more: what was left undone comes again, and so what follows from it.
func (m *queueModel) allArePresent() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.entries {
		e.absent = false
	}
}
