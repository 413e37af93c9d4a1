package rabbitmq

import (
	"context"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/postrider/postrider/core"
)

// A crash between filing a dead letter and acknowledging its message brings the message again, here when the replay of the dead letter waits already.
func TestWhatTheBrokerGaveUpOnAndComesAgainUndoesNoReplayThatWaits(t *testing.T) {
	e := benchEvent()
	for name, old := range map[string]core.Message{"an event": core.EventMessage(e), "a delivery": core.DeliveryMessage(e.ID, 7, e.Accepted)} {
		t.Run(name, func(t *testing.T) {
			p := newPlaceOn(t, broker.Start(t).URL())
			b := p.open(t)
			queue, state := core.EventQueue, core.EventAccepted
			if old.Content == nil {
				queue, state = core.DeliveryQueue, core.EventDispatched
			}
			dead := encode(&envelope{message: old})
			filed := func(last string) {
				t.Helper()
				send(t, p, "", p.prefix+deadletterSuffix, dead)
				send(t, p, "", p.prefix+deadletterSuffix, amqp.Publishing{MessageId: last, Body: []byte("?")}) // one is filed after the other
				until(t, "all are filed", func() bool { _, err := b.DeadLetter(t.Context(), last); return err == nil })
			}
			if err := b.Append(t.Context(), core.EventRecord{Event: e, State: state}); err != nil {
				t.Fatal(err)
			}
			filed("the-first")
			page, _, err := b.DeadLetters(t.Context(), core.DeadLetterFilter{Limit: 10})
			if err != nil || len(page) != 2 {
				t.Fatalf("dead letters: %+v, %v", page, err)
			}
			replay := old
			replay.Since = old.Since.Add(time.Minute)
			if err := b.Publish(t.Context(), core.Outgoing{Queue: queue, Message: replay}); err != nil {
				t.Fatal(err)
			}
			filed("the-second")
			page, _, err = b.DeadLetters(t.Context(), core.DeadLetterFilter{Limit: 10})
			if err != nil || len(page) != 2 || page[0].ID != "the-second" || page[1].ID != "the-first" {
				t.Errorf("while the replay waits there are the dead letters %+v, %v", page, err)
			}
			got := make(chan core.Message, 10)
			consumed(t, b, queue, func(_ context.Context, m core.Message) (core.Result, error) {
				got <- m
				return core.Result{}, nil
			})
			if m := next(t, got, "the replay"); !m.Since.Equal(replay.Since) || m.Redelivered {
				t.Errorf("got %+v", m)
			}
		})
	}
}
