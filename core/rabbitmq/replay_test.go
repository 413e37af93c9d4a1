package rabbitmq

import (
	"context"
	"errors"
	"sync"
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

// What asks the store whether a replay waits, and files a dead letter if none does, must not let a replay in between.
func TestAReplayThatComesWhileWhatTheBrokerGaveUpOnIsFiledAgainIsNotUndone(t *testing.T) {
	p := newPlaceOn(t, broker.Start(t).URL())
	old := core.EventMessage(benchEvent())
	replay := old
	replay.Since = old.Since.Add(time.Minute)
	asked := make(chan struct{})
	goOn, proceed := context.WithCancel(context.Background())
	defer proceed()
	ask := sync.OnceFunc(func() { close(asked); <-goOn.Done() })
	b := p.open(t, func(c *Config) { c.Store = interrupted{c.Store, ask} })
	if err := b.Append(t.Context(), core.EventRecord{Event: *old.Content, State: core.EventDead}, core.DeadLetterRecord{DeadLetter: core.DeadLetter{
		ID: string(old.Event), Kind: core.DeadEvent, Event: old.Event, EventName: old.Content.Name, Reason: "the broker gave up on it", Died: time.Now(),
	}}); err != nil {
		t.Fatal(err)
	}
	send(t, p, "", p.prefix+deadletterSuffix, encode(&envelope{message: old}))
	next(t, asked, "the question whether a replay waits")
	published := make(chan error, 1)
	go func() { published <- b.Publish(t.Context(), core.Outgoing{Queue: core.EventQueue, Message: replay}) }()
	until(t, "the replay is published, or waits until the dead letter is filed", func() bool {
		b.queue.keys.mu.Lock()
		defer b.queue.keys.mu.Unlock()
		return len(published) == 1 || len(b.queue.keys.taken[keyOf(replay)]) > 0
	})
	proceed()
	if err := next(t, published, "the end of the publish"); err != nil {
		t.Fatal(err)
	}
	send(t, p, "", p.prefix+deadletterSuffix, amqp.Publishing{MessageId: "the-last", Body: []byte("?")})
	until(t, "all is filed", func() bool { _, err := b.DeadLetter(t.Context(), "the-last"); return err == nil })
	if letter, err := b.DeadLetter(t.Context(), string(old.Event)); !errors.Is(err, core.ErrNotFound) {
		t.Errorf("while the replay waits there is the dead letter %+v, %v", letter, err)
	}
	if overtaken, err := b.Overtaken(t.Context(), old); err != nil || !overtaken {
		t.Errorf("the store knows of the replay that waits: %t, %v", overtaken, err)
	}
}

// interrupted is a store at which something happens right after it said that nothing was overtaken.
type interrupted struct {
	Store
	then func()
}

func (s interrupted) Overtaken(ctx context.Context, m core.Message) (bool, error) {
	overtaken, err := s.Store.Overtaken(ctx, m)
	if err == nil && !overtaken {
		s.then()
	}
	return overtaken, err
}
