package coretest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/postrider/postrider/core"
)

// Backend is a queue, and the store that its hand-overs log to.
type Backend interface {
	core.Queue

	Append(ctx context.Context, records ...core.Record) error
	Event(ctx context.Context, id core.EventID) (core.EventRecord, error)
	Attempt(ctx context.Context, event core.EventID, subscriber core.SubscriberID, number int) (core.Attempt, error)
	Delivery(ctx context.Context, id core.DeliveryID) (core.Delivery, error)
	Deliveries(ctx context.Context, f core.DeliveryFilter) (page []core.Delivery, next string, err error)
	DeadLetter(ctx context.Context, id string) (core.DeadLetter, error)
	DeadLetters(ctx context.Context, f core.DeadLetterFilter) (page []core.DeadLetter, next string, err error)
	RemoveDeadLetter(ctx context.Context, id string) error

	CreateSubscriber(ctx context.Context, s core.Subscriber) (core.Subscriber, error)
	UpdateSubscriber(ctx context.Context, id core.SubscriberID, change func(*core.Subscriber) error) (core.Subscriber, error)
	DeleteSubscriber(ctx context.Context, id core.SubscriberID) error
	Subscriber(id core.SubscriberID) (core.Subscriber, bool)
	Subscribers() []core.Subscriber
	Match(event string, accepted time.Time) []core.Subscriber
	WatchSubscribers(f func(core.SubscriberID))
}

// Place is where the data of one test lives.
type Place interface {
	// Open opens what is there, with a drain deadline of DrainDeadline. The suite closes what it opens before it opens again.
	Open(t *testing.T) Backend

	// Damage changes one bit wherever mark is stored, while nothing is open.
	Damage(t *testing.T, mark string)

	// CrashPoints names the points at which OpenCrashing can crash.
	CrashPoints() []string

	// OpenCrashing opens a Backend that dies when point is reached for the first time after arm was called: from then on nothing it
	// does reaches the place, and all its calls fail. Closing it is fine.
	OpenCrashing(t *testing.T, point string) (b Backend, arm func())
}

// DrainDeadline is how long a Backend under test waits for its handlers.
const DrainDeadline = 500 * time.Millisecond

// patience is how long a test waits for something before it fails.
const patience = 20 * time.Second

func newEvent(name string) core.Event {
	return core.Event{
		ID:        core.EventID("evt_" + ulid.MustNew(ulid.Now(), rand.Reader).String()),
		Name:      name,
		Arguments: json.RawMessage(`{"id":1}`),
		Accepted:  time.Now().Truncate(time.Millisecond).UTC(),
		Trace:     "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	}
}

func publishEvents(t *testing.T, b Backend, events ...core.Event) {
	t.Helper()
	var out []core.Outgoing
	for _, e := range events {
		out = append(out, core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)})
	}
	if err := b.Publish(t.Context(), out...); err != nil {
		t.Fatalf("publish: %v", err)
	}
}

func toDeliver(e core.Event, subscriber core.SubscriberID) core.Outgoing {
	return core.Outgoing{Queue: core.DeliveryQueue, Message: core.DeliveryMessage(e.ID, subscriber, time.Now().Truncate(time.Millisecond).UTC())}
}

// closed closes b and fails the test if that fails.
func closed(t *testing.T, b Backend) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// consumption is a Consume that runs until it is stopped.
type consumption struct {
	t      *testing.T
	cancel context.CancelFunc
	done   chan error
}

func consume(t *testing.T, b Backend, q core.QueueName, concurrency int, h core.Handler) *consumption {
	ctx, cancel := context.WithCancel(context.Background())
	c := &consumption{t: t, cancel: cancel, done: make(chan error, 1)}
	go func() { c.done <- b.Consume(ctx, q, concurrency, h) }()
	t.Cleanup(cancel)
	return c
}

// stop ends the intake and waits for the drain.
func (c *consumption) stop() {
	c.t.Helper()
	c.cancel()
	if err := c.wait(); err != nil {
		c.t.Errorf("consume: %v", err)
	}
}

func (c *consumption) wait() error {
	c.t.Helper()
	select {
	case err := <-c.done:
		return err
	case <-time.After(patience):
		c.t.Fatal("Consume does not return")
		return nil
	}
}

// receive waits for something that has to come.
func receive[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("%s did not come", what)
		panic("unreachable")
	}
}

// eventually waits until ok, which nothing announces.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("%s: not so after %v", what, patience)
		case <-tick.C:
		}
	}
}

func wantDepth(t *testing.T, b Backend, q core.QueueName, ready, due int) {
	t.Helper()
	var got core.Depth
	eventually(t, "depth of queue "+string(q), func() bool {
		depths, err := b.Depths(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range depths {
			if d.Queue == q {
				got = d
			}
		}
		return got.Ready == ready && got.Due == due
	})
}
