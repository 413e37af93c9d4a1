package bolt

import (
	"fmt"
	"testing"
	"time"

	"github.com/postrider/postrider/core"
)

// What is read backwards in the open transaction meets pages that were emptied in it.

func settle(t *testing.T, db *DB) {
	t.Helper()
	if err := db.committer.do(&request{settle: true}); err != nil {
		t.Fatal(err)
	}
}

// within fails the test where f, which does not look at any context, does not return.
func within(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		panic("reading goes on for ever") // nothing else ends it
	}
}

func TestDeliveriesAreListedWhereAllThatWaitedIsGone(t *testing.T) {
	db := opened(t, Config{Path: t.TempDir() + "/postrider.db"})
	maker := newEventMaker()
	last := maker.event("order.created")
	var out []core.Outgoing
	for range 300 {
		last = maker.event("order.created")
		out = append(out, core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(last)})
	}
	if err := db.Publish(t.Context(), out...); err != nil {
		t.Fatal(err)
	}
	settle(t, db)
	consumeAll(t, db, 300, nil)
	within(t, func() {
		page, _, err := db.Deliveries(t.Context(), core.DeliveryFilter{Event: last.ID, Limit: 10})
		if err != nil || len(page) != 1 {
			t.Errorf("got %v, %v, want one delivery", page, err)
		}
	})
}

func TestDeliveriesAreListedBeyondPagesOfWhatIsGone(t *testing.T) {
	db := opened(t, Config{Path: t.TempDir() + "/postrider.db"})
	e := newEventMaker().event("order.created")
	out := []core.Outgoing{{Queue: core.EventQueue, Message: core.EventMessage(e)}}
	message := func(i int) core.Message {
		return core.Message{Event: e.ID, Subscriber: core.SubscriberID(i), Lane: fmt.Sprint(i), Attempt: 1, First: 1}
	}
	for i := range 300 {
		out = append(out, core.Outgoing{Queue: core.DeliveryQueue, Message: message(i + 1)})
	}
	if err := db.Publish(t.Context(), out...); err != nil {
		t.Fatal(err)
	}
	settle(t, db)
	err := db.committer.do(&request{essential: true, apply: func(w *write) error { // 280 of them end, and leave nothing in the log
		for i := 11; i <= 290; i++ {
			c := &claim{lane: &lane{name: fmt.Sprint(i)}, ref: ref{1, core.SubscriberID(i)}, event: e.ID, attempt: 1}
			if err := w.consume(c); err != nil {
				return err
			}
		}
		w.effects.own = nil
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	within(t, func() {
		for f := (core.DeliveryFilter{Event: e.ID, Limit: 1000}); ; {
			page, next, err := db.Deliveries(t.Context(), f)
			if err != nil {
				t.Error(err)
				return
			}
			n += len(page)
			if f.Cursor = next; next == "" {
				return
			}
		}
	})
	if n != 20 {
		t.Errorf("got %d deliveries, want 20", n)
	}
}
