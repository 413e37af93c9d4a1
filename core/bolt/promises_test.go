package bolt

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/core"
)

// What only a queue in one file can promise, beyond what core/coretest asks of every queue.

// received returns what comes next.
func received[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func consuming(t *testing.T, db *DB, q core.QueueName, concurrency int, h core.Handler) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- db.Consume(ctx, q, concurrency, h) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestAMessageIsFreshUntilAHandlerFailedOnItAndNotInAnotherLife(t *testing.T) {
	p := newPlace(t).(place)
	db := p.open(t, hooks{})
	maker := newEventMaker()
	publishAll(t, db, maker, 1)
	got := make(chan core.Message, 10)
	var wake func()
	outcomes := []error{
		&core.Held{Reason: "full", Notify: func(w func()) { wake = w; close(got) }},
		errors.New("not now"),
	}
	stop := consuming(t, db, core.EventQueue, 1, func(_ context.Context, m core.Message) (core.Result, error) {
		got <- m
		err := outcomes[0]
		if len(outcomes) > 1 { // it goes on to fail, where the test is slow to stop it
			outcomes = outcomes[1:]
		}
		return core.Result{}, err
	})
	if m := received(t, got); !m.Fresh || m.Redelivered {
		t.Errorf("the first time: %+v", m)
	}
	<-got // closed by Notify
	got = make(chan core.Message, 10)
	wake()
	if m := received(t, got); !m.Fresh || m.Redelivered {
		t.Errorf("after it was held: %+v", m)
	}
	if m := received(t, got); m.Fresh || !m.Redelivered {
		t.Errorf("after a failure: %+v", m)
	}
	stop()
	publishAll(t, db, maker, 1)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = p.open(t, hooks{})
	again := make(chan core.Message, 10)
	stop = consuming(t, db, core.EventQueue, 1, func(_ context.Context, m core.Message) (core.Result, error) {
		again <- m
		return core.Result{}, nil
	})
	for range 2 {
		if m := received(t, again); m.Fresh || !m.Redelivered {
			t.Errorf("in another life: %+v", m)
		}
	}
	stop()
}

func TestLanesTakeTurnsHoweverLongTheirBacklogs(t *testing.T) {
	db := newPlace(t).(place).open(t, hooks{})
	maker := newEventMaker()
	const backlog, concurrency = 3000, 4
	var out []core.Outgoing
	for i := range backlog + 2 {
		lane := "lane.long"
		if i >= backlog {
			lane = []string{"lane.short", "lane.other"}[i-backlog]
		}
		out = append(out, core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(maker.event(lane))})
	}
	if err := db.Publish(t.Context(), out...); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var order []string
	all := make(chan struct{})
	stop := consuming(t, db, core.EventQueue, concurrency, func(_ context.Context, m core.Message) (core.Result, error) {
		mu.Lock()
		defer mu.Unlock()
		if order = append(order, m.Lane); len(order) == len(out) {
			close(all)
		}
		return core.Result{}, nil
	})
	<-all
	stop()
	for _, lane := range []string{"lane.short", "lane.other"} {
		if at := slices.Index(order, lane); at > 4*concurrency {
			t.Errorf("%s had to wait for %d messages of the long lane", lane, at)
		}
	}
}

func TestALaterAttemptTakesThePlaceOfAnEarlierOne(t *testing.T) {
	db := newPlace(t).(place).open(t, hooks{})
	e := newEventMaker().event("order.created")
	now := core.DeliveryMessage(e.ID, 1, time.Now())
	later := now
	later.Attempt = 2
	err := db.Publish(t.Context(), core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)}, core.Outgoing{Queue: core.DeliveryQueue, Message: now})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Publish(t.Context(), core.Outgoing{Queue: core.DeliveryQueue, Message: later, Due: time.Now().Add(time.Hour)},
		core.Outgoing{Queue: core.DeliveryQueue, Message: now})
	if err != nil {
		t.Fatal(err)
	}
	depths, err := db.Depths(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := (core.Depth{Queue: core.DeliveryQueue, Ready: 0, Due: 1}); !slices.Contains(depths, want) {
		t.Errorf("got %+v, want %+v among them", depths, want)
	}
}
