package rabbitmq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/core"
)

// load publishes events and consumes them, as API and dispatcher do: publishers repeat what was not accepted, an event becomes two deliveries, one of which is
// due a little later, and a delivery's attempt is made if the log does not have it.
type load struct {
	b        *backend
	name     string
	accepted sync.Map // of core.EventID
	count    atomic.Int64
	refused  atomic.Int64 // publishes
	sent     atomic.Int64 // attempts that went out
	stopping atomic.Bool
	group    sync.WaitGroup
	cancel   context.CancelFunc
	done     chan error
}

var loads atomic.Int64

func startLoad(b *backend, publishers int) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{b: b, name: fmt.Sprintf("load%d", loads.Add(1)), cancel: cancel, done: make(chan error, 2)}
	go func() { l.done <- b.Consume(ctx, core.EventQueue, 64, l.event) }()
	go func() { l.done <- b.Consume(ctx, core.DeliveryQueue, 64, l.delivery) }()
	for p := range publishers {
		l.group.Go(func() {
			for i := 0; !l.stopping.Load(); i++ {
				l.publish(core.Event{
					ID: core.EventID(fmt.Sprintf("%s-%d-%d", l.name, p, i)), Name: "order.created", Arguments: json.RawMessage(`{"id":1}`),
					Accepted: time.Now().Truncate(time.Millisecond).UTC(),
				})
			}
		})
	}
	return l
}

// publish repeats until it is accepted.
func (l *load) publish(e core.Event) {
	for {
		err := l.b.Publish(context.Background(), core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)})
		if err == nil {
			l.accepted.Store(e.ID, true)
			l.count.Add(1)
			return
		}
		l.refused.Add(1)
		if !errors.Is(err, core.ErrUnavailable) {
			panic(err)
		}
		time.Sleep(10 * time.Millisecond) // as a client backs off
	}
}

func (l *load) event(_ context.Context, m core.Message) (core.Result, error) {
	return core.Result{
		Log: []core.Record{core.EventRecord{Event: *m.Content, State: core.EventDispatched}},
		Next: []core.Outgoing{
			{Queue: core.DeliveryQueue, Message: core.DeliveryMessage(m.Event, 1, m.Since)},
			{Queue: core.DeliveryQueue, Message: core.DeliveryMessage(m.Event, 2, m.Since), Due: time.Now().Add(300 * time.Millisecond)},
		},
	}, nil
}

func (l *load) delivery(ctx context.Context, m core.Message) (core.Result, error) {
	if _, err := l.b.Attempt(ctx, m.Event, m.Subscriber, m.Attempt); err == nil || !errors.Is(err, core.ErrNotFound) {
		return core.Result{}, err
	}
	l.sent.Add(1)
	return core.Result{Log: []core.Record{core.AttemptRecord{Attempt: core.Attempt{
		Event: m.Event, Subscriber: m.Subscriber, Number: m.Attempt, First: m.First, Since: m.Since, Started: time.Now(), Outcome: core.Delivered,
	}}}}, nil
}

// stop ends the publishers, and waits until everything that was accepted is delivered.
func (l *load) stop(t *testing.T) {
	t.Helper()
	l.stopping.Store(true)
	l.group.Wait()
	l.accepted.Range(func(id, _ any) bool {
		for _, subscriber := range []core.SubscriberID{1, 2} {
			until(t, fmt.Sprintf("delivery of %v to %d", id, subscriber), func() bool {
				_, err := l.b.Attempt(context.Background(), id.(core.EventID), subscriber, 1)
				return err == nil
			})
		}
		return !t.Failed()
	})
	l.cancel()
	for range 2 {
		if err := <-l.done; err != nil {
			t.Error(err)
		}
	}
	n := l.count.Load()
	t.Logf("%d events accepted, %d publishes refused, %d attempts for %d deliveries (%d twice)", n, l.refused.Load(), l.sent.Load(), 2*n, l.sent.Load()-2*n)
}

// patience is how long a test waits for something before it fails.
const patience = 60 * time.Second

// until waits until ok, which nothing announces.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not so after %v", what, patience)
		}
		time.Sleep(time.Millisecond) // between two looks
	}
}

// accepts waits until l has accepted n events more.
func (l *load) accepts(t *testing.T, n int64) {
	t.Helper()
	from := l.count.Load()
	until(t, fmt.Sprintf("%d more events are accepted", n), func() bool { return l.count.Load() >= from+n })
}
