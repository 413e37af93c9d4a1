package rabbitmq

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/postrider/postrider/core"
)

var benchArguments = json.RawMessage(`{"text":"` + strings.Repeat("x", 1000) + `"}`)

var benchEvents atomic.Int64

func benchEvent() core.Event {
	return core.Event{ID: core.EventID(fmt.Sprintf("bench-%d", benchEvents.Add(1))), Name: "order.created", Arguments: benchArguments,
		Accepted: time.Now().Truncate(time.Millisecond).UTC()}
}

// publishing runs b.N publishes of one event each, by 256 publishers.
func publishing(b *testing.B, q *backend) {
	left := atomic.Int64{}
	left.Store(int64(b.N))
	var group sync.WaitGroup
	for range 256 {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				if err := q.Publish(context.Background(), core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(benchEvent())}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

// BenchmarkPublish publishes events over the API: admitted, confirmed by the broker, and written to the store.
func BenchmarkPublish(b *testing.B) {
	q := newPlaceOn(b, broker.Start(b).URL()).open(b)
	b.ResetTimer()
	publishing(b, q)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// consumeAll consumes b.N events as the dispatcher does where each is delivered at once: event and attempt are logged, nothing follows.
func consumeAll(b *testing.B, q *backend) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	left := atomic.Int64{}
	left.Store(int64(b.N))
	done := make(chan error, 1)
	go func() {
		done <- q.Consume(ctx, core.EventQueue, 2048, func(_ context.Context, m core.Message) (core.Result, error) {
			if left.Add(-1) == 0 {
				cancel()
			}
			return core.Result{Log: []core.Record{
				core.EventRecord{Event: *m.Content, State: core.EventDispatched},
				core.AttemptRecord{Attempt: core.Attempt{Event: m.Event, Subscriber: 1, Number: 1, First: 1, Since: m.Since, Started: time.Now(), Outcome: core.Delivered}},
			}}, nil
		})
	}()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// BenchmarkConsume consumes events that were published over the API.
func BenchmarkConsume(b *testing.B) {
	q := newPlaceOn(b, broker.Start(b).URL()).open(b, func(c *Config) { c.DrainTimeout = 10 * time.Second })
	publishing(b, q)
	b.ResetTimer()
	consumeAll(b, q)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkConsumeTrigger consumes events that a shop published.
func BenchmarkConsumeTrigger(b *testing.B) {
	p := newPlaceOn(b, broker.Start(b).URL())
	q := p.open(b, func(c *Config) { c.DrainTimeout = 10 * time.Second })
	arguments, _ := json.Marshal(string(benchArguments))
	body := []byte(`["order.created",` + string(arguments) + `]`)
	var postings []*posting
	for i := range b.N {
		postings = append(postings, &posting{exchange: p.prefix + "-shop", key: "webhook.trigger",
			message: amqp.Publishing{DeliveryMode: amqp.Persistent, MessageId: fmt.Sprintf("shop-%d", i), Body: body}})
	}
	for len(postings) > 0 {
		n := min(len(postings), 1000)
		if _, err := q.queue.link.Load().publisher.publish(context.Background(), true, postings[:n]...); err != nil {
			b.Fatal(err)
		}
		postings = postings[n:]
	}
	b.ResetTimer()
	consumeAll(b, q)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkExpand consumes events each of which is followed by a delivery message, and those.
func BenchmarkExpand(b *testing.B) {
	q := newPlaceOn(b, broker.Start(b).URL()).open(b, func(c *Config) { c.DrainTimeout = 10 * time.Second })
	publishing(b, q)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	left := atomic.Int64{}
	left.Store(int64(b.N))
	b.ResetTimer()
	done := make(chan error, 2)
	go func() {
		done <- q.Consume(ctx, core.EventQueue, 2048, func(_ context.Context, m core.Message) (core.Result, error) {
			return core.Result{
				Log:  []core.Record{core.EventRecord{Event: *m.Content, State: core.EventDispatched}},
				Next: []core.Outgoing{{Queue: core.DeliveryQueue, Message: core.DeliveryMessage(m.Event, 1, m.Since)}},
			}, nil
		})
	}()
	go func() {
		done <- q.Consume(ctx, core.DeliveryQueue, 2048, func(_ context.Context, m core.Message) (core.Result, error) {
			if left.Add(-1) == 0 {
				cancel()
			}
			return core.Result{Log: []core.Record{
				core.AttemptRecord{Attempt: core.Attempt{Event: m.Event, Subscriber: 1, Number: 1, First: 1, Since: m.Since, Started: time.Now(), Outcome: core.Delivered}},
			}}, nil
		})
	}()
	for range 2 {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
