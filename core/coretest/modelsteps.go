package coretest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/postrider/postrider/core"
)

// newEvent makes up an event: with an id of Postrider's own form, or of a publisher's.
func (l *queueLife) newEvent(rt *rapid.T) core.Event {
	l.ids++
	e := newEvent(rapid.SampledFrom(modelNames).Draw(rt, "name"))
	e.ID = core.EventID(fmt.Sprintf("order-%03d", l.ids))
	if rapid.Bool().Draw(rt, "own id") {
		e.ID = core.EventID(fmt.Sprintf("evt_01JGFJJZ00%016d", l.ids))
	}
	return e
}

// out makes a message of attempt n of k.
func (l *queueLife) out(k modelKey, n, first int, due time.Time) core.Outgoing {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	i := slices.IndexFunc(l.m.events, func(e core.Event) bool { return e.ID == k.event })
	m := core.EventMessage(l.m.events[i])
	if k.subscriber != 0 {
		m = core.DeliveryMessage(k.event, k.subscriber, l.m.events[i].Accepted)
	}
	m.Attempt, m.First = n, first
	return core.Outgoing{Queue: k.queue(), Message: m, Due: due}
}

func drawDue(rt *rapid.T) time.Time {
	if delay := rapid.SampledFrom(modelDelays).Draw(rt, "delay"); delay > 0 {
		return time.Now().Add(delay)
	}
	return time.Time{}
}

// pick draws one of keys; where there is none, the step is none.
func pick(rt *rapid.T, keys []modelKey, label string) modelKey {
	if len(keys) == 0 {
		rt.Skip("there is none")
	}
	return keys[rapid.IntRange(0, len(keys)-1).Draw(rt, label)]
}

// give publishes what must be accepted. The model knows of it before: a handler may have it before Publish returns.
func (l *queueLife) give(rt *rapid.T, out ...core.Outgoing) {
	for _, o := range out {
		l.m.accept(o)
	}
	if err := l.b.Publish(context.Background(), out...); err != nil {
		rt.Fatalf("publish %d messages: %v", len(out), err)
	}
}

func (l *queueLife) publish(rt *rapid.T) {
	var fresh, out []core.Outgoing
	for range rapid.IntRange(1, 4).Draw(rt, "events") {
		o := core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(l.newEvent(rt)), Due: drawDue(rt)}
		fresh, out = append(fresh, o), append(out, o)
		l.m.accept(o)
	}
	if repeats := l.m.over(); len(repeats) > 0 && rapid.Bool().Draw(rt, "with a repeat") {
		if k := pick(rt, repeats, "repeat"); k.subscriber == 0 {
			out = append(out, l.out(k, 1, 1, time.Time{}))
		}
	}
	if rapid.Bool().Draw(rt, "one twice") {
		out = append(out, fresh[0])
	}
	if err := l.b.Publish(context.Background(), out...); err != nil {
		rt.Fatalf("publish: %v", err)
	}
}

// publishAgain repeats what was published or follows from it, wherever that is by now.
func (l *queueLife) publishAgain(rt *rapid.T) {
	k := pick(rt, l.m.find(func(modelKey, *modelEntry) bool { return true }), "message")
	l.m.mu.Lock()
	attempt := l.m.entries[k].message.Attempt
	l.m.mu.Unlock()
	first := attempt
	if k.subscriber == 0 || attempt == 1 {
		attempt, first = 1, 1
	}
	if err := l.b.Publish(context.Background(), l.out(k, attempt, first, time.Time{})); err != nil {
		rt.Fatalf("repeat: %v", err)
	}
}

// publishConflict publishes new events together with one whose id is taken.
func (l *queueLife) publishConflict(rt *rapid.T) {
	if len(l.m.events) == 0 {
		rt.Skip("there is no event")
	}
	other := l.m.events[rapid.IntRange(0, len(l.m.events)-1).Draw(rt, "event")]
	other.Arguments = []byte(`{"id":2}`)
	out := []core.Outgoing{{Queue: core.EventQueue, Message: core.EventMessage(other)}}
	for range rapid.IntRange(0, 2).Draw(rt, "with new ones") {
		e := l.newEvent(rt)
		l.m.refused = append(l.m.refused, e.ID)
		out = slices.Insert(out, 0, core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)})
	}
	if err := l.b.Publish(context.Background(), out...); !errors.Is(err, core.ErrConflict) {
		rt.Fatalf("a conflict with event %s: got %v, want ErrConflict", other.ID, err)
	}
}

// replay puts back to work what is over, dead or not.
func (l *queueLife) replay(rt *rapid.T) {
	k := pick(rt, l.m.over(), "replayed")
	n := l.m.last[k] + 1
	l.give(rt, l.out(k, n, n, drawDue(rt)))
}

// overtake publishes a later attempt of a message that is in a handler's hands, or that nobody is going to be handed for now.
func (l *queueLife) overtake(rt *rapid.T) {
	k := pick(rt, l.m.find(func(k modelKey, e *modelEntry) bool {
		lane := l.m.lanes[laneKey{k.queue(), e.message.Lane}]
		return e.hand != nil || time.Until(e.due) > far/2 || lane != nil && !lane.held.IsZero() && time.Now().After(e.due)
	}), "message")
	l.m.mu.Lock()
	e := l.m.entries[k]
	n := e.message.Attempt + 1
	inHand := e.hand != nil
	l.m.mu.Unlock()
	later := l.out(k, n, n, drawDue(rt))
	if !inHand {
		l.give(rt, later)
		return
	}
	if err := l.b.Publish(context.Background(), later); err != nil {
		rt.Fatalf("publish: %v", err)
	}
	if rapid.Bool().Draw(rt, "the later one is due first") {
		l.awaitDue(rt, k.queue(), later.Due)
	}
	result := l.plain(k)
	l.m.mu.Lock()
	verdicts := e.hand.verdict
	l.m.mu.Unlock()
	l.m.handOver(k, result)
	l.m.accept(later)
	verdicts <- verdict{result: result}
	l.awaitLog(rt, k)
}

// awaitDue waits until a message that the model knows nothing of yet, and that comes due at due, counts as ready.
func (l *queueLife) awaitDue(rt *rapid.T, q core.QueueName, due time.Time) {
	if time.Until(due) > far/2 {
		return
	}
	l.until(rt, func() string {
		got, err := l.b.Depths(context.Background())
		if err != nil {
			rt.Fatalf("depths: %v", err)
		}
		for _, d := range got {
			if all, _, _ := l.m.depths(); d.Queue == q && (d.Due != all[q].Due || time.Now().Before(due)) {
				return fmt.Sprintf("%d messages are due later, want %d", d.Due, all[q].Due)
			}
		}
		return ""
	})
}

// plain is the result of an attempt that nothing follows from.
func (l *queueLife) plain(k modelKey) core.Result {
	l.m.mu.Lock()
	m := l.m.entries[k].message
	l.m.mu.Unlock()
	l.reasons++
	result := core.Result{Log: []core.Record{core.AttemptRecord{Attempt: core.Attempt{
		Event: m.Event, Subscriber: m.Subscriber, Number: m.Attempt, First: m.First, Since: m.Since,
		Started: time.Now(), Outcome: core.Delivered, Reason: fmt.Sprintf("handed over as number %d", l.reasons),
	}}}}
	if m.Content != nil {
		result.Log = append(result.Log, core.EventRecord{Event: *m.Content, State: core.EventDispatched, Payload: []byte(`{"order":1}`)})
	}
	return result
}

// drawResult draws what a handler makes of the message of k.
func (l *queueLife) drawResult(rt *rapid.T, k modelKey) core.Result {
	result := l.plain(k)
	a := attemptIn(result)
	choices := []string{"nothing follows", "it is tried again", "it is dead"}
	if k.subscriber == 0 {
		choices = append(choices, "deliveries follow", "deliveries follow, too") // nearly always
	}
	switch rapid.SampledFrom(choices).Draw(rt, "result") {
	case "nothing follows":
		return result
	case "it is tried again":
		next := l.out(k, a.Number+1, a.First, drawDue(rt))
		next.Message.Since = a.Since
		a.Outcome, a.Due = core.Retry, next.Due
		result.Next = []core.Outgoing{next}
	case "it is dead":
		a.Outcome = core.Rejected
		kind := core.DeadDelivery
		if k.subscriber == 0 {
			kind = core.DeadEvent
		}
		result.Log = append(result.Log, core.DeadLetterRecord{DeadLetter: core.DeadLetter{
			ID: k.deadLetterID(), Kind: kind, Event: k.event, Subscriber: k.subscriber, Died: time.Now(), Last: a.Number,
		}})
	default:
		for _, s := range modelSubscribers {
			to := modelKey{k.event, s}
			l.m.mu.Lock()
			known := l.m.entries[to] != nil || l.m.last[to] > 0
			l.m.mu.Unlock()
			if !known && rapid.Bool().Draw(rt, "to subscriber") {
				result.Next = append(result.Next, l.out(to, 1, 1, drawDue(rt)))
			}
		}
	}
	result.Log[0] = core.AttemptRecord{Attempt: a}
	return result
}

func (l *queueLife) handOver(rt *rapid.T) {
	k := pick(rt, l.m.inHands(), "handed over")
	l.answer(k, verdict{result: l.drawResult(rt, k)})
	l.awaitLog(rt, k)
}

// awaitLog waits until what was last handed over of k is in the log.
func (l *queueLife) awaitLog(rt *rapid.T, k modelKey) {
	n := l.m.last[k]
	l.until(rt, func() string {
		if _, err := l.b.Attempt(context.Background(), k.event, k.subscriber, n); err != nil {
			return fmt.Sprintf("attempt %d of event %s for subscriber %d was handed over: %v", n, k.event, k.subscriber, err)
		}
		return ""
	})
}

// sameAttempt has an attempt asked for again that was not made.
func (l *queueLife) sameAttempt(rt *rapid.T) {
	k := pick(rt, l.m.inHands(), "asked for again")
	l.m.mu.Lock()
	m := l.m.entries[k].message
	l.m.mu.Unlock()
	again := core.Outgoing{Queue: k.queue(), Message: m, Due: drawDue(rt)}
	l.answer(k, verdict{result: core.Result{Next: []core.Outgoing{again}}})
}

// mostFailures in one lane keep its rest after each of them short.
const mostFailures = 2

func (l *queueLife) fail(rt *rapid.T) {
	k := pick(rt, l.m.inHands(), "failed")
	lane := l.m.lane(k)
	if lane.failures++; lane.failures > mostFailures {
		rt.Skip("its lane would rest for long")
	}
	l.answer(k, verdict{err: errors.New("the handler failed")})
}

func (l *queueLife) hold(rt *rapid.T) {
	k := pick(rt, l.m.inHands(), "held")
	lane := l.m.lane(k)
	notified := make(chan func(), 1)
	l.answer(k, verdict{err: &core.Held{Reason: "full", Notify: func(wake func()) { notified <- wake }}})
	wake := receive(l.t, notified, "the request to be woken")
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	lane.held, lane.wakes = time.Now(), append(lane.wakes, wake)
}

func (l *queueLife) wake(rt *rapid.T) {
	if !l.wakeAll() {
		rt.Skip("nothing is held")
	}
}

func (l *queueLife) wakeAll() bool {
	var wakes []func()
	l.m.mu.Lock()
	for _, lane := range l.m.lanes {
		wakes = append(wakes, lane.wakes...)
		lane.held, lane.wakes = time.Time{}, nil
	}
	l.m.mu.Unlock()
	for _, wake := range wakes {
		wake()
	}
	return len(wakes) > 0
}

// pass lets time pass until what is due soon has come, and lanes that rested go on.
func (l *queueLife) pass(rt *rapid.T) { l.settle(rt, true) }

func (l *queueLife) consume(rt *rapid.T) {
	if len(l.consuming) > 0 {
		rt.Skip("it is being consumed")
	}
	l.start(rapid.SampledFrom([]int{2, 64}).Draw(rt, "handlers"))
}

func (l *queueLife) start(handlers int) {
	l.m.begin(handlers)
	l.consuming = []*consumption{
		consume(l.t, l.b, core.EventQueue, handlers, l.m.handler), consume(l.t, l.b, core.DeliveryQueue, handlers, l.m.handler),
	}
}

// stop ends consuming, and closes the queue. What is in hand until then is failed at, or handed over.
func (l *queueLife) stop(rt *rapid.T, handOver bool) {
	ending := slices.Clone(l.consuming)
	for _, c := range ending {
		c.cancel()
	}
	if handOver {
		for _, k := range l.m.inHands() {
			l.answer(k, verdict{result: l.plain(k)})
		}
	}
	l.let(errors.New("there is no time for it"))
	for _, c := range ending {
		if err := c.wait(); err != nil {
			rt.Fatalf("consume: %v", err)
		}
	}
	l.m.begin(0)
	l.checkRight(rt)
	if err := l.b.Close(); err != nil {
		rt.Fatalf("close: %v", err)
	}
}

func (l *queueLife) reopen(rt *rapid.T) {
	l.stop(rt, rapid.Bool().Draw(rt, "hand over"))
	l.m.opened()
	l.open(rt)
	l.maybeConsume(rt)
}

func (l *queueLife) maybeConsume(rt *rapid.T) {
	if rapid.IntRange(0, 3).Draw(rt, "then consume") > 0 {
		l.consume(rt)
	}
}
