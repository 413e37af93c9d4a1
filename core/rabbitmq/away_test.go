package rabbitmq

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/core"
)

// The connection is lost while some messages are in Handlers' hands and many more wait in the window. An attempt that ends while the broker is away is
// logged then, and made no second time; its retry, and what waited, come once the broker is back.
func TestWhatIsInHandWhileTheBrokerIsAwayIsKept(t *testing.T) {
	node := broker.Start(t)
	p := newPlaceOn(t, node.URL())
	proxy := newProxy(t, node.Addr())
	p.url = "amqp://guest:guest@" + proxy.addr + "/"
	b := p.open(t)
	const many, handlers = 100, 8
	e := benchEvent()
	if err := b.Append(t.Context(), core.EventRecord{Event: e, State: core.EventDispatched}); err != nil {
		t.Fatal(err)
	}
	var out []core.Outgoing
	for i := range many {
		out = append(out, core.Outgoing{Queue: core.DeliveryQueue, Message: core.DeliveryMessage(e.ID, core.SubscriberID(i+1), e.Accepted)})
	}
	if err := b.Publish(t.Context(), out...); err != nil {
		t.Fatal(err)
	}

	type attempt struct {
		subscriber core.SubscriberID
		number     int
	}
	var mu sync.Mutex
	made := map[attempt]int{}
	inHand := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(made)
	}
	away := make(chan struct{})
	consumed(t, b, core.DeliveryQueue, func(ctx context.Context, m core.Message) (core.Result, error) {
		a, err := b.Attempt(ctx, m.Event, m.Subscriber, m.Attempt)
		if err != nil {
			mu.Lock()
			made[attempt{m.Subscriber, m.Attempt}]++
			mu.Unlock()
			<-away
			a = core.Attempt{Event: m.Event, Subscriber: m.Subscriber, Number: m.Attempt, First: 1, Since: m.Since, Started: time.Now(), Outcome: core.Delivered}
			if m.Attempt == 1 {
				a.Outcome, a.Due = core.Retry, time.Now().Add(300*time.Millisecond)
			}
		}
		result := core.Result{Log: []core.Record{core.AttemptRecord{Attempt: a}}}
		if !a.Due.IsZero() {
			m.Attempt++
			result.Next = []core.Outgoing{{Queue: core.DeliveryQueue, Message: m, Due: a.Due}}
		}
		return result, nil
	})
	waiting := func() int { return b.queue.consuming[core.DeliveryQueue].Load().depth() }
	until(t, "each handler has one", func() bool { return inHand() == handlers })
	until(t, "the others wait in the window", func() bool { return waiting() == many-handlers })
	proxy.refuse(true)
	until(t, "the queue notices", func() bool { return !isReady(b) && waiting() == 0 })
	close(away)
	for s := range out {
		subscriber := out[s].Message.Subscriber
		mu.Lock()
		wasInHand := made[attempt{subscriber, 1}] > 0
		mu.Unlock()
		if wasInHand {
			until(t, "the outcome is in the log while the broker is away", func() bool {
				_, err := b.Attempt(t.Context(), e.ID, subscriber, 1)
				return err == nil
			})
		}
	}
	if n := inHand(); n != handlers {
		t.Errorf("%d attempts were made while the broker is away, want those %d that were in hand", n, handlers)
	}
	proxy.refuse(false)
	for i := range many {
		until(t, "each delivery is delivered by its retry", func() bool {
			d, err := b.Delivery(t.Context(), core.DeliveryIDOf(e.ID, core.SubscriberID(i+1)))
			return err == nil && d.State == core.DeliveryDelivered && len(d.Attempts) == 2
		})
	}
	mu.Lock()
	defer mu.Unlock()
	for a, times := range made {
		if times != 1 {
			t.Errorf("attempt %d for subscriber %d was made %d times", a.number, a.subscriber, times)
		}
	}
}
