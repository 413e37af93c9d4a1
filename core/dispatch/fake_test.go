package dispatch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/retry"
)

// memory is a queue and a store in memory, as simple as they can be, for tests under testing/synctest: it hands every message to a goroutine of
// its own when it is due, and again when the handler fails.
type memory struct {
	mu          sync.Mutex
	handlers    map[core.QueueName]func(core.Message)
	waiting     map[core.QueueName][]core.Message // published before anybody consumed
	events      map[core.EventID]core.EventRecord
	attempts    []core.Attempt
	dead        map[string]core.DeadLetter
	subscribers []core.Subscriber
	watchers    []func(core.SubscriberID)
	held        int // how often a handler held a message
	handed      map[core.QueueName]int
	expanded    map[core.EventID][]core.SubscriberID // deliveries of which there is a message and no attempt yet
}

func newMemory(subscribers ...core.Subscriber) *memory {
	return &memory{
		handlers: map[core.QueueName]func(core.Message){}, waiting: map[core.QueueName][]core.Message{},
		events: map[core.EventID]core.EventRecord{}, dead: map[string]core.DeadLetter{}, subscribers: subscribers,
		handed: map[core.QueueName]int{},
	}
}

func (m *memory) Publish(_ context.Context, out ...core.Outgoing) error {
	for _, o := range out {
		o.Message.Fresh = true
		m.send(o)
	}
	return nil
}

func (m *memory) send(o core.Outgoing) {
	if wait := time.Until(o.Due); !o.Due.IsZero() && wait > 0 {
		time.AfterFunc(wait, func() { m.send(core.Outgoing{Queue: o.Queue, Message: o.Message}) })
		return
	}
	m.mu.Lock()
	if c := o.Message.Content; c != nil {
		if _, ok := m.events[c.ID]; !ok {
			m.events[c.ID] = core.EventRecord{Event: *c, State: core.EventAccepted}
		}
	}
	hand := m.handlers[o.Queue]
	if hand == nil {
		m.waiting[o.Queue] = append(m.waiting[o.Queue], o.Message)
	}
	m.mu.Unlock()
	if hand != nil {
		go hand(o.Message)
	}
}

func (m *memory) Consume(ctx context.Context, q core.QueueName, _ int, h core.Handler) error {
	working, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var running sync.WaitGroup
	var hand func(core.Message)
	hand = func(msg core.Message) {
		m.mu.Lock()
		if ctx.Err() != nil {
			m.mu.Unlock()
			return
		}
		running.Add(1)
		m.handed[q]++
		m.mu.Unlock()
		defer running.Done()
		result, err := h(working, msg)
		msg.Fresh, msg.Redelivered = false, true
		var held *core.Held
		if errors.As(err, &held) {
			m.mu.Lock()
			m.held++
			m.mu.Unlock()
			held.Notify(func() { go hand(msg) })
			return
		}
		if err != nil {
			time.AfterFunc(time.Second, func() { hand(msg) })
			return
		}
		m.apply(result.Log)
		for _, o := range result.Next {
			o.Message.Fresh = true
			m.send(o)
		}
	}
	m.mu.Lock()
	m.handlers[q] = hand
	early := m.waiting[q]
	m.waiting[q] = nil
	m.mu.Unlock()
	for _, msg := range early {
		go hand(msg)
	}
	<-ctx.Done()
	m.mu.Lock()
	delete(m.handlers, q)
	m.mu.Unlock()
	running.Wait()
	return nil
}

func (m *memory) apply(log []core.Record) {
	var changed []core.SubscriberID
	m.mu.Lock()
	for _, r := range log {
		switch r := r.(type) {
		case core.EventRecord:
			m.events[r.Event.ID] = r
		case core.AttemptRecord:
			if _, ok := m.attempt(r.Attempt.Event, r.Attempt.Subscriber, r.Attempt.Number); !ok {
				m.attempts = append(m.attempts, r.Attempt)
			}
		case core.DeadLetterRecord:
			m.dead[r.DeadLetter.ID] = r.DeadLetter
		case core.ResurrectRecord:
			delete(m.dead, r.ID)
		case core.DisableRecord:
			i := slices.IndexFunc(m.subscribers, func(s core.Subscriber) bool { return s.ID == r.Subscriber })
			m.subscribers[i].Enabled, m.subscribers[i].Reason = false, r.Reason
			changed = append(changed, r.Subscriber)
		}
	}
	m.mu.Unlock()
	for _, id := range changed {
		for _, w := range m.watchers {
			w(id)
		}
	}
}

func (m *memory) attempt(event core.EventID, s core.SubscriberID, number int) (core.Attempt, bool) {
	for _, a := range m.attempts {
		if a.Event == event && a.Subscriber == s && a.Number == number {
			return a, true
		}
	}
	return core.Attempt{}, false
}

func (m *memory) Depths(context.Context) ([]core.Depth, error) { return nil, nil }
func (m *memory) Close() error                                 { return nil }

func (m *memory) Event(_ context.Context, id core.EventID) (core.EventRecord, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.events[id]; ok {
		return r, nil
	}
	return core.EventRecord{}, core.ErrNotFound
}

func (m *memory) Attempt(_ context.Context, event core.EventID, s core.SubscriberID, number int) (core.Attempt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a, ok := m.attempt(event, s, number); ok {
		return a, nil
	}
	return core.Attempt{}, core.ErrNotFound
}

func (m *memory) Delivery(_ context.Context, id core.DeliveryID) (core.Delivery, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := core.Delivery{ID: id, State: core.DeliveryPending}
	for _, a := range m.attempts {
		if core.DeliveryIDOf(a.Event, a.Subscriber) == id {
			d.Event, d.Subscriber, d.Last = a.Event, a.Subscriber, &a
			d.Attempts = append(d.Attempts, a)
		}
	}
	if d.Last == nil {
		return d, core.ErrNotFound
	}
	switch {
	case d.Last.Outcome == core.Delivered:
		d.State = core.DeliveryDelivered
	case !d.Last.Due.IsZero():
		d.State = core.DeliveryScheduled
	default:
		d.State = core.DeliveryDead
	}
	return d, nil
}

func (m *memory) Deliveries(_ context.Context, f core.DeliveryFilter) (page []core.Delivery, _ string, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.attempts {
		if a.Event == f.Event && a.Subscriber != 0 {
			page = append(page, core.Delivery{Event: a.Event, Subscriber: a.Subscriber, Last: &a})
		}
	}
	for _, s := range m.expanded[f.Event] {
		page = append(page, core.Delivery{Event: f.Event, Subscriber: s})
	}
	return page, "", nil
}

func (m *memory) DeadLetter(_ context.Context, id string) (core.DeadLetter, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if d, ok := m.dead[id]; ok {
		return d, nil
	}
	return core.DeadLetter{}, core.ErrNotFound
}

func (m *memory) Match(event string, accepted time.Time) []core.Subscriber {
	var matching []core.Subscriber
	for _, s := range m.Subscribers() {
		if s.Event == event && s.Wants(accepted) {
			matching = append(matching, s)
		}
	}
	return matching
}

func (m *memory) Subscriber(id core.SubscriberID) (core.Subscriber, bool) {
	for _, s := range m.Subscribers() {
		if s.ID == id {
			return s, true
		}
	}
	return core.Subscriber{}, false
}

func (m *memory) Subscribers() []core.Subscriber {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.subscribers)
}

func (m *memory) WatchSubscribers(changed func(core.SubscriberID)) {
	m.watchers = append(m.watchers, changed)
}

// change replaces a subscriber, or deletes it where change returns false.
func (m *memory) change(id core.SubscriberID, change func(*core.Subscriber) bool) {
	m.mu.Lock()
	i := slices.IndexFunc(m.subscribers, func(s core.Subscriber) bool { return s.ID == id })
	s := m.subscribers[i]
	if change(&s) {
		m.subscribers[i] = s
	} else {
		m.subscribers = slices.Delete(m.subscribers, i, i+1)
	}
	m.mu.Unlock()
	for _, w := range m.watchers {
		w(id)
	}
}

// history returns the attempts of one delivery, or with subscriber 0 of the event, in order.
func (m *memory) history(event core.EventID, s core.SubscriberID) []core.Attempt {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []core.Attempt
	for _, a := range m.attempts {
		if a.Event == event && a.Subscriber == s {
			all = append(all, a)
		}
	}
	return all
}

// plugins answers with functions.
type plugins struct {
	resolve func(context.Context, core.Resolution) ([]byte, error)
	notify  func(context.Context, core.Notification) (core.Answer, error)
}

func (p plugins) Resolve(ctx context.Context, r core.Resolution) ([]byte, error) {
	return p.resolve(ctx, r)
}
func (p plugins) Notify(ctx context.Context, n core.Notification) (core.Answer, error) {
	return p.notify(ctx, n)
}

var orders = core.Service{Class: "Orders", Method: "get"}

// start runs an engine over m until the test ends.
func start(t *testing.T, m *memory, p plugins, adjust ...func(*Config)) *Engine {
	t.Helper()
	c := Config{
		Queue: m, Log: m, Subscribers: m, Plugins: p, Logger: hclog.NewNullLogger(),
		Webhooks: map[string]core.Webhook{
			"stock.changed": {Name: "stock.changed"},
			"order.created": {Name: "order.created", Service: orders},
			"order.fresh":   {Name: "order.fresh", Service: orders, Fresh: true},
		},
		Retry: retry.Default(), Envelope: core.EnvelopeStandard, LaneConcurrency: 2, MaxAge: 24 * time.Hour,
		AttemptTimeout: 30 * time.Second, ResolveTimeout: 30 * time.Second,
	}
	for _, a := range adjust {
		a(&c)
	}
	e := New(c)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return e
}

// pass lets time go by and everything that it sets off settle.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func publish(t *testing.T, m *memory, id core.EventID, name string) core.Event {
	t.Helper()
	e := core.Event{ID: id, Name: name, Arguments: []byte(`{"id":1}`), Accepted: time.Now()}
	if err := m.Publish(t.Context(), core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)}); err != nil {
		t.Fatal(err)
	}
	return e
}

func subscriber(id core.SubscriberID, event string) core.Subscriber {
	return core.Subscriber{ID: id, Event: event, URL: "http://receiver.example/", Notifier: "default", Enabled: true}
}

func delivered() (core.Answer, error) { return core.Answer{Outcome: core.Delivered, Code: 200}, nil }
func failed() (core.Answer, error) {
	return core.Answer{Outcome: core.Retry, Code: 500, Reason: "answered 500"}, nil
}
