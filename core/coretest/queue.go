package coretest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/core"
)

// TestQueue checks everything that [core.Queue] promises. place makes an empty place.
func TestQueue(t *testing.T, place func(t *testing.T) Place) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Place)
	}{
		{"what was published is there after reopening", publishedSurvives},
		{"a message that a handler had comes again as such", redeliveredIsMarked},
		{"what a handler refuses is delivered again", redeliveredOnError},
		{"a held lane waits until it is woken and no other lane does", heldLane},
		{"a lane with a backlog and little room holds up no other", backlogHoldsUpNoOther},
		{"a lane that goes on gets what is among the backlog of one that does not", goesOnAlone},
		{"log and successors are there before the successor is handed over", logBeforeSuccessor},
		{"due messages come on time", dueOnTime},
		{"a repeated publish is dropped and a conflicting one refused", repeats},
		{"a replay takes its dead letter away", replayed},
		{"a delivery has one message", oneMessageADelivery},
		{"a successor may ask for the same attempt again", sameAttemptAgain},
		{"a message that needs a damaged record is offered once and holds up no other", setAside},
		{"messages that can't be are refused", refused},
		{"the drain waits for handlers and takes nothing in", drainWaits},
		{"the drain gives up at its deadline and loses nothing", drainGivesUp},
		{"a crash while publishing is harmless", crashWhilePublishing},
		{"a crash while handing over is harmless", crashWhileHandingOver},
		{"closing twice is fine", closeTwice},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, place(t)) })
	}
}

func publishedSurvives(t *testing.T, p Place) {
	b := p.Open(t)
	var events []core.Event
	for range 50 {
		events = append(events, newEvent("order.created"))
	}
	publishEvents(t, b, events...)
	later := toDeliver(events[0], 7)
	later.Due = time.Now().Add(time.Hour)
	if err := b.Publish(t.Context(), toDeliver(events[0], 6), later); err != nil {
		t.Fatal(err)
	}
	closed(t, b)

	b = p.Open(t)
	defer closed(t, b)
	wantDepth(t, b, core.EventQueue, 50, 0)
	wantDepth(t, b, core.DeliveryQueue, 1, 1)
	got := make(chan core.Message, 100)
	c := consume(t, b, core.EventQueue, 4, func(_ context.Context, m core.Message) (core.Result, error) {
		got <- m
		return core.Result{}, nil
	})
	seen := map[core.EventID]core.Message{}
	for range events {
		m := receive(t, got, "a message")
		seen[m.Event] = m
	}
	c.stop()
	for _, e := range events {
		m, ok := seen[e.ID]
		if !ok {
			t.Fatalf("event %s was lost", e.ID)
		}
		if m.Content == nil || m.Content.Name != e.Name || string(m.Content.Arguments) != string(e.Arguments) || !m.Content.Accepted.Equal(e.Accepted) ||
			m.Content.Trace != e.Trace {
			t.Errorf("content: got %+v, want %+v", m.Content, e)
		}
		if m.Attempt != 1 || m.First != 1 || !m.Since.Equal(e.Accepted) {
			t.Errorf("message: got attempt %d of %d since %v, want 1 of 1 since %v", m.Attempt, m.First, m.Since, e.Accepted)
		}
	}
	wantDepth(t, b, core.EventQueue, 0, 0)
}

func redeliveredIsMarked(t *testing.T, p Place) {
	b := p.Open(t)
	publishEvents(t, b, newEvent("order.created"))
	got := make(chan core.Message, 10)
	failed := errors.New("not now")
	c := consume(t, b, core.EventQueue, 1, func(_ context.Context, m core.Message) (core.Result, error) {
		got <- m
		return core.Result{}, failed
	})
	if m := receive(t, got, "the message"); m.Redelivered { // it may or may not be Fresh: not every queue can be sure
		t.Errorf("first time: redelivered %t", m.Redelivered)
	}
	if m := receive(t, got, "the message"); m.Fresh || !m.Redelivered {
		t.Errorf("second time: fresh %t, redelivered %t", m.Fresh, m.Redelivered)
	}
	c.stop()
	closed(t, b)
	b = p.Open(t)
	defer closed(t, b)
	got = make(chan core.Message, 10)
	c = consume(t, b, core.EventQueue, 1, func(_ context.Context, m core.Message) (core.Result, error) {
		got <- m
		return core.Result{}, nil
	})
	if m := receive(t, got, "the message"); m.Fresh || !m.Redelivered {
		t.Errorf("after reopening: fresh %t, redelivered %t", m.Fresh, m.Redelivered)
	}
	c.stop()
}

func redeliveredOnError(t *testing.T, p Place) {
	b := p.Open(t)
	defer closed(t, b)
	for range 20 {
		publishEvents(t, b, newEvent("order.created"))
	}
	var mu sync.Mutex
	times := map[core.EventID]int{}
	done := make(chan struct{}, 100)
	c := consume(t, b, core.EventQueue, 20, func(_ context.Context, m core.Message) (core.Result, error) {
		mu.Lock()
		defer mu.Unlock()
		if times[m.Event]++; times[m.Event] == 1 {
			return core.Result{}, errors.New("first time fails")
		}
		done <- struct{}{}
		return core.Result{}, nil
	})
	for range 20 {
		receive(t, done, "a redelivery")
	}
	c.stop()
	wantDepth(t, b, core.EventQueue, 0, 0)
}

func logBeforeSuccessor(t *testing.T, p Place) {
	b := p.Open(t)
	defer closed(t, b)
	e := newEvent("order.created")
	publishEvents(t, b, e)
	first := consume(t, b, core.EventQueue, 1, func(_ context.Context, m core.Message) (core.Result, error) {
		return core.Result{
			Log: []core.Record{
				core.EventRecord{Event: *m.Content, State: core.EventDispatched, Payload: []byte(`{"order":1}`)},
				core.AttemptRecord{Attempt: core.Attempt{Event: e.ID, Subscriber: 3, Number: 1, First: 1, Outcome: core.Retry, Reason: "500"}},
			},
			Next: []core.Outgoing{toDeliver(e, 4)},
		}, nil
	})
	found := make(chan error, 1)
	second := consume(t, b, core.DeliveryQueue, 1, func(ctx context.Context, m core.Message) (core.Result, error) {
		record, err := b.Event(ctx, m.Event)
		if err == nil && string(record.Payload) != `{"order":1}` {
			err = fmt.Errorf("payload: got %q", record.Payload)
		}
		if err == nil {
			_, err = b.Attempt(ctx, e.ID, 3, 1)
		}
		found <- err
		return core.Result{}, nil
	})
	if err := receive(t, found, "the successor"); err != nil {
		t.Error(err)
	}
	first.stop()
	second.stop()
}

func dueOnTime(t *testing.T, p Place) {
	b := p.Open(t)
	defer closed(t, b)
	const n = 200 // few enough for the slowest disk: this is about when they come, not about how many
	e := newEvent("order.created")
	publishEvents(t, b, e)
	type arrival struct{ late time.Duration }
	due := map[core.SubscriberID]time.Time{}
	var out []core.Outgoing
	start := time.Now().Add(300 * time.Millisecond)
	for i := range n {
		o := toDeliver(e, core.SubscriberID(i+1))
		o.Due = start.Add(time.Duration(i*5) * time.Millisecond)
		due[o.Message.Subscriber] = o.Due
		out = append(out, o)
	}
	if err := b.Publish(t.Context(), out...); err != nil {
		t.Fatal(err)
	}
	arrivals := make(chan arrival, n)
	c := consume(t, b, core.DeliveryQueue, 64, func(_ context.Context, m core.Message) (core.Result, error) {
		arrivals <- arrival{time.Since(due[m.Subscriber])}
		return core.Result{}, nil
	})
	var late []time.Duration
	for range n {
		late = append(late, receive(t, arrivals, "a due message").late)
	}
	c.stop()
	slices.Sort(late)
	if late[0] < 0 {
		t.Errorf("a message came %v before it was due", -late[0])
	}
	t.Logf("lateness of %d messages: median %v, p99 %v, most %v", n, late[n/2], late[n*99/100], late[n-1])
	if late[n/2] > 100*time.Millisecond {
		t.Errorf("half of the messages came more than %v late", late[n/2])
	}
}

func repeats(t *testing.T, p Place) {
	b := p.Open(t)
	defer closed(t, b)
	e := newEvent("order.created")
	e.ID = "order 1"
	if err := b.Publish(t.Context(), core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)}); !core.IsInvalid(err) {
		t.Errorf("a bad id: got %v, want it refused", err)
	}
	e.ID = "order-1"
	publishEvents(t, b, e, e)
	publishEvents(t, b, e)
	wantDepth(t, b, core.EventQueue, 1, 0)
	handled := make(chan core.Message, 10)
	c := consume(t, b, core.EventQueue, 1, func(_ context.Context, m core.Message) (core.Result, error) {
		handled <- m
		return core.Result{}, nil
	})
	receive(t, handled, "the event")
	c.stop()
	again := e
	again.Accepted = e.Accepted.Add(time.Minute) // the time is ours, not the publisher's
	again.Trace = ""                             // which is of the publish, and not of the event
	publishEvents(t, b, again)
	wantDepth(t, b, core.EventQueue, 0, 0)

	other := e
	other.Arguments = []byte(`{"id":2}`)
	fresh := newEvent("order.created")
	err := b.Publish(t.Context(), core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(fresh)},
		core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(other)})
	if !errors.Is(err, core.ErrConflict) {
		t.Errorf("same id, other arguments: got %v, want ErrConflict", err)
	}
	if _, err := b.Event(t.Context(), fresh.ID); !errors.Is(err, core.ErrNotFound) {
		t.Errorf("an event published together with a conflict: got %v, want ErrNotFound", err)
	}
	wantDepth(t, b, core.EventQueue, 0, 0)
}

// replayed states what becomes of a dead letter when its message is published again, before anybody consumes that.
func replayed(t *testing.T, p Place) {
	b := p.Open(t)
	defer closed(t, b)
	e := newEvent("order.created")
	publishEvents(t, b, e)
	delivery := string(core.DeliveryIDOf(e.ID, 1))
	die := func(id string, kind core.DeadLetterKind, subscriber core.SubscriberID, last int) {
		t.Helper()
		l := core.DeadLetter{ID: id, Kind: kind, Event: e.ID, EventName: e.Name, Subscriber: subscriber, Died: time.Now(), Last: last}
		if err := b.Append(t.Context(), core.DeadLetterRecord{DeadLetter: l}); err != nil {
			t.Fatal(err)
		}
	}
	publish := func(out core.Outgoing, attempt int) {
		t.Helper()
		out.Message.Attempt, out.Message.First = attempt, attempt
		if err := b.Publish(t.Context(), out); err != nil {
			t.Fatal(err)
		}
	}
	wantDead := func(id string, want bool) {
		t.Helper()
		if _, err := b.DeadLetter(t.Context(), id); err != nil && !errors.Is(err, core.ErrNotFound) || want != (err == nil) {
			t.Errorf("dead letter %s: got %v, want it there: %v", id, err, want)
		}
	}
	event := core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)}
	die(delivery, core.DeadDelivery, 1, 3)
	die(string(e.ID), core.DeadEvent, 0, 3)
	publish(event, 1)
	wantDead(string(e.ID), true)
	publish(event, 4)
	wantDead(string(e.ID), false)
	wantDead(delivery, true)
	publish(toDeliver(e, 1), 4)
	wantDead(delivery, false)

	// It died anew, and somebody repeats what is over.
	die(delivery, core.DeadDelivery, 1, 4)
	publish(toDeliver(e, 1), 4)
	wantDead(delivery, true)

	// Nothing is taken away for what is not accepted.
	again, unknown := toDeliver(e, 1), toDeliver(newEvent("order.created"), 1)
	again.Message.Attempt, again.Message.First = 5, 5
	if err := b.Publish(t.Context(), again, unknown); err == nil {
		t.Error("a delivery of an event that is not known was accepted")
	}
	wantDead(delivery, true)
}

func oneMessageADelivery(t *testing.T, p Place) {
	b := p.Open(t)
	defer closed(t, b)
	e := newEvent("order.created")
	publishEvents(t, b, e)
	for range 3 {
		if err := b.Publish(t.Context(), toDeliver(e, 1)); err != nil {
			t.Fatal(err)
		}
	}
	wantDepth(t, b, core.DeliveryQueue, 1, 0)
}

func sameAttemptAgain(t *testing.T, p Place) {
	b := p.Open(t)
	defer closed(t, b)
	publishEvents(t, b, newEvent("order.created"))
	handled := make(chan core.Message, 10)
	c := consume(t, b, core.EventQueue, 1, func(_ context.Context, m core.Message) (core.Result, error) {
		handled <- m
		if len(handled) == 1 {
			return core.Result{Next: []core.Outgoing{{Queue: core.EventQueue, Message: m, Due: time.Now().Add(5 * time.Millisecond)}}}, nil
		}
		return core.Result{}, nil
	})
	eventually(t, "the event comes twice", func() bool { return len(handled) == 2 })
	c.stop()
	wantDepth(t, b, core.EventQueue, 0, 0)
}

func refused(t *testing.T, p Place) {
	b := p.Open(t)
	defer closed(t, b)
	e := newEvent("order.created")
	for name, o := range map[string]core.Outgoing{
		"an unknown queue":            {Queue: "nowhere", Message: core.EventMessage(e)},
		"an event without content":    {Queue: core.EventQueue, Message: core.Message{Event: e.ID, Attempt: 1}},
		"a delivery of nobody":        {Queue: core.DeliveryQueue, Message: core.Message{Event: e.ID, Attempt: 1}},
		"a delivery of unknown event": toDeliver(e, 1),
	} {
		if err := b.Publish(t.Context(), o); err == nil {
			t.Errorf("%s: was accepted", name)
		}
	}
	wantDepth(t, b, core.EventQueue, 0, 0)
	wantDepth(t, b, core.DeliveryQueue, 0, 0)
}

func drainWaits(t *testing.T, p Place) {
	b := p.Open(t)
	e, waits := newEvent("order.created"), newEvent("order.created")
	publishEvents(t, b, e, waits)
	started, goOn := make(chan core.Message, 2), make(chan struct{})
	c := consume(t, b, core.EventQueue, 1, func(ctx context.Context, m core.Message) (core.Result, error) {
		started <- m
		<-goOn
		return core.Result{Log: []core.Record{core.AttemptRecord{Attempt: core.Attempt{Event: m.Event, Number: 1, First: 1, Outcome: core.Retry}}}}, ctx.Err()
	})
	m := receive(t, started, "the handler")
	c.cancel()
	close(goOn)
	if err := c.wait(); err != nil {
		t.Errorf("drain: %v", err)
	}
	if _, err := b.Attempt(t.Context(), m.Event, 0, 1); err != nil {
		t.Errorf("what a handler returned during the drain: %v", err)
	}
	if len(started) != 0 {
		t.Error("a message was handed over after the stop")
	}
	wantDepth(t, b, core.EventQueue, 1, 0)
	closed(t, b)
}

func drainGivesUp(t *testing.T, p Place) {
	b := p.Open(t)
	publishEvents(t, b, newEvent("order.created"))
	started := make(chan struct{}, 1)
	c := consume(t, b, core.EventQueue, 1, func(ctx context.Context, m core.Message) (core.Result, error) {
		started <- struct{}{}
		<-ctx.Done()
		return core.Result{}, ctx.Err()
	})
	receive(t, started, "the handler")
	stopped := time.Now()
	c.cancel()
	if err := c.wait(); err == nil {
		t.Error("drain: got nil, want an error that says that handlers were still running")
	}
	if took := time.Since(stopped); took < DrainDeadline {
		t.Errorf("the handler's context ended after %v, before the deadline", took)
	}
	closed(t, b)
	b = p.Open(t)
	defer closed(t, b)
	wantDepth(t, b, core.EventQueue, 1, 0)
}

func closeTwice(t *testing.T, p Place) {
	b := p.Open(t)
	closed(t, b)
	closed(t, b)
	if err := b.Publish(t.Context(), core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(newEvent("order.created"))}); err == nil {
		t.Error("a closed queue accepted an event")
	}
}
