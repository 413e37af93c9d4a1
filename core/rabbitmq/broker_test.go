package rabbitmq

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/postrider/postrider/core"
)

// consumed has b consume a queue until the test ends, and returns what it hands over.
func consumed(t *testing.T, b *backend, q core.QueueName, h core.Handler) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Consume(ctx, q, 8, h) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func next[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("%s did not come", what)
		panic("unreachable")
	}
}

// send publishes as somebody else does.
func send(t *testing.T, p place, exchange, key string, m amqp.Publishing) {
	t.Helper()
	control(t, p.url, func(channel *amqp.Channel) error {
		if err := channel.Confirm(false); err != nil {
			return err
		}
		confirmation, err := channel.PublishWithDeferredConfirm(exchange, key, true, false, m)
		if err == nil && !confirmation.Wait() {
			err = errors.New("not confirmed")
		}
		return err
	})
}

func TestATriggerQueueOfTheShopIsConsumedAsItIs(t *testing.T) {
	p := newPlaceOn(t, broker.Start(t).URL())
	control(t, p.url, func(channel *amqp.Channel) error {
		if err := channel.ExchangeDeclare(p.prefix+"-shop", "topic", true, false, false, false, nil); err != nil {
			return err
		}
		_, err := channel.QueueDeclare(p.prefix+".trigger", true, false, false, false, amqp.Table{"x-queue-type": "classic", "x-max-priority": int32(3)})
		if err != nil {
			return err
		}
		return channel.QueueBind(p.prefix+".trigger", "sales.#", p.prefix+"-shop", false, nil)
	})
	send(t, p, p.prefix+"-shop", "sales.order", amqp.Publishing{Body: []byte(`["sales.order.created","{}"]`), MessageId: "order-0"})
	b := p.open(t)
	got := make(chan core.Message, 10)
	consumed(t, b, core.EventQueue, func(_ context.Context, m core.Message) (core.Result, error) {
		got <- m
		return core.Result{}, nil
	})
	if m := next(t, got, "the event from before"); m.Event != "order-0" || m.Redelivered {
		t.Errorf("got %+v: looking at the queue must take nothing from it", m)
	}
	send(t, p, p.prefix+"-shop", "sales.order", amqp.Publishing{Body: []byte(`["sales.order.created","{\"id\":1}"]`), MessageId: "order-1"})
	m := next(t, got, "the event")
	if m.Event != "order-1" || m.Content.Name != "sales.order.created" || string(m.Content.Arguments) != `{"id":1}` || m.Attempt != 1 || m.First != 1 ||
		m.Lane != "sales.order.created" || m.Redelivered || time.Since(m.Content.Accepted) > patience {
		t.Errorf("got %+v with %+v", m, m.Content)
	}
}

func TestATriggerQueueThatIsAStreamIsRefusedWithWhatToDoAndThatHelps(t *testing.T) {
	p := newPlaceOn(t, broker.Start(t).URL())
	misnamed := p.prefix + " of queue type rabbit_stream_queue"
	control(t, p.url, func(channel *amqp.Channel) error {
		if err := channel.ExchangeDeclare(p.prefix+"-shop", "topic", true, false, false, false, nil); err != nil {
			return err
		}
		for name, arguments := range map[string]amqp.Table{
			p.prefix + ".trigger": {"x-queue-type": "stream", "x-max-length-bytes": int64(1 << 30)}, misnamed: {"x-queue-type": "quorum"},
		} {
			if _, err := channel.QueueDeclare(name, true, false, false, false, arguments); err != nil {
				return err
			}
			if err := channel.QueueBind(name, "webhook.trigger", p.prefix+"-shop", false, nil); err != nil {
				return err
			}
		}
		return nil
	})
	send(t, p, p.prefix+"-shop", "webhook.trigger", amqp.Publishing{Body: []byte(`["sales.order.created","{}"]`), MessageId: "order-1"})
	b := p.openAnyway(t)
	until(t, "it is refused, and why", func() bool {
		why := strings.Join(b.queue.Unready(), "\n")
		return strings.Contains(why, p.prefix+".trigger is a stream") && strings.Contains(why, "set queue.trigger.queue to")
	})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = p.open(t, func(c *Config) { c.Trigger.Queue = misnamed })
	got := make(chan core.Message, 1)
	consumed(t, b, core.EventQueue, func(_ context.Context, m core.Message) (core.Result, error) {
		got <- m
		return core.Result{}, nil
	})
	if m := next(t, got, "the event"); m.Event != "order-1" || m.Redelivered {
		t.Errorf("got %+v", m)
	}
}

func TestATriggerQueueWhoseTypeTheBrokerDoesNotTellIsConsumedWithAWarning(t *testing.T) {
	node := broker.Start(t)
	for name, test := range map[string]struct {
		queue string
		alter func([]byte)
		warns bool
	}{
		"a name that leaves room for the answer": {strings.Repeat("q", 160), nil, false},
		"a name that fills the answer":           {strings.Repeat("q", 200), nil, true},
		"a broker that checks no arguments": {"q", func(b []byte) {
			if at := bytes.Index(b, []byte("x-priority")); at >= 0 {
				b[at] = 'y' // which nobody knows, so nobody checks it
			}
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlaceOn(t, node.URL())
			queue := p.prefix + test.queue
			control(t, p.url, func(channel *amqp.Channel) error {
				_, err := channel.QueueDeclare(queue, true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
				return err
			})
			send(t, p, "", queue, amqp.Publishing{Body: []byte(`["sales.order.created","{}"]`), MessageId: "order-1"})
			proxy := newProxy(t, node.Addr())
			proxy.mu.Lock()
			proxy.alter = test.alter
			proxy.mu.Unlock()
			p.url = "amqp://guest:guest@" + proxy.addr + "/"
			var log logged
			b := p.open(t, func(c *Config) {
				c.Trigger.Queue, c.Logger = queue, hclog.New(&hclog.LoggerOptions{Output: &log})
			})
			got := make(chan core.Message, 1)
			consumed(t, b, core.EventQueue, func(_ context.Context, m core.Message) (core.Result, error) {
				got <- m
				return core.Result{}, nil
			})
			if m := next(t, got, "the event that was there"); m.Event != "order-1" {
				t.Errorf("got %+v", m)
			}
			if warns := log.has("[WARN]  rabbitmq: the broker does not tell whether the trigger queue is a stream"); warns != test.warns {
				t.Errorf("it is warned: %t, want %t", warns, test.warns)
			}
		})
	}
}

func TestATriggerQueueThatIsMissingIsDeclaredAndBound(t *testing.T) {
	p := newPlaceOn(t, broker.Start(t).URL())
	b := p.open(t)
	got := make(chan core.Message, 10)
	consumed(t, b, core.EventQueue, func(_ context.Context, m core.Message) (core.Result, error) {
		got <- m
		return core.Result{}, nil
	})
	send(t, p, p.prefix+"-shop", "webhook.trigger", amqp.Publishing{Body: []byte(`["sales.order.created","{\"id\":1}"]`)})
	if m := next(t, got, "the event"); m.Event.Check() != nil || !strings.HasPrefix(string(m.Event), "evt_") {
		t.Errorf("an event without an id got %q", m.Event)
	}
}

func TestAnEventOfTheShopThatIsHeldOrFailsComesAgainUnderItsIdAndNotFromTheShopsQueue(t *testing.T) {
	p := newPlaceOn(t, broker.Start(t).URL())
	b := p.open(t)
	got := make(chan core.Message, 10)
	times := 0
	consumed(t, b, core.EventQueue, func(_ context.Context, m core.Message) (core.Result, error) {
		got <- m
		if times++; times == 1 {
			return core.Result{}, errors.New("the log can't be read")
		}
		return core.Result{}, nil
	})
	send(t, p, p.prefix+"-shop", "webhook.trigger", amqp.Publishing{Body: []byte(`["sales.order.created","{\"id\":1}"]`)})
	first := next(t, got, "the event")
	again := next(t, got, "the event that a handler failed at")
	if again.Event != first.Event || !again.Redelivered || again.Attempt != 1 || !again.Content.Accepted.Equal(first.Content.Accepted) ||
		string(again.Content.Arguments) != string(first.Content.Arguments) {
		t.Errorf("first %+v with %+v, then %+v with %+v", first, first.Content, again, again.Content)
	}
	until(t, "nothing waits", func() bool {
		depths, err := b.Depths(t.Context())
		return err == nil && !slices.ContainsFunc(depths, func(d core.Depth) bool { return d.Ready+d.Due > 0 })
	})
}

func TestWhatCannotBeReadBecomesADeadLetterWithItsOriginal(t *testing.T) {
	p := newPlaceOn(t, broker.Start(t).URL())
	b := p.open(t)
	never := func(_ context.Context, m core.Message) (core.Result, error) {
		t.Errorf("was handed over: %+v", m)
		return core.Result{}, nil
	}
	consumed(t, b, core.EventQueue, never)
	consumed(t, b, core.DeliveryQueue, never)
	for queue, m := range map[string]amqp.Publishing{
		p.prefix + ".trigger":       {Body: []byte(`["sales.order.created",`), MessageId: "broken-1"},
		p.prefix + eventSuffix:      {Body: []byte("\xff\xfe"), Type: "sales.order.created", MessageId: "broken-2", Headers: amqp.Table{"attempt": int64(1), "first": int64(1)}},
		p.prefix + deliverySuffix:   {Body: []byte("who knows"), MessageId: "broken-3"},
		p.prefix + deadletterSuffix: {Body: []byte("junk"), MessageId: "broken-4", Headers: amqp.Table{"attempt": "one"}},
	} {
		send(t, p, "", queue, m)
		var letter core.DeadLetter
		until(t, "the dead letter of "+m.MessageId, func() (ok bool) {
			var err error
			letter, err = b.DeadLetter(t.Context(), m.MessageId)
			return err == nil
		})
		if string(letter.Original) != string(m.Body) || letter.Kind != core.DeadEvent || !strings.Contains(letter.Reason, queue) {
			t.Errorf("%s: got %+v", queue, letter)
		}
	}
	send(t, p, "", p.prefix+".trigger", amqp.Publishing{Body: []byte(`{}`)})
	until(t, "the dead letter of a message without any id", func() bool {
		page, _, err := b.DeadLetters(t.Context(), core.DeadLetterFilter{Limit: 10})
		return err == nil && len(page) == 5 && string(page[0].Original) == `{}`
	})
}

// giveUp has the broker give up on the message of a queue: it is delivered, and lost, as often as its limit allows.
func giveUp(t *testing.T, p place, queue string) {
	t.Helper()
	control(t, p.url, func(channel *amqp.Channel) error {
		if err := channel.Qos(1, 0, false); err != nil {
			return err
		}
		deliveries, err := channel.Consume(queue, "", false, false, false, false, nil)
		if err != nil {
			return err
		}
		for range deliveryLimit + 1 {
			select {
			case d := <-deliveries:
				if err := d.Nack(false, true); err != nil {
					return err
				}
			case <-time.After(patience):
				return errors.New("the message did not come again")
			}
		}
		return nil
	})
}

func TestWhatTheBrokerGivesUpOnIsFiledOnceAndCanBeReplayed(t *testing.T) {
	p := newPlaceOn(t, broker.Start(t).URL())
	b := p.open(t)
	e := benchEvent()
	if err := b.Publish(t.Context(), core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)}); err != nil {
		t.Fatal(err)
	}
	giveUp(t, p, p.prefix+eventSuffix)
	var letter core.DeadLetter
	until(t, "the event is a dead letter", func() (ok bool) {
		var err error
		letter, err = b.DeadLetter(t.Context(), string(e.ID))
		return err == nil
	})
	record, err := b.Event(t.Context(), e.ID)
	if err != nil || record.State != core.EventDead || letter.EventName != e.Name || letter.Last != 0 || !strings.Contains(letter.Reason, "delivery_limit") {
		t.Errorf("got %+v and event %v, %v", letter, record.State, err)
	}

	replay := core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)}
	for range 2 {
		if err := b.Publish(t.Context(), replay); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.DeadLetter(t.Context(), string(e.ID)); !errors.Is(err, core.ErrNotFound) {
		t.Errorf("the dead letter of a replayed event: got %v", err)
	}
	got := make(chan core.Message, 10)
	consumed(t, b, core.EventQueue, func(_ context.Context, m core.Message) (core.Result, error) {
		got <- m
		return core.Result{Log: []core.Record{core.EventRecord{Event: *m.Content, State: core.EventDispatched}},
			Next: []core.Outgoing{{Queue: core.DeliveryQueue, Message: core.DeliveryMessage(e.ID, 7, e.Accepted)}}}, nil
	})
	next(t, got, "the replayed event")

	until(t, "the delivery waits", func() bool {
		depths, err := b.Depths(t.Context())
		return err == nil && depths[1].Ready == 1
	})
	giveUp(t, p, p.prefix+deliverySuffix)
	id := core.DeliveryIDOf(e.ID, 7)
	until(t, "the delivery is a dead letter", func() bool {
		letter, err = b.DeadLetter(t.Context(), string(id))
		return err == nil
	})
	if letter.Kind != core.DeadDelivery || letter.Subscriber != 7 || letter.EventName != e.Name {
		t.Errorf("got %+v", letter)
	}
	if d, err := b.Delivery(t.Context(), id); err != nil || d.State != core.DeliveryDead {
		t.Errorf("got %+v, %v", d, err)
	}
}

func TestWhatTheBrokerGivesUpOnAfterItsAttemptGoesOnFromThere(t *testing.T) {
	p := newPlaceOn(t, broker.Start(t).URL())
	b := p.open(t)
	e := benchEvent()
	m := core.DeliveryMessage(e.ID, 7, e.Accepted)
	log := []core.Record{
		core.EventRecord{Event: e, State: core.EventDispatched},
		core.AttemptRecord{Attempt: core.Attempt{Event: e.ID, Subscriber: 7, Number: 1, First: 1, Outcome: core.Retry, Due: time.Now().Add(time.Second)}},
	}
	if err := b.Append(t.Context(), log...); err != nil {
		t.Fatal(err)
	}
	got := make(chan core.Message, 10)
	consumed(t, b, core.DeliveryQueue, func(_ context.Context, m core.Message) (core.Result, error) {
		got <- m
		return core.Result{}, nil
	})
	dead := encode(&envelope{message: m})
	send(t, p, "", p.prefix+deadletterSuffix, dead)
	if m := next(t, got, "the next attempt"); m.Attempt != 2 || m.Event != e.ID || m.Subscriber != 7 {
		t.Errorf("got %+v", m)
	}
	if _, err := b.DeadLetter(t.Context(), string(core.DeliveryIDOf(e.ID, 7))); !errors.Is(err, core.ErrNotFound) {
		t.Errorf("its dead letter: %v", err)
	}
}

// waitsInTurn counts what has left the window until its lane has room; 0 also while there is no connection, or nobody consumes.
func waitsInTurn(b *backend, name core.QueueName) int {
	l, w := b.queue.link.Load(), b.queue.consuming[name].Load()
	if l == nil || w == nil {
		return 0
	}
	_, waiting := b.queue.sourcesOf(name)
	n, err := l.count(waiting)
	if err != nil {
		return 0
	}
	return n + int(w.returning.Load())
}

func TestALaneWithoutRoomWaitsInTurnWithoutCountingAnAttempt(t *testing.T) {
	p := newPlaceOn(t, broker.Start(t).URL())
	b := p.open(t)
	const many, room = 400, 7 // more than fit into the window
	var out []core.Outgoing
	for range many {
		out = append(out, core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(benchEvent())})
	}
	if err := b.Publish(t.Context(), out...); err != nil {
		t.Fatal(err)
	}
	open, got := make(chan struct{}), make(chan core.Message, many)
	var inHand atomic.Int64
	consumed(t, b, core.EventQueue, func(_ context.Context, m core.Message) (core.Result, error) {
		defer inHand.Add(-1)
		if inHand.Add(1) <= room {
			<-open
		}
		select {
		case <-open:
			got <- m
			return core.Result{}, nil
		default:
		}
		return core.Result{}, &core.Held{Reason: "full", Notify: func(wake func()) { go func() { <-open; wake() }() }}
	})
	until(t, "most of the lane has left the window", func() bool { return waitsInTurn(b, core.EventQueue) > many/4 })
	close(open)
	seen := map[core.EventID]bool{}
	for range many {
		m := next(t, got, "a message of the lane")
		if m.Attempt != 1 || m.Redelivered || seen[m.Event] {
			t.Fatalf("got %+v, before: %t", m, seen[m.Event])
		}
		seen[m.Event] = true
	}
}

func TestTopologyIsInspectedAndDelayQueuesNoLongerNeededArePurged(t *testing.T) {
	p := newPlaceOn(t, broker.Start(t).URL())
	c := p.config()
	c.Delays = []time.Duration{3 * time.Hour, 4 * time.Second} // 3 h is longer than the ladder
	find := func(c Config) map[string]Found {
		t.Helper()
		found, err := Inspect(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		byName := map[string]Found{}
		for _, f := range found {
			byName[f.Name] = f
		}
		return byName
	}
	old := p.prefix + ".delay.10800000"
	if before := find(c); len(before) == 0 || before[old].Exists || before[old].Delay != 3*time.Hour || before[old].Unused {
		t.Errorf("before anything is declared: %+v", before)
	}
	b := p.open(t, func(with *Config) { with.Delays = c.Delays })
	e := benchEvent()
	delivery := core.DeliveryMessage(e.ID, 1, e.Accepted)
	delivery.Attempt = 4
	due := time.Now().Add(3 * time.Hour)
	err := b.Publish(t.Context(), core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)},
		core.Outgoing{Queue: core.DeliveryQueue, Message: delivery, Due: due})
	if err != nil {
		t.Fatal(err)
	}
	if f := find(c)[old]; !f.Exists || f.Messages != 1 || f.Unused {
		t.Errorf("while it is needed: %+v", f)
	}
	if purged, err := PurgeDelays(t.Context(), c); err != nil || len(purged) != 0 {
		t.Errorf("what is needed: purged %v, %v", purged, err)
	}
	c.Delays = []time.Duration{4 * time.Second}
	if f := find(c)[old]; !f.Unused || f.Messages != 1 {
		t.Errorf("once it is not needed any more: %+v", f)
	}
	purged, err := PurgeDelays(t.Context(), c)
	if err != nil || !slices.Equal(purged, []Purged{{old, 1}}) {
		t.Errorf("purged %v, %v", purged, err)
	}
	if f, ok := find(c)[old]; ok {
		t.Errorf("after the purge: %+v", f)
	}
	if again, err := PurgeDelays(t.Context(), c); err != nil || len(again) != 0 {
		t.Errorf("purged again: %v, %v", again, err)
	}
	hour := find(c)[p.prefix+".delay.3600000"]
	if hour.Messages != 1 {
		t.Fatalf("the message is not in the longest delay queue: %+v", hour)
	}
	control(t, p.url, func(channel *amqp.Channel) error {
		m, ok, err := channel.Get(hour.Name, true)
		if err != nil || !ok {
			return fmt.Errorf("got %v, %w", ok, err)
		}
		moved, err := decode(&m)
		if err != nil {
			return err
		}
		if moved.message.Attempt != 4 || moved.message.Subscriber != 1 || moved.due.Sub(due).Abs() > time.Millisecond || m.RoutingKey != p.prefix+deliverySuffix {
			t.Errorf("moved %+v, due %v of %v, to %s", moved.message, moved.due, due, m.RoutingKey)
		}
		return nil
	})
}

func TestAQueueOfOursWithOtherArgumentsIsNamed(t *testing.T) {
	p := newPlaceOn(t, broker.Start(t).URL())
	control(t, p.url, func(channel *amqp.Channel) error {
		_, err := channel.QueueDeclare(p.prefix+deliverySuffix, true, false, false, false, nil)
		return err
	})
	b := p.openAnyway(t)
	until(t, "the reason is told", func() bool {
		why := b.queue.Unready()
		return len(why) == 1 && strings.Contains(why[0], "queue "+p.prefix+deliverySuffix+" exists with other arguments")
	})
}

func TestWrongCredentialsAreToldWithoutThem(t *testing.T) {
	p := newPlaceOn(t, broker.Start(t).URL())
	p.url = strings.Replace(p.url, "guest:guest", "shop:hunter2", 1)
	b := p.openAnyway(t)
	until(t, "the reason is told", func() bool { return strings.Contains(b.queue.Unready()[0], "not allowed") })
	if why := b.queue.Unready()[0]; strings.Contains(why, "hunter2") || strings.Contains(why, "shop:") {
		t.Errorf("the reason holds the password: %s", why)
	}
}

func TestABadConfigurationIsRefusedWithoutItsPassword(t *testing.T) {
	for url, want := range map[string]string{
		"":                            "cannot be read",
		"http://shop:hunter2@host/":   "cannot be read",
		"amqp://shop:hunter2@ho st/x": "cannot be read",
		"amqp://shop:hun%ter2@host/x": "cannot be read",
	} {
		_, err := Open(Config{URL: url})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hun") {
			t.Errorf("%s: got %v", url, err)
		}
	}
	for _, c := range []Config{
		{URL: "amqp://host", Prefix: "a b"}, {URL: "amqp://host", Delays: []time.Duration{0}},
		{URL: "amqp://host", Trigger: Trigger{Queue: "webhook.event"}}, {URL: "amqp://host", Trigger: Trigger{Queue: "webhook.delay.5"}},
		{URL: "amqp://host", Trigger: Trigger{Key: strings.Repeat("k", 256)}},
	} {
		if q, err := Open(c); err == nil {
			q.Close()
			t.Errorf("%+v was accepted", c)
		}
	}
}

func TestTheTopologyIsWhatItAlwaysWas(t *testing.T) {
	topology, err := TopologyOf(Config{URL: "amqp://host", Delays: []time.Duration{time.Second, 4 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, q := range topology.Queues {
		names = append(names, q.Name)
	}
	want := "webhook.trigger webhook.event webhook.delivery webhook.event.waiting webhook.delivery.waiting webhook.deadletter webhook.delays " +
		"webhook.delay.100 webhook.delay.200 webhook.delay.500 webhook.delay.1000 webhook.delay.2000 webhook.delay.4000 webhook.delay.5000 webhook.delay.10000 webhook.delay.20000 webhook.delay.60000 " +
		"webhook.delay.120000 webhook.delay.300000 webhook.delay.900000 webhook.delay.3600000"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("queues:\n got %s\nwant %s", got, want)
	}
	// A broker refuses to declare a queue again with other arguments: whoever changes these leaves behind everybody who has the queues.
	for name, want := range map[string]string{
		"webhook.event": `{"x-dead-letter-exchange":"","x-dead-letter-routing-key":"webhook.deadletter","x-dead-letter-strategy":"at-least-once",` +
			`"x-delivery-limit":1000,"x-overflow":"reject-publish","x-queue-type":"quorum"}`,
		"webhook.event.waiting": `{"x-dead-letter-exchange":"","x-dead-letter-routing-key":"webhook.deadletter","x-dead-letter-strategy":"at-least-once",` +
			`"x-delivery-limit":1000,"x-overflow":"reject-publish","x-queue-type":"quorum"}`,
		"webhook.deadletter": `{"x-delivery-limit":1000000000,"x-queue-type":"quorum"}`,
		"webhook.delay.4000": `{"x-dead-letter-exchange":"","x-dead-letter-strategy":"at-least-once","x-message-ttl":4000,"x-overflow":"reject-publish",` +
			`"x-queue-type":"quorum"}`,
	} {
		spec, _ := topology.queue(name)
		if got, _ := json.Marshal(spec.Arguments); string(got) != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}

// A crash between filing a dead letter and acknowledging its message brings the message again: at once, or after the dead letter was replayed.
func TestWhatTheBrokerGaveUpOnAndComesAgainIsFiledOnceAndUndoesNoReplay(t *testing.T) {
	p := newPlaceOn(t, broker.Start(t).URL())
	b := p.open(t)
	e := benchEvent()
	m := core.EventMessage(e)
	dead := encode(&envelope{message: m})
	for range 2 {
		send(t, p, "", p.prefix+deadletterSuffix, dead)
	}
	send(t, p, "", p.prefix+deadletterSuffix, amqp.Publishing{MessageId: "the-last", Body: []byte("?")}) // one is filed after the other
	until(t, "all are filed", func() bool {
		_, err := b.DeadLetter(t.Context(), "the-last")
		return err == nil
	})
	if page, _, err := b.DeadLetters(t.Context(), core.DeadLetterFilter{Limit: 10}); err != nil || len(page) != 2 {
		t.Errorf("of one event that came twice, and of the last one, there are the dead letters %+v, %v", page, err)
	}

	got := make(chan core.Message, 10)
	consumed(t, b, core.EventQueue, func(_ context.Context, m core.Message) (core.Result, error) {
		got <- m
		return core.Result{Log: []core.Record{core.EventRecord{Event: *m.Content, State: core.EventDispatched}}}, nil
	})
	if err := b.Publish(t.Context(), core.Outgoing{Queue: core.EventQueue, Message: m}); err != nil {
		t.Fatal(err)
	}
	next(t, got, "the replayed event")
	until(t, "it is dispatched", func() bool {
		record, err := b.Event(t.Context(), e.ID)
		return err == nil && record.State == core.EventDispatched
	})
	send(t, p, "", p.prefix+deadletterSuffix, dead)
	if again := next(t, got, "the event, for what follows from it may be lost"); !again.Redelivered || again.Event != e.ID || again.Attempt != 1 {
		t.Errorf("after its dispatch it came as %+v", again)
	}
	_, err := b.DeadLetter(t.Context(), string(e.ID))
	if record, known := b.Event(t.Context(), e.ID); !errors.Is(err, core.ErrNotFound) || known != nil || record.State != core.EventDispatched {
		t.Errorf("the event is %s, and its dead letter: %v", record.State, err)
	}
}
