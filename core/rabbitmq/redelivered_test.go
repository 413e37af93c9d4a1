package rabbitmq

import (
	"context"
	"errors"
	"testing"

	"github.com/postrider/postrider/core"
)

// What a Handler had may be in the log, and what follows from it lost: who gets it next must know, or takes it for a publisher's repeat and drops it.
func TestWhatWasInHandWhenAConnectionWasLostIsCalledRedeliveredAlsoAfterItsLaneHadNoRoom(t *testing.T) {
	b := newPlaceOn(t, broker.Start(t).URL()).open(t)
	const many, handlers = 256, 8 // the broker delivers as many ahead; the window keeps 128 of a lane without room
	var out []core.Outgoing
	for range many {
		out = append(out, core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(benchEvent())})
	}
	if err := b.Publish(t.Context(), out...); err != nil {
		t.Fatal(err)
	}
	lost, open, got := make(chan struct{}), make(chan struct{}), make(chan core.Message, many)
	consumed(t, b, core.EventQueue, func(_ context.Context, m core.Message) (core.Result, error) {
		select {
		case <-lost:
		default:
			<-lost
			return core.Result{}, errors.New("the connection is lost")
		}
		select {
		case <-open:
			got <- m
			return core.Result{}, nil
		default:
		}
		return core.Result{}, &core.Held{Reason: "full", Notify: func(wake func()) { go func() { <-open; wake() }() }}
	})
	until(t, "the broker has delivered all", func() bool {
		w := b.queue.consuming[core.EventQueue].Load()
		return w != nil && w.depth() == many-handlers
	})
	b.queue.link.Load().end(errors.New("cut by the test"))
	close(lost)
	until(t, "some of the lane have left the window", func() bool { return waitsInTurn(b, core.EventQueue) > 0 })
	close(open)
	for range many {
		if m := next(t, got, "a message of the lane"); !m.Redelivered {
			t.Fatalf("event %s comes again, and is not called redelivered", m.Event)
		}
	}
}
