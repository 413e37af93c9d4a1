package bolt

import (
	"testing"
	"time"

	"github.com/postrider/postrider/core"
)

func TestAMessageThatWasReplacedInOneBatchIsNotHandedOver(t *testing.T) {
	db := opened(t, Config{Path: t.TempDir() + "/postrider.db"})
	e := newEventMaker().event("order.created")
	first := core.Message{Event: e.ID, Subscriber: 1, Lane: "a", Attempt: 1, First: 1}
	later := first
	later.Attempt = 2
	err := db.Publish(t.Context(), core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)},
		core.Outgoing{Queue: core.DeliveryQueue, Message: first},
		core.Outgoing{Queue: core.DeliveryQueue, Message: later, Due: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if f, ok := db.recent.take(ref{1, 1}); ok {
		t.Errorf("attempt %d is kept, and would be handed over", f.waiting.attempt)
	}
}

// A lane that asks the file for more may be given a message before memory is told that it was filed.
func TestAMessageThatWasReadBeforeItWasToldOfIsNotHandedOverAgain(t *testing.T) {
	db := opened(t, Config{Path: t.TempDir() + "/postrider.db"})
	e := newEventMaker().event("order.created")
	if err := db.Publish(t.Context(), core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)}); err != nil {
		t.Fatal(err)
	}
	lanes := db.lanes[core.DeliveryQueue]
	lanes.found("a", 0) // the lane has had a backlog: it asks the file
	m := core.Message{Event: e.ID, Subscriber: 1, Lane: "a", Attempt: 1, First: 1}
	var c *claim
	// By the committer's own hand: it has others to serve, from the start.
	err := db.committer.do(&request{apply: func(*write) error {
		apply := db.committer.apply
		db.committer.apply = func(r *request) {
			if c == nil && len(r.effects.filed) > 0 {
				c, _ = lanes.claim()
				if got, ok, err := db.load(c); !ok || err != nil || got.Attempt != 1 {
					t.Errorf("got %+v, %v, %v", got, ok, err)
				}
			}
			apply(r)
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Publish(t.Context(), core.Outgoing{Queue: core.DeliveryQueue, Message: m}); err != nil {
		t.Fatal(err)
	}
	next := m
	next.Attempt = 2
	err = db.handOver(c, core.Result{
		Log:  []core.Record{core.AttemptRecord{Attempt: core.Attempt{Event: e.ID, Subscriber: 1, Number: 1, First: 1, Outcome: core.Retry}}},
		Next: []core.Outgoing{{Queue: core.DeliveryQueue, Message: next, Due: time.Now().Add(time.Hour)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if f, ok := db.recent.take(ref{1, 1}); ok {
		t.Errorf("attempt %d is kept, and would be handed over again", f.waiting.attempt)
	}
}
