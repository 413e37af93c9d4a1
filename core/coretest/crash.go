package coretest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/core"
)

// worker does with messages what the dispatcher does: it makes attempts, the first of which fails, and where it finds one in the
// log that it must have made before a crash, it goes on from there.
type worker struct {
	b     Backend
	mu    sync.Mutex
	sends map[int]int // attempts that went out, by number
	done  chan struct{}
	once  sync.Once
}

const crashSubscriber = core.SubscriberID(5)

func newWorker(b Backend, sends map[int]int) *worker {
	return &worker{b: b, sends: sends, done: make(chan struct{})}
}

// attempt returns the logged attempt of m, or makes it.
func (w *worker) attempt(ctx context.Context, m core.Message) (core.Attempt, error) {
	if !m.Fresh {
		logged, err := w.b.Attempt(ctx, m.Event, crashSubscriber, m.Attempt)
		if err == nil || !errors.Is(err, core.ErrNotFound) {
			return logged, err
		}
	}
	w.mu.Lock()
	w.sends[m.Attempt]++
	w.mu.Unlock()
	a := core.Attempt{
		Event: m.Event, Subscriber: crashSubscriber, Number: m.Attempt, First: m.First, Since: m.Since,
		Started: time.Now(), Outcome: core.Delivered,
	}
	if m.Attempt == 1 {
		a.Outcome, a.Reason, a.Due = core.Retry, "the receiver answered 500", time.Now().Add(10*time.Millisecond)
	}
	return a, nil
}

func (w *worker) handle(ctx context.Context, m core.Message) (core.Result, error) {
	a, err := w.attempt(ctx, m)
	if err != nil {
		return core.Result{}, err
	}
	var result core.Result
	if m.Content != nil {
		result.Log = append(result.Log, core.EventRecord{Event: *m.Content, State: core.EventDispatched, Payload: []byte(`{"order":1}`)})
	}
	result.Log = append(result.Log, core.AttemptRecord{Attempt: a})
	if a.Outcome == core.Delivered {
		w.once.Do(func() { close(w.done) })
		return result, nil
	}
	next := core.DeliveryMessage(m.Event, crashSubscriber, m.Since)
	next.Attempt = m.Attempt + 1
	result.Next = []core.Outgoing{{Queue: core.DeliveryQueue, Message: next, Due: a.Due}}
	return result, nil
}

func crashWhilePublishing(t *testing.T, p Place) {
	for _, point := range p.CrashPoints() {
		t.Run(point, func(t *testing.T) {
			b, arm := p.OpenCrashing(t, point)
			e := newEvent("order.created")
			arm()
			if err := b.Publish(t.Context(), core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)}); err == nil {
				t.Error("a publish that crashed was acknowledged")
			}
			b.Close() //nolint:errcheck // it is dead
			b = p.Open(t)
			publishEvents(t, b, e) // as a publisher does that got no answer
			finish(t, b, e, map[int]int{}, 1)
		})
	}
}

func crashWhileHandingOver(t *testing.T, p Place) {
	for _, point := range p.CrashPoints() {
		t.Run("of an event, "+point, func(t *testing.T) {
			b, arm := p.OpenCrashing(t, point)
			e := newEvent("order.created")
			publishEvents(t, b, e)
			sends := map[int]int{}
			w := newWorker(b, sends)
			c := consume(t, b, core.EventQueue, 1, func(ctx context.Context, m core.Message) (core.Result, error) {
				arm()
				return w.handle(ctx, m)
			})
			if err := c.wait(); err == nil {
				t.Error("Consume ended without an error although its queue died")
			}
			b.Close() //nolint:errcheck // it is dead
			finish(t, p.Open(t), e, sends, 2)
		})
		t.Run("of a delivery, "+point, func(t *testing.T) {
			b, arm := p.OpenCrashing(t, point)
			e := newEvent("order.created")
			publishEvents(t, b, e)
			sends := map[int]int{}
			w := newWorker(b, sends)
			events := consume(t, b, core.EventQueue, 1, w.handle)
			deliveries := consume(t, b, core.DeliveryQueue, 1, func(ctx context.Context, m core.Message) (core.Result, error) {
				arm()
				return w.handle(ctx, m)
			})
			if err := deliveries.wait(); err == nil {
				t.Error("Consume ended without an error although its queue died")
			}
			events.cancel()
			events.wait() //nolint:errcheck // it may have ended before the crash or by it
			b.Close()     //nolint:errcheck // it is dead
			finish(t, p.Open(t), e, sends, 2)
		})
	}
}

// finish lets b come to the end of e: two attempts are logged, nothing waits, and no attempt went out more than most times.
func finish(t *testing.T, b Backend, e core.Event, sends map[int]int, most int) {
	t.Helper()
	defer closed(t, b)
	id := core.DeliveryIDOf(e.ID, crashSubscriber)
	// What comes again after a crash may still be on its way when the delivery is delivered. Stopped then, it takes another round.
	for done := false; !done; done = isEmpty(t, b) {
		w := newWorker(b, sends)
		events := consume(t, b, core.EventQueue, 4, w.handle)
		deliveries := consume(t, b, core.DeliveryQueue, 4, w.handle)
		eventually(t, "the delivery is delivered", func() bool {
			d, err := b.Delivery(t.Context(), id)
			return err == nil && d.State == core.DeliveryDelivered && isEmpty(t, b)
		})
		events.stop()
		deliveries.stop()
	}
	d, err := b.Delivery(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Attempts) != 2 || d.Attempts[0].Outcome != core.Retry || d.Attempts[1].Outcome != core.Delivered {
		t.Errorf("attempts: got %+v, want one that failed and one that was delivered", d.Attempts)
	}
	for number, n := range sends {
		if n > most {
			t.Errorf("attempt %d went out %d times, want at most %d", number, n, most)
		}
	}
	record, err := b.Event(t.Context(), e.ID)
	if err != nil || record.State != core.EventDispatched || string(record.Payload) != `{"order":1}` {
		t.Errorf("event: got state %v, payload %q, error %v", record.State, record.Payload, err)
	}
	wantDepth(t, b, core.EventQueue, 0, 0)
	wantDepth(t, b, core.DeliveryQueue, 0, 0)
}

// isEmpty reports whether nothing waits in b.
func isEmpty(t *testing.T, b Backend) bool {
	t.Helper()
	depths, err := b.Depths(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range depths {
		if d.Ready+d.Due > 0 {
			return false
		}
	}
	return true
}
