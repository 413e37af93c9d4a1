package dispatch

import (
	"context"
	"fmt"
	"time"

	"github.com/postrider/postrider/core"
)

// ReplayDeadLetter puts a dead letter back to work: its attempts are numbered on, with a new budget. Doing so twice is harmless. The queue
// takes the dead letter away together with the publish, where it can; else the first new attempt does. It returns
// core.ErrNotFound for an unknown id, and core.ErrConflict where the subscriber is gone, or where what came could not be read.
func (e *Engine) ReplayDeadLetter(ctx context.Context, id string) error {
	d, err := e.config.Log.DeadLetter(ctx, id)
	if err != nil {
		return fmt.Errorf("dead letter %s: %w", id, err)
	}
	if d.Kind == core.DeadDelivery {
		return e.replay(ctx, d.Event, d.Subscriber, d.Last)
	}
	if d.Original != nil {
		return fmt.Errorf("dead letter %s is a message that could not be read, so there is no event to try again: publish it anew as it should have been, "+
			"then purge this: %w", id, core.ErrConflict)
	}
	record, err := e.config.Log.Event(ctx, d.Event)
	if err != nil {
		return fmt.Errorf("event %s of the dead letter: %w", d.Event, err)
	}
	m := core.EventMessage(record.Event)
	m.Attempt, m.First, m.Since = d.Last+1, d.Last+1, time.Now().Truncate(time.Millisecond)
	if err := e.config.Queue.Publish(ctx, core.Outgoing{Queue: core.EventQueue, Message: m}); err != nil {
		return fmt.Errorf("replay event %s: %w", d.Event, err)
	}
	return nil
}

// ReplayDelivery sends a delivery that has ended, delivered or dead, once more. It returns core.ErrConflict for one that is still being tried.
func (e *Engine) ReplayDelivery(ctx context.Context, id core.DeliveryID) error {
	d, err := e.config.Log.Delivery(ctx, id)
	if err != nil {
		return fmt.Errorf("delivery %s: %w", id, err)
	}
	if d.State != core.DeliveryDelivered && d.State != core.DeliveryDead {
		return fmt.Errorf("delivery %s is %s, and will be tried without a replay: %w", id, d.State, core.ErrConflict)
	}
	last := 0
	if d.Last != nil {
		last = d.Last.Number
	}
	return e.replay(ctx, d.Event, d.Subscriber, last)
}

func (e *Engine) replay(ctx context.Context, event core.EventID, subscriber core.SubscriberID, last int) error {
	if _, ok := e.config.Subscribers.Subscriber(subscriber); !ok {
		return fmt.Errorf("subscriber %d no longer exists, so nobody would get the replay: %w", subscriber, core.ErrConflict)
	}
	m := core.DeliveryMessage(event, subscriber, time.Now().Truncate(time.Millisecond))
	m.Attempt, m.First = last+1, last+1
	if err := e.config.Queue.Publish(ctx, core.Outgoing{Queue: core.DeliveryQueue, Message: m}); err != nil {
		return fmt.Errorf("replay delivery %s: %w", core.DeliveryIDOf(event, subscriber), err)
	}
	return nil
}
