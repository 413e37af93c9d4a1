package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/postrider/postrider/core"
)

// bury files what the broker gave up on, for as long as l lasts; ctx ends soon after it.
func (q *Queue) bury(ctx context.Context, l *link) {
	s, err := newSource(l, q.config.Prefix+deadletterSuffix, windowMin)
	if err != nil {
		l.end(fmt.Errorf("consume %s: %w", q.config.Prefix+deadletterSuffix, err))
		return
	}
	defer s.close()
	for d := range s.deliveries {
		if !q.buryAtLast(ctx, l, &d) {
			return
		}
		s.acker.acknowledge(d.DeliveryTag)
	}
	s.ended()
}

// buryAtLast tries until d is filed, or on its way to be filed later. It returns false if the link ends before that.
func (q *Queue) buryAtLast(ctx context.Context, l *link, d *amqp.Delivery) bool {
	for pause := restFirst; ; pause = min(2*pause, restMax) {
		failed, err := "what the broker gave up on cannot be filed, and will be again", q.buryOne(ctx, l, d)
		if needsDamaged(err) { // filed again, it would fail again, and all that comes after it would wait
			q.log.Error("what the broker gave up on needs a damaged record; it is kept, and filed once the store is whole", "event", d.MessageId, "error", err)
			failed, err = "what the broker gave up on cannot be sent away until the store is whole, and will be again", q.buryLater(ctx, l, d)
		}
		if err == nil {
			return true
		}
		if l.hasEnded() {
			return false
		}
		q.log.Error(failed, "event", d.MessageId, "error", err)
		select {
		case <-time.After(pause):
		case <-l.done:
			return false
		}
	}
}

// buryLater sends away what cannot be filed, because something in the store is damaged. It comes back within the hour.
func (q *Queue) buryLater(ctx context.Context, l *link, d *amqp.Delivery) error {
	return l.deliver(ctx, []*posting{{
		exchange: delayName(q.config.Prefix, asideFor), key: q.config.Prefix + deadletterSuffix, message: asIs(*d),
	}})
}

// buryOne makes a dead letter of a message. If the log has its attempt already, or has the event as dispatched, it was only never acknowledged, or is a
// dead letter that was replayed since: then it is consumed as it would have been, with what follows from that. If the replay still waits, that one counts.
func (q *Queue) buryOne(ctx context.Context, l *link, d *amqp.Delivery) error {
	e, err := decode(d)
	if err != nil {
		letter := unreadable(e.message.Event, q.config.Prefix+deadletterSuffix, d, err)
		return q.config.Store.HandOver(ctx, core.Message{}, core.Result{Log: []core.Record{core.DeadLetterRecord{DeadLetter: letter}}})
	}
	m := e.message
	release, _, err := q.keys.takeAll(ctx, true, []core.Outgoing{{Message: m}}) // what the store says of m holds until we have acted on it
	if err != nil {
		return err
	}
	defer release()
	attempt, err := q.config.Store.Attempt(ctx, m.Event, m.Subscriber, m.Attempt)
	switch {
	case err == nil:
		return q.consumeLogged(ctx, l, m, attempt)
	case !errors.Is(err, core.ErrNotFound):
		return err
	}
	overtaken, err := q.config.Store.Overtaken(ctx, m)
	if overtaken || err != nil {
		return err
	}
	record, err := q.config.Store.Event(ctx, m.Event)
	if err != nil && !errors.Is(err, core.ErrNotFound) {
		return err
	}
	if m.Content != nil && (record.State == core.EventDispatched || record.State == core.EventUnwanted) && err == nil {
		e.failures++ // so that whoever consumes it knows that it may have been consumed before
		return l.deliver(ctx, []*posting{q.delays.send(q.target(core.EventQueue), e, time.Now())})
	}
	letter := core.DeadLetter{
		ID: string(m.Event), Kind: core.DeadEvent, Event: m.Event, Subscriber: m.Subscriber, Died: time.Now(), Last: m.Attempt - 1,
		Reason: fmt.Sprintf("the broker gave up on its message (%s): Postrider was interrupted each time it had it in hand; see why in its log, then replay "+
			"this dead letter", whyDead(d)),
	}
	var log []core.Record
	if m.Content != nil {
		letter.EventName = m.Content.Name
		log = append(log, core.EventRecord{Event: *m.Content, State: core.EventDead})
	} else {
		letter.ID, letter.Kind = string(core.DeliveryIDOf(m.Event, m.Subscriber)), core.DeadDelivery
		letter.EventName = record.Event.Name
	}
	q.log.Warn("the broker gave up on a message", "dead_letter", letter.ID, "event", m.Event, "subscriber", m.Subscriber, "attempt", m.Attempt)
	return q.config.Store.HandOver(ctx, m, core.Result{Log: append(log, core.DeadLetterRecord{DeadLetter: letter})})
}

// consumeLogged hands over a message whose attempt a is in the log.
func (q *Queue) consumeLogged(ctx context.Context, l *link, m core.Message, a core.Attempt) error {
	var result core.Result
	if !a.Due.IsZero() {
		next := m
		next.Attempt, next.First, next.Since = a.Number+1, a.First, a.Since
		name := core.DeliveryQueue
		if m.Content != nil {
			name = core.EventQueue
		}
		result.Next = []core.Outgoing{{Queue: name, Message: next, Due: a.Due}}
	}
	if err := q.config.Store.HandOver(ctx, m, result); err != nil {
		return err
	}
	var postings []*posting
	for _, o := range result.Next {
		postings = append(postings, q.delays.send(q.target(o.Queue), envelope{message: o.Message, due: o.Due}, time.Now()))
	}
	return l.deliver(ctx, postings)
}

// whyDead tells what the broker says: queue and reason of the last time it dead-lettered the message for anything but its age, of which messages die in
// each delay queue that they go through; if it never did, of the first time. Nothing depends on it.
func whyDead(d *amqp.Delivery) string {
	reason, _ := d.Headers["x-first-death-reason"].(string)
	queue, _ := d.Headers["x-first-death-queue"].(string)
	deaths, _ := d.Headers["x-death"].([]any) // the newest first
	for _, entry := range deaths {
		death, _ := entry.(amqp.Table)
		why, known := death["reason"].(string)
		where, named := death["queue"].(string)
		if known && named && why != "expired" {
			reason, queue = why, where
			break
		}
	}
	if reason == "" {
		return "for a reason it does not tell"
	}
	return reason + " of queue " + queue
}
