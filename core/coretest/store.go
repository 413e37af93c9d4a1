package coretest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/postrider/postrider/core"
)

// TestStore checks what is written to the log and to the subscribers, and how it is read again. place makes an empty place.
func TestStore(t *testing.T, place func(t *testing.T) Place) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Place)
	}{
		{"every field of a record survives reopening", fieldsSurvive},
		{"an attempt that is logged stays as it is", attemptsStay},
		{"an event's state follows from its message and its record", eventStates},
		{"a delivery's state follows from message, dead letter and last attempt", deliveryStates},
		{"deliveries are listed newest first, filtered, in pages", listDeliveries},
		{"dead letters are filed, replaced, listed, resurrected and removed", deadLetters},
		{"subscribers are created, changed, matched, disabled and deleted", subscribers},
		{"what is not there is not found", notFound},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, place(t)) })
	}
}

var someTime = time.Date(2026, 5, 4, 3, 2, 1, 987_000_000, time.UTC)

// filled returns a T of which no field is zero, so that one that a store forgets is found out.
func filled[T any](t *testing.T, v T) T {
	t.Helper()
	s := reflect.ValueOf(v)
	for i := range s.NumField() {
		if s.Field(i).IsZero() {
			t.Fatalf("field %s of %T is not covered by this test", s.Type().Field(i).Name, v)
		}
	}
	return v
}

func wantSame(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

func fullAttempt(t *testing.T, event core.EventID) core.Attempt {
	return filled(t, core.Attempt{
		Event: event, Subscriber: 12, Number: 7, First: 3, Since: someTime, Started: someTime.Add(time.Hour), Duration: 1234 * time.Millisecond,
		Outcome: core.Retry, Code: 503, Reason: "the receiver answered 503", Excerpt: "try later", Due: someTime.Add(2 * time.Hour),
	})
}

func fullSubscriber() core.Subscriber {
	return core.Subscriber{
		Event: "order.created", URL: "https://example.com/hook", Token: "secret", Notifier: "default", Enabled: true, Reason: "none",
		Settings: json.RawMessage(`{"a":1}`), Retry: json.RawMessage(`["5s"]`), Envelope: core.EnvelopeRaw,
		Earlier: []core.EarlierToken{{Token: "older", Expires: someTime}, {Token: "oldest", Expires: someTime.Add(-time.Hour)}},
	}
}

func fieldsSurvive(t *testing.T, p Place) {
	b := p.Open(t)
	e := filled(t, newEvent("order.created"))
	attempt := fullAttempt(t, e.ID)
	letter := core.DeadLetter{
		ID: "some-id", Kind: core.DeadDelivery, Event: e.ID, EventName: e.Name, Subscriber: 12, Reason: "too often", Died: someTime, Last: 7,
		Original: []byte("{\xff"),
	}
	record := filled(t, core.EventRecord{Event: e, State: core.EventUnwanted, Payload: []byte("payload")})
	if err := b.Append(t.Context(), record, core.AttemptRecord{Attempt: attempt}, core.DeadLetterRecord{DeadLetter: letter}); err != nil {
		t.Fatal(err)
	}
	subscriber, err := b.CreateSubscriber(t.Context(), fullSubscriber())
	if err != nil {
		t.Fatal(err)
	}
	disabled, err := b.UpdateSubscriber(t.Context(), subscriber.ID, func(s *core.Subscriber) error { s.Enabled = false; return nil })
	if err != nil {
		t.Fatal(err)
	}
	covered := disabled
	covered.Enabled = subscriber.Enabled // one that is has not been disabled
	filled(t, covered)
	enabled, err := b.CreateSubscriber(t.Context(), fullSubscriber())
	if err != nil {
		t.Fatal(err)
	}
	closed(t, b)
	b = p.Open(t)
	defer closed(t, b)
	gotRecord, err := b.Event(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, "event", gotRecord, record)
	gotAttempt, err := b.Attempt(t.Context(), e.ID, 12, 7)
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, "attempt", gotAttempt, attempt)
	gotLetter, err := b.DeadLetter(t.Context(), "some-id")
	if err != nil {
		t.Fatal(err)
	}
	letter.Attempts = []core.Attempt{attempt}
	wantSame(t, "dead letter", gotLetter, filled(t, letter))
	wantSame(t, "subscribers", b.Subscribers(), []core.Subscriber{disabled, enabled})
}

func attemptsStay(t *testing.T, p Place) {
	b := p.Open(t)
	defer closed(t, b)
	e := newEvent("order.created")
	first := fullAttempt(t, e.ID)
	second := first
	second.Outcome, second.Reason = core.Delivered, "another story"
	err := b.Append(t.Context(), core.EventRecord{Event: e, State: core.EventDispatched}, core.AttemptRecord{Attempt: first}, core.AttemptRecord{Attempt: second})
	if err == nil {
		err = b.Append(t.Context(), core.AttemptRecord{Attempt: second})
	}
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Attempt(t.Context(), e.ID, first.Subscriber, first.Number)
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, "attempt", got, first)
}

func eventStates(t *testing.T, p Place) {
	b := p.Open(t)
	defer closed(t, b)
	want := func(id core.EventID, state core.EventState) {
		t.Helper()
		if got, err := b.Event(t.Context(), id); err != nil || got.State != state {
			t.Errorf("got %v, %v, want %v", got.State, err, state)
		}
	}
	states := []core.EventState{core.EventDispatched, core.EventUnwanted, core.EventDead}
	var events []core.Event
	for _, state := range states {
		e := newEvent("order." + state.String())
		publishEvents(t, b, e)
		want(e.ID, core.EventAccepted)
		events = append(events, e)
	}
	handled := make(chan core.Message, len(states))
	c := consume(t, b, core.EventQueue, 1, func(_ context.Context, m core.Message) (core.Result, error) {
		handled <- m
		for _, state := range states {
			if m.Lane == "order."+state.String() {
				return core.Result{Log: []core.Record{core.EventRecord{Event: *m.Content, State: state}}}, nil
			}
		}
		return core.Result{}, fmt.Errorf("lane %q", m.Lane)
	})
	for range states {
		receive(t, handled, "an event")
	}
	c.stop()
	for i, state := range states {
		want(events[i].ID, state)
	}
	// A replay puts a dead event back to work, numbered on.
	again := core.EventMessage(events[2])
	again.Attempt, again.First = 2, 2
	if err := b.Publish(t.Context(), core.Outgoing{Queue: core.EventQueue, Message: again}); err != nil {
		t.Fatal(err)
	}
	want(events[2].ID, core.EventAccepted)
}

func deliveryStates(t *testing.T, p Place) {
	for _, id := range []core.EventID{"", "chosen-by-the-publisher", "evt_00000000000000000000000042"} {
		t.Run("id "+string(id), func(t *testing.T) {
			b := p.Open(t)
			defer closed(t, b)
			e := newEvent("order.created")
			if id != "" {
				e.ID = id
			}
			publishEvents(t, b, e)
			delivery := core.DeliveryIDOf(e.ID, 9)
			want := func(state core.DeliveryState, attempts int) {
				t.Helper()
				d, err := b.Delivery(t.Context(), delivery)
				if err != nil || d.State != state || len(d.Attempts) != attempts || d.Event != e.ID || d.EventName != e.Name || d.Subscriber != 9 {
					t.Errorf("got %+v, %v, want state %v with %d attempts", d, err, state, attempts)
				}
			}
			// step lets the waiting message end as one attempt.
			step := func(a core.Attempt, more ...core.Record) {
				t.Helper()
				done := make(chan struct{}, 1)
				c := consume(t, b, core.DeliveryQueue, 1, func(_ context.Context, m core.Message) (core.Result, error) {
					a.Event, a.Subscriber, a.Number, a.First = m.Event, m.Subscriber, m.Attempt, m.First
					result := core.Result{Log: append([]core.Record{core.AttemptRecord{Attempt: a}}, more...)}
					if !a.Due.IsZero() {
						m.Attempt++
						result.Next = []core.Outgoing{{Queue: core.DeliveryQueue, Message: m, Due: a.Due}}
					}
					done <- struct{}{}
					return result, nil
				})
				receive(t, done, "the delivery")
				c.stop()
			}
			if err := b.Publish(t.Context(), toDeliver(e, 9)); err != nil {
				t.Fatal(err)
			}
			want(core.DeliveryPending, 0)
			step(core.Attempt{Outcome: core.Retry, Due: time.Now().Add(100 * time.Millisecond)})
			want(core.DeliveryScheduled, 1)
			letter := core.DeadLetter{ID: string(delivery), Kind: core.DeadDelivery, Event: e.ID, EventName: e.Name, Subscriber: 9, Died: someTime, Last: 2}
			step(core.Attempt{Outcome: core.Rejected}, core.DeadLetterRecord{DeadLetter: letter})
			want(core.DeliveryDead, 2)
			replay := toDeliver(e, 9)
			replay.Message.Attempt, replay.Message.First = 3, 3
			for range 2 { // replaying twice is replaying once
				if err := b.Publish(t.Context(), replay); err != nil {
					t.Fatal(err)
				}
			}
			want(core.DeliveryPending, 2)
			step(core.Attempt{Outcome: core.Delivered}, core.ResurrectRecord{ID: string(delivery)})
			want(core.DeliveryDelivered, 3)
			if _, err := b.DeadLetter(t.Context(), string(delivery)); !errors.Is(err, core.ErrNotFound) {
				t.Errorf("dead letter of a delivered one: got %v, want ErrNotFound", err)
			}
		})
	}
}

func listDeliveries(t *testing.T, p Place) {
	b := p.Open(t)
	defer closed(t, b)
	var events []core.Event
	for i := range 6 {
		e := newEvent([]string{"order.created", "order.paid"}[i%2])
		publishEvents(t, b, e)
		var records []core.Record
		for n := range 3 { // of subscriber 1: delivered at the third attempt
			records = append(records, core.AttemptRecord{Attempt: core.Attempt{
				Event: e.ID, Subscriber: 1, Number: n + 1, First: 1, Outcome: []core.Outcome{core.Retry, core.Retry, core.Delivered}[n],
			}})
		}
		if err := b.Append(t.Context(), records...); err != nil {
			t.Fatal(err)
		}
		if err := b.Publish(t.Context(), toDeliver(e, 2)); err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	slices.Reverse(events)
	list := func(f core.DeliveryFilter) (got []string) {
		t.Helper()
		for {
			page, next, err := b.Deliveries(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) > f.Limit {
				t.Fatalf("page of %d, limit %d", len(page), f.Limit)
			}
			for _, d := range page {
				at := slices.IndexFunc(events, func(e core.Event) bool { return e.ID == d.Event })
				got = append(got, fmt.Sprintf("%d/%d %v", at, d.Subscriber, d.State))
				if (d.Last != nil) != (d.Subscriber == 1) || d.Last != nil && d.Last.Number != 3 {
					t.Errorf("last attempt of %s: %+v", d.ID, d.Last)
				}
				if d.ID != core.DeliveryIDOf(d.Event, d.Subscriber) || d.EventName != events[at].Name {
					t.Errorf("got %+v", d)
				}
			}
			if next == "" {
				return got
			}
			f.Cursor = next
		}
	}
	var all, toSecond, paid []string
	for i := range events {
		pending, sent := fmt.Sprintf("%d/2 pending", i), fmt.Sprintf("%d/1 delivered", i)
		all, toSecond = append(all, pending, sent), append(toSecond, pending)
		if events[i].Name == "order.paid" {
			paid = append(paid, pending, sent)
		}
	}
	for limit := 1; limit <= 13; limit += 4 {
		wantSame(t, "all", list(core.DeliveryFilter{Limit: limit}), all)
		wantSame(t, "of a subscriber", list(core.DeliveryFilter{Limit: limit, Subscriber: 2}), toSecond)
		wantSame(t, "in a state", list(core.DeliveryFilter{Limit: limit, State: core.DeliveryPending}), toSecond)
		wantSame(t, "of an event name", list(core.DeliveryFilter{Limit: limit, EventName: "order.paid"}), paid)
		wantSame(t, "of an event", list(core.DeliveryFilter{Limit: limit, Event: events[2].ID}), all[4:6])
		wantSame(t, "of an unknown event", list(core.DeliveryFilter{Limit: limit, Event: "unknown"}), []string(nil))
	}
	if _, _, err := b.Deliveries(t.Context(), core.DeliveryFilter{Limit: 1, Cursor: "nonsense"}); !core.IsInvalid(err) {
		t.Errorf("a bad cursor: got %v, want it refused", err)
	}
}

func deadLetters(t *testing.T, p Place) {
	b := p.Open(t)
	defer closed(t, b)
	letter := func(id string, subscriber core.SubscriberID, minute int) core.DeadLetter {
		kind := core.DeadDelivery
		if subscriber == 0 {
			kind = core.DeadEvent
		}
		return core.DeadLetter{ID: id, Kind: kind, Event: "e", EventName: "order.created", Subscriber: subscriber,
			Reason: id + " died", Died: someTime.Add(time.Duration(minute) * time.Minute)}
	}
	file := func(l core.DeadLetter) {
		t.Helper()
		if err := b.Append(t.Context(), core.DeadLetterRecord{DeadLetter: l}); err != nil {
			t.Fatal(err)
		}
	}
	file(letter("a", 1, 1))
	file(letter("b", 2, 2))
	file(letter("c", 0, 3))
	file(letter("a", 1, 4)) // replaces
	list := func(f core.DeadLetterFilter) (ids string) {
		t.Helper()
		for {
			page, next, err := b.DeadLetters(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range page {
				ids += l.ID
			}
			if next == "" {
				return ids
			}
			f.Cursor = next
		}
	}
	for limit := 1; limit < 5; limit++ {
		wantSame(t, "all", list(core.DeadLetterFilter{Limit: limit}), "acb")
		wantSame(t, "of a kind", list(core.DeadLetterFilter{Limit: limit, Kind: core.DeadDelivery}), "ab")
		wantSame(t, "of a subscriber", list(core.DeadLetterFilter{Limit: limit, Subscriber: 2}), "b")
		wantSame(t, "of an event name", list(core.DeadLetterFilter{Limit: limit, EventName: "order.paid"}), "")
	}
	if err := b.Append(t.Context(), core.ResurrectRecord{ID: "b"}, core.ResurrectRecord{ID: "b"}); err != nil {
		t.Fatal(err)
	}
	if err := b.RemoveDeadLetter(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	if err := b.RemoveDeadLetter(t.Context(), "c"); !errors.Is(err, core.ErrNotFound) {
		t.Errorf("removing twice: got %v, want ErrNotFound", err)
	}
	wantSame(t, "what is left", list(core.DeadLetterFilter{Limit: 10}), "a")
}

func subscribers(t *testing.T, p Place) {
	b := p.Open(t)
	var watched []core.SubscriberID
	b.WatchSubscribers(func(id core.SubscriberID) { watched = append(watched, id) })
	var made []core.Subscriber
	for range 3 {
		s, err := b.CreateSubscriber(t.Context(), fullSubscriber())
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, s)
	}
	matchAt := func(accepted time.Time) (ids []core.SubscriberID) {
		for _, s := range b.Match("order.created", accepted) {
			ids = append(ids, s.ID)
		}
		return ids
	}
	match := func() []core.SubscriberID { return matchAt(time.Now().Add(time.Hour)) }
	a, c, d := made[0].ID, made[1].ID, made[2].ID
	wantSame(t, "ids", []core.SubscriberID{a, c, d}, []core.SubscriberID{1, 2, 3})
	wantSame(t, "match", match(), []core.SubscriberID{a, c, d})
	before := b.Match("order.created", time.Now())
	changed, err := b.UpdateSubscriber(t.Context(), c, func(s *core.Subscriber) error {
		s.ID, s.Created = 99, time.Time{} // not theirs to change
		s.URL = "https://example.com/other"
		return nil
	})
	if err != nil || changed.ID != c || !changed.Created.Equal(made[1].Created) || changed.URL != "https://example.com/other" {
		t.Errorf("update: got %+v, %v", changed, err)
	}
	if before[1].URL != made[1].URL {
		t.Error("an update changed a slice that was given out before")
	}
	refusal := errors.New("no")
	if _, err := b.UpdateSubscriber(t.Context(), c, func(s *core.Subscriber) error { s.URL = "bad"; return refusal }); !errors.Is(err, refusal) {
		t.Errorf("a refused update: got %v", err)
	}
	if got, _ := b.Subscriber(c); got.URL != "https://example.com/other" {
		t.Errorf("a refused update changed the URL to %q", got.URL)
	}
	disable := core.DisableRecord{Subscriber: a, Reason: "gone", At: someTime}
	if err := b.Append(t.Context(), disable, disable); err != nil {
		t.Fatal(err)
	}
	wantSame(t, "match after disabling", match(), []core.SubscriberID{c, d})
	wantSame(t, "match of an event from before that", matchAt(someTime.Add(-time.Second)), []core.SubscriberID{a, c, d})
	if got, _ := b.Subscriber(a); got.Enabled || got.Reason != "gone" || !got.Modified.Equal(someTime) {
		t.Errorf("disabled: got %+v", got)
	}
	if err := b.DeleteSubscriber(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if err := b.DeleteSubscriber(t.Context(), d); !errors.Is(err, core.ErrNotFound) {
		t.Errorf("deleting twice: got %v, want ErrNotFound", err)
	}
	if err := b.Append(t.Context(), core.DisableRecord{Subscriber: d, Reason: "gone", At: someTime}); err != nil {
		t.Errorf("disabling one that is gone: %v", err)
	}
	wantSame(t, "watched", watched, []core.SubscriberID{a, c, d, c, a, d})
	list := b.Subscribers()
	closed(t, b)
	b = p.Open(t)
	defer closed(t, b)
	wantSame(t, "after reopening", b.Subscribers(), list)
	wantSame(t, "match after reopening", match(), []core.SubscriberID{c})
	wantSame(t, "match after reopening, of an event from before it was disabled", matchAt(someTime.Add(-time.Second)), []core.SubscriberID{a, c})
	again, err := b.UpdateSubscriber(t.Context(), a, func(s *core.Subscriber) error { s.URL = "https://example.com/third"; return nil })
	if err != nil || !again.Disabled.Equal(someTime) {
		t.Errorf("a change of one that is disabled since %v: disabled since %v, %v", someTime, again.Disabled, err)
	}
	if _, err := b.UpdateSubscriber(t.Context(), a, func(s *core.Subscriber) error { s.Enabled = true; return nil }); err != nil {
		t.Fatal(err)
	}
	wantSame(t, "match after enabling", match(), []core.SubscriberID{a, c})
	disabled, err := b.UpdateSubscriber(t.Context(), c, func(s *core.Subscriber) error { s.Enabled = false; return nil })
	if err != nil || !disabled.Disabled.Equal(disabled.Modified) {
		t.Errorf("disabled at %v, modified at %v: %v", disabled.Disabled, disabled.Modified, err)
	}
	wantSame(t, "match after disabling one by a change", match(), []core.SubscriberID{a})
	wantSame(t, "match of an event from before that", matchAt(disabled.Disabled.Add(-time.Second)), []core.SubscriberID{a, c})
	wantSame(t, "match of an event from before either was disabled", matchAt(someTime.Add(-time.Second)), []core.SubscriberID{a, c})
	if err := b.DeleteSubscriber(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	wantSame(t, "match of that event once one is deleted", matchAt(someTime.Add(-time.Second)), []core.SubscriberID{a})
	if s, err := b.CreateSubscriber(t.Context(), fullSubscriber()); err != nil || s.ID != 4 {
		t.Errorf("the number of a deleted subscriber was given again: %d, %v", s.ID, err)
	}
}

func notFound(t *testing.T, p Place) {
	b := p.Open(t)
	defer closed(t, b)
	e := newEvent("order.created")
	_, event := b.Event(t.Context(), e.ID)
	_, attempt := b.Attempt(t.Context(), e.ID, 1, 1)
	_, delivery := b.Delivery(t.Context(), core.DeliveryIDOf(e.ID, 1))
	_, odd := b.Delivery(t.Context(), "nonsense")
	_, letter := b.DeadLetter(t.Context(), "nonsense")
	_, update := b.UpdateSubscriber(t.Context(), 5, func(*core.Subscriber) error { return nil })
	orphan := b.Append(t.Context(), core.AttemptRecord{Attempt: fullAttempt(t, e.ID)})
	for what, err := range map[string]error{
		"event": event, "attempt": attempt, "delivery": delivery, "odd delivery": odd, "dead letter": letter, "subscriber": update,
		"attempt of an unknown event": orphan,
	} {
		if !errors.Is(err, core.ErrNotFound) {
			t.Errorf("%s: got %v, want ErrNotFound", what, err)
		}
	}
	if _, ok := b.Subscriber(5); ok || len(b.Subscribers()) != 0 || len(b.Match("order.created", time.Now())) != 0 {
		t.Error("subscribers come from nowhere")
	}
}
