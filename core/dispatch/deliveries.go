package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postrider/postrider/core"
)

// handleDelivery consumes one delivery message: makes the attempt it asks for, once. It looks for room before it reads anything, since a
// message of a full lane comes again and again.
func (e *Engine) handleDelivery(ctx context.Context, m core.Message) (core.Result, error) {
	if f := e.flights.join(flightKey{m.Event, m.Subscriber}); f != nil {
		return e.disembark(ctx, f)
	}
	subscriber, ok := e.config.Subscribers.Subscriber(m.Subscriber)
	if !ok {
		return e.undeliverable(ctx, m, fmt.Sprintf("subscriber %d was deleted while the delivery waited", m.Subscriber))
	}
	if !subscriber.Enabled {
		return core.Result{}, e.disabled(subscriber.ID)
	}
	if age := time.Since(m.Since); age > e.config.MaxAge && age > e.config.MaxAge+e.scheduleOf(subscriber).Span() {
		return e.undeliverable(ctx, m, fmt.Sprintf(
			"waited for %s without being delivered: that is over max_age beyond its schedule", age.Round(time.Second)))
	}
	if !e.lanes.enterByDoor(ctx, subscriber.ID, false) {
		return core.Result{}, e.noRoom(subscriber.ID)
	}
	return e.inLane(ctx, m, subscriber)
}

// noRoom holds the deliveries of a subscriber whose lane has no place for an attempt now.
func (e *Engine) noRoom(id core.SubscriberID) *core.Held {
	if until, paused := e.lanes.pausedUntil(id); paused {
		return e.lanes.full(id, fmt.Sprintf("the receiver of subscriber %d fails: the next attempt is made at %s", id, until.Format(time.RFC3339)))
	}
	return e.lanes.full(id, fmt.Sprintf("subscriber %d has %d attempts under way already", id, e.config.LaneConcurrency))
}

// inLane makes the attempt that m asks for, in a place of the lane that was entered before, and leaves it.
func (e *Engine) inLane(ctx context.Context, m core.Message, s core.Subscriber) (core.Result, error) {
	record, again, done, err := e.recall(ctx, m)
	if done || err != nil {
		e.lanes.leave(s.ID, experience{})
		return again, err
	}
	f, isNew := e.flights.board(flightKey{m.Event, m.Subscriber})
	if isNew {
		f.work = e.workOf(m, record, s)
		e.fly(ctx, f)
	} else {
		e.lanes.leave(s.ID, experience{})
	}
	return e.disembark(ctx, f)
}

// recall reads the event of m from the log. Where nothing is left to do, done is true, and again is what takes the place of m: its attempt is
// logged already, or the event is gone. The log is asked for Fresh messages too: what is replayed twice at the same time has two of them.
func (e *Engine) recall(ctx context.Context, m core.Message) (record core.EventRecord, again core.Result, done bool, err error) {
	record, err = e.config.Log.Event(ctx, m.Event)
	if errors.Is(err, core.ErrNotFound) {
		reason := fmt.Sprintf("event %s is not in the log: its payload is gone", m.Event)
		return record, e.unattempted(m, core.Event{ID: m.Event}, reason), true, nil
	}
	if err != nil {
		return record, again, false, fmt.Errorf("look up event %s of a delivery: %w", m.Event, err)
	}
	again, done, err = e.attemptedBefore(ctx, record.Event, m.Subscriber, m.Attempt)
	return record, again, done, err
}

// workOf returns the attempt that m asks for. The frozen payload is sent, unless the webhook wants a fresh one on retries.
func (e *Engine) workOf(m core.Message, record core.EventRecord, s core.Subscriber) work {
	w := work{
		event: record.Event, payload: record.Payload, subscriber: s, number: m.Attempt, first: m.First, since: m.Since,
		mayBeDead: !m.Fresh || m.First > 1,
	}
	if w.payload == nil {
		w.payload = record.Event.Arguments
	}
	if webhook := e.config.Webhooks[record.Event.Name]; webhook.Fresh && m.Attempt > 1 {
		w.resolve = webhook.Service
	}
	return w
}

// disembark waits for f to land and returns what follows from it.
func (e *Engine) disembark(ctx context.Context, f *flight) (core.Result, error) {
	select {
	case <-f.landed:
	case <-ctx.Done():
		return core.Result{}, ctx.Err()
	}
	e.flights.forget(f)
	return f.result, f.err
}

// attemptedBefore returns the successor of an attempt that the log has already.
func (e *Engine) attemptedBefore(
	ctx context.Context, event core.Event, subscriber core.SubscriberID, number int,
) (_ core.Result, ok bool, _ error) {
	a, err := e.config.Log.Attempt(ctx, event.ID, subscriber, number)
	if errors.Is(err, core.ErrNotFound) {
		return core.Result{}, false, nil
	}
	if err != nil {
		return core.Result{}, false, fmt.Errorf("look up attempt %d of delivery %s: %w", number, core.DeliveryIDOf(event.ID, subscriber), err)
	}
	return followAgain(a, event), true, nil
}

// disabled holds the deliveries of a subscriber until it is enabled, or deleted.
func (e *Engine) disabled(id core.SubscriberID) *core.Held {
	return e.lanes.heldUntil(id, fmt.Sprintf("subscriber %d is disabled", id), func(*lane) bool {
		s, ok := e.config.Subscribers.Subscriber(id)
		return !ok || s.Enabled
	})
}

// undeliverable ends a delivery whose attempt will not be made. An attempt that the log has already counts all the same.
func (e *Engine) undeliverable(ctx context.Context, m core.Message, reason string) (core.Result, error) {
	record, again, done, err := e.recall(ctx, m)
	if done || err != nil {
		return again, err
	}
	return e.unattempted(m, record.Event, reason), nil
}

// unattempted files a delivery as dead without an attempt.
func (e *Engine) unattempted(m core.Message, event core.Event, reason string) core.Result {
	e.log.Warn("delivery is dead", "delivery", core.DeliveryIDOf(m.Event, m.Subscriber), "webhook", event.Name,
		"subscriber", m.Subscriber, "trace", core.TraceOf(event, core.DeliveryIDOf(m.Event, m.Subscriber), m.Attempt).ID(), "reason", reason)
	return core.Result{Log: []core.Record{
		core.DeadLetterRecord{DeadLetter: deadLetter(event, m.Subscriber, reason, time.Now(), m.Attempt-1)},
	}}
}
