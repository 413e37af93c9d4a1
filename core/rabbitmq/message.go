package rabbitmq

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/postrider/postrider/core"
)

// A message of Postrider's own: its properties and headers say everything but the arguments of an event, which are the body, as JSON. A delivery
// has no body: payload and arguments are in the log. Attempts are counted in headers of our own, never by what the broker notes down
// in x-death, which means other things in other versions.
//
//	message-id   the event's id
//	type         the event's name, on events alone
//	attempt, first, since, lane, subscriber      as in core.Message; since in milliseconds
//	accepted     when the event was accepted, in milliseconds, on events alone
//	traceparent  the publisher's trace context, on events alone
//	due, left    when it is to be handed over, in milliseconds; how many of them are left when the delay queue lets it go
//	failures     how many times a Handler has failed at it
const (
	headerAttempt    = "attempt"
	headerFirst      = "first"
	headerSince      = "since"
	headerLane       = "lane"
	headerSubscriber = "subscriber"
	headerAccepted   = "accepted"
	headerTrace      = "traceparent"
	headerDue        = "due"
	headerLeft       = "left"
	headerFailures   = "failures"
)

// envelope is a message with what only this queue knows of it.
type envelope struct {
	message  core.Message
	due      time.Time     // zero: now
	left     time.Duration // of the wait for due, when it was sent; a clock that jumped since makes no wait longer than that
	failures int
}

// wait returns how long the message must still wait.
func (e *envelope) wait(now time.Time) time.Duration {
	if e.due.IsZero() {
		return 0
	}
	return min(e.left, e.due.Sub(now))
}

// encode returns e as it is published.
func encode(e *envelope) amqp.Publishing {
	m := e.message
	headers := amqp.Table{
		headerAttempt: int64(max(1, m.Attempt)),
		headerFirst:   int64(max(1, m.First)),
		headerSince:   milli(m.Since),
		headerLane:    m.Lane,
	}
	p := amqp.Publishing{Headers: headers, DeliveryMode: amqp.Persistent, MessageId: string(m.Event), AppId: "postrider"}
	if m.Subscriber != 0 {
		headers[headerSubscriber] = int64(m.Subscriber)
	}
	if m.Content != nil {
		headers[headerAccepted] = milli(m.Content.Accepted)
		if m.Content.Trace != "" {
			headers[headerTrace] = string(m.Content.Trace)
		}
		p.Type, p.ContentType, p.Body = m.Content.Name, "application/json", m.Content.Arguments
	}
	if !e.due.IsZero() {
		// Rounded up, or it would come early.
		headers[headerDue], headers[headerLeft] = milli(e.due.Add(time.Millisecond-1)), e.left.Milliseconds()
	}
	if e.failures > 0 {
		headers[headerFailures] = int64(e.failures)
	}
	return p
}

// decode reads a message that encode made. Its errors are for people.
func decode(d *amqp.Delivery) (e envelope, err error) {
	read := func(header string) int64 {
		n, ok := number(d.Headers[header])
		if d.Headers[header] != nil && !ok {
			err = errors.Join(err, fmt.Errorf("its header %q is no number", header))
		}
		return n
	}
	lane, _ := d.Headers[headerLane].(string)
	e.message = core.Message{
		Event: core.EventID(d.MessageId), Subscriber: core.SubscriberID(read(headerSubscriber)),
		Attempt: int(read(headerAttempt)), First: int(read(headerFirst)), Since: fromMilli(read(headerSince)), Lane: lane,
	}
	e.due, e.left = fromMilli(read(headerDue)), time.Duration(read(headerLeft))*time.Millisecond
	e.failures = int(read(headerFailures))
	m := &e.message
	m.Redelivered = d.Redelivered || e.failures > 0
	if err == nil && (m.Attempt < 1 || m.First < 1 || m.Subscriber < 0) {
		err = fmt.Errorf("it asks for attempt %d, of those from %d on, of subscriber %d: all of them count from 1", m.Attempt, m.First, m.Subscriber)
	}
	if idErr := m.Event.Check(); err == nil && idErr != nil {
		err = fmt.Errorf("its message-id is no event's: %w", idErr)
	}
	if m.Subscriber != 0 || err != nil {
		return e, err
	}
	m.Content = &core.Event{
		ID: m.Event, Name: d.Type, Arguments: json.RawMessage(d.Body), Accepted: fromMilli(read(headerAccepted)), Trace: traceIn(d.Headers),
	}
	if eventErr := m.Content.Check(); err == nil {
		err = eventErr
	}
	return e, err
}

// traceIn reads the publisher's trace context, which is where and what https://w3c.github.io/trace-context-amqp/ says.
func traceIn(headers map[string]any) core.Trace {
	switch header := headers[headerTrace].(type) {
	case string:
		return core.ParseTrace(header)
	case []byte:
		return core.ParseTrace(string(header))
	}
	return ""
}

// number reads a header, whose type depends on who wrote it.
func number(v any) (int64, bool) {
	switch n := v.(type) {
	case int64:
		return n, true
	case int32:
		return int64(n), true
	case int16:
		return int64(n), true
	case int8:
		return int64(n), true
	case uint8:
		return int64(n), true
	case int:
		return int64(n), true
	}
	return 0, false
}

func milli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMilli(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
