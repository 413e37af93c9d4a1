package coretest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/postrider/postrider/core"
)

func heldLane(t *testing.T, p Place) {
	b := p.Open(t)
	defer closed(t, b)
	for range 10 {
		publishEvents(t, b, newEvent("order.held"), newEvent("order.free"))
	}
	var open atomic.Bool
	wakes := make(chan func(), 100)
	held, free := make(chan core.Message, 100), make(chan core.Message, 100)
	var offers atomic.Int64
	c := consume(t, b, core.EventQueue, 2, func(_ context.Context, m core.Message) (core.Result, error) {
		if m.Lane == "order.free" {
			free <- m
			return core.Result{}, nil
		}
		if !open.Load() {
			offers.Add(1)
			return core.Result{}, &core.Held{Reason: "full", Notify: func(wake func()) { wakes <- wake }}
		}
		held <- m
		return core.Result{}, nil
	})
	for range 10 {
		receive(t, free, "a message of the free lane")
	}
	wake := receive(t, wakes, "the request to be woken")
	// What was in flight when the lane was held may be held too, nothing else.
	if n := offers.Load(); n > 2 {
		t.Errorf("a held lane was offered %d times before it was woken", n)
	}
	open.Store(true)
	wake()
	for {
		select {
		case another := <-wakes:
			another()
			continue
		default:
		}
		break
	}
	for range 10 {
		if m := receive(t, held, "a message of the held lane"); m.Redelivered {
			t.Error("a message that was only held is marked as redelivered")
		}
	}
	c.stop()
	wantDepth(t, b, core.EventQueue, 0, 0)
}

// backlogHoldsUpNoOther has a lane with a long backlog and little room, and two lanes whose messages came last. Those come at once; and once the long
// lane has all the room it wants, each of its messages comes too, once.
func backlogHoldsUpNoOther(t *testing.T, p Place) {
	b := p.Open(t)
	defer closed(t, b)
	const backlog, room = 3000, 64
	missing := map[core.EventID]bool{}
	var out []core.Outgoing
	for range backlog {
		e := newEvent("lane.long")
		missing[e.ID] = true
		out = append(out, core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)})
	}
	if err := b.Publish(t.Context(), out...); err != nil {
		t.Fatal(err)
	}
	publishEvents(t, b, newEvent("lane.short"), newEvent("lane.other"))
	var inHand atomic.Int64
	over, others, long := make(chan struct{}), make(chan string, 2), make(chan core.EventID, 2*backlog)
	c := consume(t, b, core.EventQueue, 2*room, func(_ context.Context, m core.Message) (core.Result, error) {
		defer inHand.Add(-1)
		switch n := inHand.Add(1); {
		case m.Lane != "lane.long":
			others <- m.Lane
			return core.Result{}, nil
		case n > room:
			return core.Result{}, &core.Held{Reason: "full", Notify: func(func()) {}}
		}
		<-over
		long <- m.Event
		return core.Result{}, nil
	})
	receive(t, others, "a message of a short lane")
	receive(t, others, "a message of the other short lane")
	close(over)
	c.stop()
	if handled := len(long); handled > 2*room {
		t.Errorf("%d messages were handled of a lane that has room for %d", handled, room)
	}

	c = consume(t, b, core.EventQueue, room, func(_ context.Context, m core.Message) (core.Result, error) {
		long <- m.Event
		return core.Result{}, nil
	})
	for range backlog {
		id := receive(t, long, fmt.Sprintf("one of %d messages of the long lane", len(missing)))
		if !missing[id] {
			t.Errorf("event %s came again", id)
		}
		delete(missing, id)
	}
	c.stop()
	wantDepth(t, b, core.EventQueue, 0, 0)
}

// goesOnAlone has two lanes without room, whose long backlogs are mixed. One of them is woken: each of its messages comes, and none of the other's. Those are
// there when somebody else consumes.
func goesOnAlone(t *testing.T, p Place) {
	b := p.Open(t)
	defer closed(t, b)
	const each = 600
	missing := map[string]map[core.EventID]bool{"lane.on": {}, "lane.stopped": {}}
	var out []core.Outgoing
	for range each {
		for lane := range missing {
			e := newEvent(lane)
			missing[lane][e.ID] = true
			out = append(out, core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)})
		}
	}
	if err := b.Publish(t.Context(), out...); err != nil {
		t.Fatal(err)
	}
	open, got := make(chan struct{}), make(chan core.EventID, 2*each)
	var held sync.WaitGroup
	held.Add(2)
	var once [2]sync.Once
	c := consume(t, b, core.EventQueue, 4, func(_ context.Context, m core.Message) (core.Result, error) {
		if m.Lane == "lane.stopped" {
			once[0].Do(held.Done)
			return core.Result{}, &core.Held{Reason: "full", Notify: func(func()) {}}
		}
		select {
		case <-open:
			got <- m.Event
			return core.Result{}, nil
		default:
		}
		once[1].Do(held.Done)
		return core.Result{}, &core.Held{Reason: "full", Notify: func(wake func()) { go func() { <-open; wake() }() }}
	})
	held.Wait()
	close(open)
	comes := func(lane string) {
		for left := missing[lane]; len(left) > 0; {
			id := receive(t, got, fmt.Sprintf("one of %d messages of %s", len(left), lane))
			if !left[id] {
				t.Errorf("event %s came again, or is of another lane than %s", id, lane)
			}
			delete(left, id)
		}
	}
	comes("lane.on")
	c.stop()
	c = consume(t, b, core.EventQueue, 4, func(_ context.Context, m core.Message) (core.Result, error) {
		got <- m.Event
		return core.Result{}, nil
	})
	comes("lane.stopped")
	c.stop()
	wantDepth(t, b, core.EventQueue, 0, 0)
}
