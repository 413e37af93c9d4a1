package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/retry"
)

// work is one attempt of a delivery that is to be made.
type work struct {
	event      core.Event
	payload    []byte
	subscriber core.Subscriber
	number     int
	first      int
	since      time.Time
	mayBeDead  bool         // there may be a dead letter: this is a replay, or another message of the delivery came to an end before
	resolve    core.Service // to fetch the payload from again first; zero: payload is what is sent
}

func (w *work) key() flightKey { return flightKey{w.event.ID, w.subscriber.ID} }

// asMessage leaves the first attempt of a delivery to the handler of a delivery message.
func (k flightKey) asMessage(since time.Time) core.Outgoing {
	return core.Outgoing{Queue: core.DeliveryQueue, Message: core.DeliveryMessage(k.event, k.subscriber, since)}
}

// fly makes the attempt of f, in a place of the subscriber's lane that was entered before, and lands f with what follows from it.
func (e *Engine) fly(ctx context.Context, f *flight) {
	w := &f.work
	attempt, answer, err := e.attempt(ctx, w)
	if err != nil {
		e.lanes.leave(w.subscriber.ID, experience{})
		f.land(core.Result{}, err)
		return
	}
	switch {
	case wasPutOff(answer):
		e.lanes.leave(w.subscriber.ID, experience{})
		attempt.First++ // it costs nothing of the budget: a burst that is longer than the schedule would end in dead letters
	case e.leave(w, attempt) == reopened:
		attempt.First++ // a probe in vain costs its delivery nothing of the budget, or the oldest ones would die of them
	}
	if attempt.Outcome != core.Delivered {
		settle(&attempt, e.scheduleOf(w.subscriber), answer.RetryAfter)
	}
	log := []core.Record{core.AttemptRecord{Attempt: attempt}}
	if w.mayBeDead {
		log = append([]core.Record{core.ResurrectRecord{ID: string(core.DeliveryIDOf(w.event.ID, w.subscriber.ID))}}, log...)
	}
	if answer.Gone {
		log = append(log, core.DisableRecord{Subscriber: w.subscriber.ID, Reason: attempt.Reason, At: time.Now()})
		e.log.Warn("subscriber disabled: its receiver wants no more", "subscriber", w.subscriber.ID, "reason", attempt.Reason)
	}
	if attempt.Outcome != core.Delivered {
		e.tell(w.event, attempt)
	}
	f.land(and(core.Result{Log: log}, follow(attempt, w.event)), nil)
}

// tell logs a failed attempt: the last one as a warning, the others for debugging alone. A receiver that fails makes thousands of them a second, and the
// log of deliveries has them all; that it fails, and works again, the breaker says once.
func (e *Engine) tell(event core.Event, a core.Attempt) {
	isLast := a.Due.IsZero()
	if !isLast && !e.log.IsDebug() {
		return
	}
	var id core.DeliveryID
	var about []any
	lastly, otherwise := "event is dead", "event is not resolved yet"
	if a.Subscriber == 0 {
		about = append(about, "event", event.ID, "webhook", event.Name)
	} else {
		lastly, otherwise = "delivery is dead", "attempt failed"
		id = core.DeliveryIDOf(event.ID, a.Subscriber)
		about = append(about, "delivery", id, "webhook", event.Name, "subscriber", a.Subscriber)
	}
	about = append(about, "attempt", a.Number, "trace", core.TraceOf(event, id, a.Number).ID(), "reason", a.Reason)
	if isLast {
		e.log.Warn(lastly, about...)
		return
	}
	e.log.Debug(otherwise, append(about, "outcome", a.Outcome, "code", a.Code, "again", a.Due.Format(time.RFC3339))...)
}

// wasPutOff reports whether the notifier has asked no receiver yet, but says when to come again: it spreads a burst as the receiver's limits want it.
// That says nothing about the receiver. How long it can go on, max_age decides.
func wasPutOff(a core.Answer) bool { return a.Outcome == core.Retry && a.Code == 0 && a.RetryAfter > 0 }

// leave gives back the place in the lane of w, with what the attempt says about it.
func (e *Engine) leave(w *work, a core.Attempt) transition {
	id := w.subscriber.ID
	x := experience{took: a.Duration, failed: a.Outcome != core.Delivered}
	if w.number > w.first {
		delay, _ := e.scheduleOf(w.subscriber).Delay(w.number - w.first)
		x.repeated = delay < breakerWindow
	}
	change := e.lanes.leave(id, x)
	if !x.failed {
		e.pace.wake(w.event.Name)
	}
	switch change {
	case opened:
		e.log.Warn("the receiver of this subscriber fails: its deliveries wait until it works again, and are not attempted but one at a time",
			"subscriber", id, "reason", a.Reason)
	case closed:
		e.log.Info("the receiver of this subscriber works again", "subscriber", id)
	}
	return change
}

// attempt makes one attempt and says how it went. An error means that it was not made, and costs none: the plugin is down, or ctx ended.
func (e *Engine) attempt(ctx context.Context, w *work) (core.Attempt, core.Answer, error) {
	started := time.Now()
	answer, err := e.notify(ctx, w)
	a := core.Attempt{
		Event: w.event.ID, Subscriber: w.subscriber.ID, Number: w.number, First: w.first, Since: w.since,
		Started: started, Duration: time.Since(started),
	}
	if err != nil {
		return a, answer, err
	}
	a.Outcome, a.Code, a.Reason, a.Excerpt = answer.Outcome, answer.Code, answer.Reason, answer.Excerpt
	if a.Reason == "" && a.Outcome != core.Delivered {
		a.Reason = fmt.Sprintf("notifier %s gave no reason", w.subscriber.Notifier)
	}
	return a, answer, nil
}

// notify calls the resolver, where the payload is to be fresh, and the notifier. What they fail at becomes an answer, unless it is no
// fault of the delivery.
func (e *Engine) notify(ctx context.Context, w *work) (core.Answer, error) {
	delivery := core.DeliveryIDOf(w.event.ID, w.subscriber.ID)
	trace := core.TraceOf(w.event, delivery, w.number)
	payload := w.payload
	if !w.resolve.IsZero() {
		fresh, err := e.resolve(ctx, w.resolve, w.event, trace)
		if err != nil {
			return answerOf(ctx, err, fmt.Sprintf("resolving %s again", w.resolve))
		}
		payload = fresh
	}
	calling := e.attempts.begin(ctx)
	defer calling.stop()
	envelope := w.subscriber.Envelope
	if envelope == "" {
		envelope = e.config.Envelope
	}
	answer, err := e.config.Plugins.Notify(calling, core.Notification{
		Delivery: delivery, Attempt: w.number, Event: w.event, Payload: payload, Subscriber: w.subscriber, Envelope: envelope, Trace: trace,
	})
	if err != nil {
		return answerOf(ctx, err, "notifier "+w.subscriber.Notifier)
	}
	return answer, nil
}

// resolve fetches the payload of event from its service. Its errors are those of [Plugins].
func (e *Engine) resolve(ctx context.Context, service core.Service, event core.Event, trace core.Trace) ([]byte, error) {
	if !e.services.enter(service, false) {
		return nil, e.services.full(service, fmt.Sprintf("%s has %d calls under way already", service, resolverShare))
	}
	started := time.Now()
	defer func() { e.services.leave(service, experience{took: time.Since(started)}) }()
	calling := e.resolutions.begin(ctx)
	defer calling.stop()
	payload, err := e.config.Plugins.Resolve(calling, core.Resolution{Service: service, Arguments: event.Arguments, Event: event.ID, Trace: trace})
	if err != nil {
		return nil, err
	}
	if !json.Valid(payload) {
		return nil, fmt.Errorf("its answer is not JSON: the resolver that offers %s must return a JSON text", service)
	}
	return payload, nil
}

// answerOf turns a plugin's error into the answer that it amounts to for the delivery, or returns it where it amounts to none: the plugin
// is down, or ctx, which is the message's and not the call's, has ended.
func answerOf(ctx context.Context, err error, where string) (core.Answer, error) {
	var held *core.Held
	if errors.As(err, &held) {
		return core.Answer{}, held
	}
	if ctx.Err() != nil {
		return core.Answer{}, ctx.Err()
	}
	reason := err.Error()
	if !strings.Contains(reason, where) { // an error of a resolver names its service by itself
		reason = where + ": " + reason
	}
	if errors.Is(err, context.DeadlineExceeded) {
		reason = where + " did not answer in time"
	}
	if core.IsInvalid(err) || errors.Is(err, core.ErrPermanent) || errors.Is(err, core.ErrTooLarge) {
		return core.Answer{Outcome: core.Rejected, Reason: reason}, nil
	}
	return core.Answer{Outcome: core.Retry, Reason: reason}, nil
}

// scheduleOf returns the schedule of a subscriber. Only failed and old deliveries ask for it, so that parsing costs the healthy case
// nothing.
func (e *Engine) scheduleOf(s core.Subscriber) retry.Schedule {
	if len(s.Retry) == 0 {
		return e.config.Retry
	}
	schedule, err := retry.Parse(s.Retry)
	if err != nil {
		e.log.Warn("subscriber's retry schedule can't be read, the daemon's is used", "subscriber", s.ID, "error", err)
		return e.config.Retry
	}
	return schedule
}
