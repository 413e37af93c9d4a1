package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postrider/postrider/core"
)

// handleEvent consumes one event: resolves it, makes the first attempts or expands it into delivery messages.
func (e *Engine) handleEvent(ctx, flying context.Context, m core.Message) (core.Result, error) {
	event := *m.Content
	known := core.EventRecord{Event: event, State: core.EventAccepted}
	if !m.Fresh || m.First > 1 { // two operators may replay one event at the same time
		logged, result, done, err := e.consumedBefore(ctx, m, event)
		if done || err != nil {
			return result, err
		}
		known = logged
	}
	if known.State == core.EventDispatched {
		return e.dispatchAgain(ctx, m)
	}

	webhook, ok := e.config.Webhooks[event.Name]
	if !ok {
		return e.unresolved(m, event, core.Answer{Outcome: core.Rejected, Reason: fmt.Sprintf(
			"no webhook is called %q: define it in a webhooks file, restart, then replay this dead letter", event.Name)}, time.Now()), nil
	}
	subscribers := e.config.Subscribers.Match(event.Name, event.Accepted)
	if len(subscribers) == 0 {
		return core.Result{Log: append(revived(m), core.EventRecord{Event: event, State: core.EventUnwanted})}, nil
	}

	if only := subscribers[0].ID; len(subscribers) == 1 && e.lanes.isCrowded(only) {
		// All events of this name wait for the same lane: better here, unresolved, than as delivery messages.
		return core.Result{}, e.noRoom(only)
	}
	if e.haveNoRoom(subscribers) {
		if held := e.pace.pass(event.Name); held != nil {
			return core.Result{}, held
		}
	}

	record := core.EventRecord{Event: event, State: core.EventDispatched}
	if !webhook.Service.IsZero() {
		started := time.Now()
		resolved, err := e.resolve(ctx, webhook.Service, event, core.TraceOf(event, "", m.Attempt))
		if err != nil {
			return e.unresolvedBy(ctx, m, webhook, err, started)
		}
		record.Payload = resolved
	}
	payload := record.Payload
	if payload == nil {
		payload = event.Arguments
	}

	result := core.Result{Log: append(append(make([]core.Record, 0, 1+min(len(subscribers), inlineSubscribers)), revived(m)...), record)}
	return e.deliver(ctx, flying, result, work{event: event, payload: payload, number: 1, first: 1}, subscribers)
}

// haveNoRoom reports whether none of few subscribers can be attempted now. Of many, some always can.
func (e *Engine) haveNoRoom(subscribers []core.Subscriber) bool {
	if len(subscribers) > inlineSubscribers {
		return false
	}
	for i := range subscribers {
		if subscribers[i].Enabled && !e.lanes.isShut(subscribers[i].ID) {
			return false
		}
	}
	return true
}

// dispatchAgain returns what follows from an event that was dispatched before and is handed over again: the successors of its deliveries, since they may be
// lost. Those of a disabled or a deleted subscriber are among them. All goes on in messages: there may be some of a delivery already, and who has one
// in hand would not know of an attempt that is made here.
func (e *Engine) dispatchAgain(ctx context.Context, m core.Message) (core.Result, error) {
	result := core.Result{Log: revived(m)}
	filter := core.DeliveryFilter{Event: m.Event, Limit: 1000}
	for {
		page, next, err := e.config.Log.Deliveries(ctx, filter)
		if err != nil {
			return core.Result{}, fmt.Errorf("look up the deliveries of event %s: %w", m.Event, err)
		}
		for _, d := range page {
			if d.Last != nil {
				result.Next = append(result.Next, followAgain(*d.Last, *m.Content).Next...)
				continue
			}
			first := core.DeliveryMessage(m.Event, d.Subscriber, time.Now().Truncate(time.Millisecond))
			result.Next = append(result.Next, core.Outgoing{Queue: core.DeliveryQueue, Message: first})
		}
		if filter.Cursor = next; next == "" {
			return result, nil
		}
	}
}

// consumedBefore looks up what the log has of an event that may have been consumed before. Where nothing is left to do, done is true, and
// result is what takes the place of m.
func (e *Engine) consumedBefore(
	ctx context.Context, m core.Message, event core.Event,
) (known core.EventRecord, result core.Result, done bool, err error) {
	known, err = e.config.Log.Event(ctx, event.ID)
	if errors.Is(err, core.ErrNotFound) {
		return core.EventRecord{Event: event, State: core.EventAccepted}, result, false, nil
	}
	if err != nil {
		return known, result, false, fmt.Errorf("look up event %s: %w", event.ID, err)
	}
	isFirst := m.Attempt == m.First && m.First == 1
	if isFirst && known.State != core.EventAccepted && (!m.Redelivered || known.State == core.EventUnwanted) {
		return known, result, true, nil // the publisher repeats itself
	}
	a, err := e.config.Log.Attempt(ctx, event.ID, 0, m.Attempt)
	if errors.Is(err, core.ErrNotFound) {
		return known, result, false, nil
	}
	if err != nil {
		return known, result, false, fmt.Errorf("look up attempt %d to resolve event %s: %w", m.Attempt, event.ID, err)
	}
	return known, followAgain(a, event), true, nil
}

// unresolvedBy says what follows from an error of the resolver, unless it is no fault of the event.
func (e *Engine) unresolvedBy(ctx context.Context, m core.Message, w core.Webhook, err error, started time.Time) (core.Result, error) {
	answer, err := answerOf(ctx, err, w.Service.String())
	if err != nil {
		return core.Result{}, err
	}
	return e.unresolved(m, *m.Content, answer, started), nil
}

// unresolved logs a failed attempt to resolve event, which began at started, with what follows from it.
func (e *Engine) unresolved(m core.Message, event core.Event, answer core.Answer, started time.Time) core.Result {
	a := core.Attempt{
		Event: event.ID, Number: m.Attempt, First: m.First, Since: m.Since,
		Started: started, Duration: time.Since(started), Outcome: answer.Outcome, Reason: answer.Reason,
	}
	settle(&a, e.config.Retry, 0)
	e.tell(event, a)
	return and(core.Result{Log: append(revived(m), core.AttemptRecord{Attempt: a})}, follow(a, event))
}

// revived takes away the dead letter of an event that was replayed, where the queue has not done so.
func revived(m core.Message) []core.Record {
	if m.First == 1 {
		return nil
	}
	return []core.Record{core.ResurrectRecord{ID: string(m.Event)}}
}

// deliver makes the first attempts of an event's deliveries where that is quick, and leaves the others to messages of their own: it adds to result what
// follows. first is such an attempt, but for its subscriber.
func (e *Engine) deliver(ctx, flying context.Context, result core.Result, first work, subscribers []core.Subscriber) (core.Result, error) {
	first.since = time.Now().Truncate(time.Millisecond)
	inline := make([]*flight, 0, inlineSubscribers)
	for i := range subscribers {
		first.subscriber = subscribers[i]
		if len(subscribers) <= inlineSubscribers && subscribers[i].Enabled {
			if f := e.startInline(ctx, flying, &first, len(subscribers) == 1); f != nil {
				inline = append(inline, f)
				continue
			}
		}
		result.Next = append(result.Next, first.key().asMessage(first.since))
	}

	if len(inline) == 0 {
		return result, nil
	}
	waiting := e.patience.begin(ctx)
	defer waiting.stop()
	for _, f := range inline {
		landed, err := e.awaitInline(ctx, f, waiting.Done())
		if err != nil {
			return core.Result{}, err
		}
		if landed == nil {
			result.Next = append(result.Next, f.key.asMessage(first.since))
			continue
		}
		result = and(result, *landed)
	}
	return result, nil
}
