package coretest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/postrider/postrider/core"
)

// Flip changes one bit of a file wherever mark is stored in it, and fails the test where it is nowhere: a file that is whole shows nothing. It is there for
// packages whose [Place] is a file, as its Damage, and for what they test of their own damaged files.
func Flip(t *testing.T, path, mark string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, []byte(mark))
	if at < 0 {
		t.Fatalf("%q is not in %s, so that nothing can be damaged there: is what has it written, and the file closed?", mark, path)
	}
	for ; at >= 0; at = bytes.Index(b, []byte(mark)) {
		b[at] ^= 1
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// setAside has deliveries whose messages are whole, and of which one needs a record that is not: of its event, which its handler reads, or of its
// dead letter, which its hand-over reads. By then it is attempted, so it must not be offered again and again; and it must not be dropped.
func setAside(t *testing.T, p Place) {
	const damagedPayload, damagedLetter, whole = "the payload will break", "the dead letter will break", "all is whole"
	b := p.Open(t)
	texts := map[core.EventID]string{}
	var out []core.Outgoing
	for _, text := range []string{damagedPayload, damagedLetter, whole} {
		e := newEvent("order.created")
		texts[e.ID] = text
		out = append(out, toDeliver(e, 1))
		err := b.Append(t.Context(), core.EventRecord{Event: e, State: core.EventDispatched, Payload: []byte(text + ": payload")},
			core.DeadLetterRecord{DeadLetter: core.DeadLetter{
				ID: string(core.DeliveryIDOf(e.ID, 1)), Kind: core.DeadDelivery, Event: e.ID, Subscriber: 1, Reason: text + ": letter", Died: time.Now(), Last: 1,
			}})
		if err != nil {
			t.Fatal(err)
		}
	}
	last := toDeliver(core.Event{ID: out[2].Message.Event}, 2)
	if err := b.Publish(t.Context(), append(out, last)...); err != nil {
		t.Fatal(err)
	}
	closed(t, b)
	p.Damage(t, damagedPayload+": payload")
	p.Damage(t, damagedLetter+": letter")

	b = p.Open(t)
	got := make(chan core.Message, 1000)
	c := consume(t, b, core.DeliveryQueue, 1, func(ctx context.Context, m core.Message) (core.Result, error) {
		got <- m
		if _, err := b.Event(ctx, m.Event); err != nil {
			return core.Result{}, fmt.Errorf("look up event %s of a delivery: %w", m.Event, err)
		}
		return core.Result{Log: []core.Record{core.ResurrectRecord{ID: string(core.DeliveryIDOf(m.Event, m.Subscriber))}}}, nil
	})
	offered := map[string]int{}
	for range 4 {
		m := receive(t, got, "one of four deliveries")
		offered[fmt.Sprint(texts[m.Event], m.Subscriber)]++
	}
	// What comes again after a failure does so within a tenth of a second, the first time.
	later := last
	later.Message.Subscriber, later.Due = 3, time.Now().Add(500*time.Millisecond)
	if err := b.Publish(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	for m := receive(t, got, "what came due later"); m.Subscriber != 3; m = receive(t, got, "what came due later") {
		offered[fmt.Sprint(texts[m.Event], m.Subscriber)]++
	}
	c.stop()
	for which, times := range offered {
		if times != 1 || len(offered) != 4 {
			t.Errorf("%s was offered %d times, want each of four once", which, times)
		}
	}
	closed(t, b)

	b = p.Open(t)
	defer closed(t, b)
	eventually(t, "the two that can't be consumed wait", func() bool {
		depths, err := b.Depths(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		waiting := 0
		for _, d := range depths {
			waiting += d.Ready + d.Due
		}
		return waiting == 2
	})
}
