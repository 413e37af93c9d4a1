package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/eventjson"
)

// publish takes one event, an array of them, or CloudEvents in the place of either, and answers 202 once all are durable. Repeating a publish
// under the same id, byte for byte the same event, changes nothing and gets the same answer.
func (a *api) publish(w http.ResponseWriter, r *http.Request) error {
	if err := a.backlog.admit(r.Context()); err != nil {
		return err
	}
	body, err := a.readBody(w, r)
	if err != nil {
		return err
	}
	p := publication{key: idempotencyKey(r.Header), trace: traceOf(r.Header), accepted: time.Now().UTC().Truncate(time.Millisecond)}
	first := eventjson.First(body)
	switch {
	case first == '{':
		return a.publishOne(w, r, p, body)
	case first == '[' && p.key == "":
		return a.publishBatch(w, r, p, body)
	}
	if err := eventjson.Check(body); err != nil {
		return err
	}
	if first == '[' {
		return core.Invalidf("Idempotency-Key", "an Idempotency-Key names one event, and this is an array: give each event its own id instead")
	}
	return core.Invalidf("", "the body is neither an object nor an array: an event is {\"event\":\"…\",\"arguments\":{…}}")
}

// idempotencyKey returns the key of draft-ietf-httpapi-idempotency-key-header, which puts it in quotes; many clients don't.
func idempotencyKey(header http.Header) string {
	key := header.Get("Idempotency-Key")
	if len(key) > 2 && key[0] == '"' && key[len(key)-1] == '"' {
		return key[1 : len(key)-1]
	}
	return key
}

// traceOf returns the publisher's trace context (https://www.w3.org/TR/trace-context/#traceparent-header). One that is there twice is none.
func traceOf(header http.Header) core.Trace {
	return core.ParseTrace(strings.Join(header["Traceparent"], ","))
}

func (a *api) publishOne(w http.ResponseWriter, r *http.Request, p publication, body []byte) error {
	given, err := eventjson.Read(body)
	if err != nil {
		return err
	}
	event, err := a.eventOf(given, p)
	if err != nil {
		return err
	}
	if err := a.Queue.Publish(r.Context(), outgoing(event)); err != nil {
		return publishError(event.ID, err)
	}
	writePublished(w, append(appendPublished(make([]byte, 0, 128), event), '\n'))
	return nil
}

// publishBatch takes the events of an array.
func (a *api) publishBatch(w http.ResponseWriter, r *http.Request, p publication, body []byte) error {
	b := batch{known: map[core.EventID]int{}}
	err := eventjson.ReadBatch(body, func(given eventjson.Envelope, err error) bool {
		var event core.Event
		if err == nil {
			event, err = a.eventOf(given, p)
		}
		if err != nil {
			return b.refuse(err)
		}
		return b.add(event)
	})
	if err == nil {
		err = b.failed()
	}
	if err != nil {
		return err
	}
	if len(b.out) > 0 {
		if err := a.Queue.Publish(r.Context(), b.out...); err != nil {
			return publishError("", err)
		}
	}
	answer := append(make([]byte, 0, 2+96*len(b.events)), '[')
	for i, event := range b.events {
		if i > 0 {
			answer = append(answer, ',')
		}
		answer = appendPublished(answer, event)
	}
	writePublished(w, append(answer, ']', '\n'))
	return nil
}

func writePublished(w http.ResponseWriter, answer []byte) {
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write(answer) // fails when the client has gone, and repeats then
}

// publication is what the request says of its event, or of all of an array, beside the body.
type publication struct {
	key      string     // of the request; "": none
	trace    core.Trace // of the request; "": none
	accepted time.Time
}

// eventOf makes and checks the event. Its arguments are a part of the body.
func (a *api) eventOf(given eventjson.Envelope, p publication) (core.Event, error) {
	event := core.Event{ID: core.EventID(given.ID), Name: given.Name, Arguments: given.Arguments, Accepted: p.accepted, Trace: p.trace}
	switch {
	case event.ID == "" && p.key == "":
		event.ID = core.EventID("evt_" + ulid.MustNew(ulid.Timestamp(p.accepted), ulid.DefaultEntropy()).String())
	case event.ID == "":
		event.ID = core.EventID(p.key)
	case p.key != "" && given.ID != p.key:
		return core.Event{}, core.Invalidf("Idempotency-Key", "the Idempotency-Key is another than the event's id %q: send one of them, or the same", given.ID)
	}
	if given.ID != "" || p.key != "" {
		if err := event.ID.Check(); err != nil {
			return core.Event{}, err
		}
	}
	webhook, ok := a.Catalog.Webhook(event.Name)
	if !ok {
		return core.Event{}, a.unknownWebhook(given.NameMember, event.Name)
	}
	if !webhook.Service.IsZero() {
		if err := a.Plugins.CheckArguments(webhook.Service, event.Arguments); err != nil {
			return core.Event{}, err
		}
	}
	return event, nil
}

func outgoing(e core.Event) core.Outgoing {
	return core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)}
}

// publishError says of ErrConflict what it means here. An empty id is that of a batch, of which the queue doesn't say which event it was.
func publishError(id core.EventID, err error) error {
	switch {
	case !errors.Is(err, core.ErrConflict):
		return err
	case id == "":
		return problemf(http.StatusConflict, "nothing of the batch was accepted: an id in it is known already, with another event name or other arguments (%s)", err)
	}
	return problemf(http.StatusConflict, "the event id %q is known already, with another event name or other arguments: "+
		"nothing was accepted; choose another id, or repeat the event as it was", id)
}

// appendPublished appends a [Published].
func appendPublished(b []byte, e core.Event) []byte {
	b = append(b, `{"id":`...)
	b = appendQuoted(b, string(e.ID))
	b = append(b, `,"event":`...)
	b = appendQuoted(b, e.Name)
	return append(b, '}')
}

// appendQuoted appends text of printable ASCII, of which Go and JSON quote the same. Hardly any has something to escape: to look first takes 0.6 µs less.
func appendQuoted(b []byte, text string) []byte {
	if strings.ContainsAny(text, `"\`) {
		return strconv.AppendQuote(b, text)
	}
	b = append(b, '"')
	b = append(b, text...)
	return append(b, '"')
}

// event shows how far an event has come, with what resolving it came to, and with its deliveries.
func (a *api) event(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	record, err := a.Log.Event(r.Context(), core.EventID(id))
	if err != nil {
		return notFoundAs(err, "there is no event %q: it was never published, or is older than the log goes back", id)
	}
	attempts, err := a.resolutionsOf(r.Context(), record.Event.ID)
	if err != nil {
		return err
	}
	deliveries, err := a.deliveriesOf(r.Context(), record.Event.ID)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, EventStatus{
		ID:         string(record.Event.ID),
		Event:      record.Event.Name,
		State:      record.State.String(),
		Accepted:   wireTime(record.Event.Accepted),
		Arguments:  shown(record.Event.Arguments),
		Payload:    shown(record.Payload),
		Attempts:   attemptsOf(attempts),
		Deliveries: deliveries,
	})
}

// resolutionsOf returns the attempts to resolve an event. They are numbered from 1 without gaps, through replays too; the one that succeeds is not
// logged.
func (a *api) resolutionsOf(ctx context.Context, event core.EventID) ([]core.Attempt, error) {
	var attempts []core.Attempt
	for number := 1; number <= maxLimit; number++ {
		attempt, err := a.Log.Attempt(ctx, event, 0, number)
		if errors.Is(err, core.ErrNotFound) {
			break
		}
		if err != nil {
			return nil, err
		}
		attempts = append(attempts, attempt)
	}
	return attempts, nil
}

func (a *api) deliveriesOf(ctx context.Context, event core.EventID) ([]Delivery, error) {
	deliveries := []Delivery{}
	filter := core.DeliveryFilter{Event: event, Limit: maxLimit}
	for {
		page, next, err := a.Log.Deliveries(ctx, filter)
		if err != nil {
			return nil, err
		}
		for _, d := range page {
			deliveries = append(deliveries, deliveryOf(d))
		}
		if next == "" || len(deliveries) >= maxLimit {
			return deliveries, nil
		}
		filter.Cursor = next
	}
}

// shown returns raw as JSON that can stand inside an answer, also when the resolver gave something else.
func shown(raw []byte) json.RawMessage {
	if len(raw) == 0 || json.Valid(raw) {
		return raw
	}
	text, _ := json.Marshal(string(raw)) // a string can always be marshalled
	return text
}
