package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/coretest/allocations"
	"github.com/postrider/postrider/core/retry"
)

// benchEngine is an engine whose plugins deliver at once, with one subscriber, and nothing around it that costs anything.
func benchEngine(tb testing.TB) (*Engine, core.Event) {
	event := core.Event{
		ID: "evt_01JZZZZZZZABCDEFGHJKMNPQRS", Name: "stock.changed", Accepted: time.Now(),
		Arguments: json.RawMessage(`{"text":"` + strings.Repeat("x", 1000) + `"}`),
	}
	m := oneEvent{event: event, subscribers: []core.Subscriber{subscriber(1, "stock.changed")}}
	e := New(Config{
		Queue: newMemory(), Log: m, Subscribers: m, Logger: hclog.NewNullLogger(),
		Plugins:  plugins{notify: func(context.Context, core.Notification) (core.Answer, error) { return delivered() }},
		Webhooks: map[string]core.Webhook{"stock.changed": {Name: "stock.changed"}},
		Retry:    retry.Default(), Envelope: core.EnvelopeStandard, LaneConcurrency: 64, MaxAge: 24 * time.Hour,
		AttemptTimeout: 30 * time.Second, ResolveTimeout: 30 * time.Second,
	})
	tb.Cleanup(e.pilots.Wait)
	return e, event
}

// oneEvent is a log that holds one event, and the subscribers of it.
type oneEvent struct {
	Log
	event       core.Event
	subscribers []core.Subscriber
}

func (o oneEvent) Event(context.Context, core.EventID) (core.EventRecord, error) {
	return core.EventRecord{Event: o.event, State: core.EventDispatched}, nil
}
func (o oneEvent) Attempt(context.Context, core.EventID, core.SubscriberID, int) (core.Attempt, error) {
	return core.Attempt{}, core.ErrNotFound
}
func (o oneEvent) Match(string, time.Time) []core.Subscriber { return o.subscribers }
func (o oneEvent) Subscriber(core.SubscriberID) (core.Subscriber, bool) {
	return o.subscribers[0], true
}
func (o oneEvent) Subscribers() []core.Subscriber           { return o.subscribers }
func (o oneEvent) WatchSubscribers(func(core.SubscriberID)) {}

// checkHandled says whether a handler made of one message what it must: nothing follows, and so many records are logged.
func checkHandled(result core.Result, err error, records int) error {
	if err == nil && (len(result.Log) != records || len(result.Next) != 0) {
		err = errors.New("it was not delivered at once")
	}
	return err
}

// consumeEvent returns what consumes an event and makes its one attempt: the one hop of the healthy case.
func consumeEvent(tb testing.TB) (consume func(context.Context) error) {
	e, event := benchEngine(tb)
	message := core.EventMessage(event)
	message.Fresh = true
	return func(ctx context.Context) error {
		result, err := e.handleEvent(ctx, ctx, message)
		return checkHandled(result, err, 2)
	}
}

// consumeDelivery returns what consumes a delivery message, whose attempt nobody has made.
func consumeDelivery(tb testing.TB) (consume func(context.Context) error) {
	e, event := benchEngine(tb)
	message := core.DeliveryMessage(event.ID, 1, time.Now())
	message.Fresh = true
	return func(ctx context.Context) error {
		result, err := e.handleDelivery(ctx, message)
		return checkHandled(result, err, 1)
	}
}

func BenchmarkEvent(b *testing.B)    { benchmark(b, consumeEvent(b)) }
func BenchmarkDelivery(b *testing.B) { benchmark(b, consumeDelivery(b)) }

// BenchmarkEventsAtOnce consumes 32 events at a time for each CPU, of one subscriber. The answers come from another goroutine, as those do that a plugin
// writes to its stream.
func BenchmarkEventsAtOnce(b *testing.B) {
	e, event := benchEngine(b)
	calls := make(chan chan<- struct{}, 64)
	defer close(calls)
	go func() {
		for answer := range calls {
			answer <- struct{}{}
		}
	}()
	e.config.Plugins = plugins{notify: func(ctx context.Context, _ core.Notification) (core.Answer, error) {
		answer := make(chan struct{}, 1)
		calls <- answer
		select {
		case <-answer:
			return delivered()
		case <-ctx.Done():
			return core.Answer{}, ctx.Err()
		}
	}}
	flying, land := context.WithCancel(b.Context())
	defer land()
	handling, abandon := context.WithCancel(b.Context())
	defer abandon()
	var last atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			one := event
			one.ID = core.EventID(fmt.Sprintf("evt_%026d", last.Add(1)))
			message := core.EventMessage(one)
			message.Fresh = true
			result, err := e.handleEvent(handling, flying, message)
			if err := checkHandled(result, err, 2); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func benchmark(b *testing.B, consume func(context.Context) error) {
	b.ReportAllocs()
	for b.Loop() {
		if err := consume(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func TestDispatchingAllocatesNoMoreThanItsBudget(t *testing.T) {
	for seam, consume := range map[string]func(context.Context) error{
		"dispatch: an event":   consumeEvent(t),
		"dispatch: a delivery": consumeDelivery(t),
	} {
		t.Run(seam, func(t *testing.T) {
			allocations.Guard(t, seam, func(n int) {
				for range n {
					if err := consume(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			})
		})
	}
}
