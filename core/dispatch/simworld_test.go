package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/postrider/postrider/core"
)

// world is everything that is not the engine, simulated: the queue and the store as core.Queue describes them, plugins and receivers, and time. What
// is durable in it outlives the daemon; see simlife_test.go for what doesn't, and simrules_test.go for what must hold.
//
// Its fields are changed by the simulation's own goroutine alone, between two rests of everything else, but for what mu says.
type world struct {
	plan  plan
	rules rules

	accepted []core.Event // in order
	events   map[core.EventID]core.EventRecord
	attempts map[core.EventID]map[core.SubscriberID][]core.Attempt // by number
	dead     map[string]core.DeadLetter
	open     []*message
	inHand   map[flightKey]bool    // a handler has a message of it
	noted    map[flightKey]int     // by the log of a broker: the attempts that wait there, or soon will
	resting  map[laneKey]time.Time // lanes whose handler failed
	life     *life
	lives    int

	mu          sync.Mutex // against the engine's goroutines
	subscribers []core.Subscriber
	webhooks    map[string]core.Webhook
	held        map[laneKey]bool
	calls       map[string]*call // what waits for an answer, by name
}

// message is one message of the queue.
type message struct {
	core.Outgoing
	order     int       // of the event's acceptance: lanes go by it
	number    int       // tells messages apart
	life      int       // the one it was filed in
	again     bool      // a handler may have done something with it
	notBefore time.Time // deferred until then
}

type laneKey struct {
	queue core.QueueName
	lane  string
}

func (m *message) key() flightKey { return flightKey{m.Message.Event, m.Message.Subscriber} }
func (m *message) lane() laneKey  { return laneKey{m.Queue, m.Message.Lane} }

func (m *message) String() string {
	return fmt.Sprintf("%s %s/%d attempt %d", m.Queue, m.Message.Event, m.Message.Subscriber, m.Message.Attempt)
}

// toHandler returns the message as a handler gets it.
func (w *world) toHandler(m *message) core.Message {
	out := m.Message
	if w.plan.broker {
		out.Redelivered = m.again
		return out
	}
	out.Fresh = m.life == w.lives && !m.again
	out.Redelivered = !out.Fresh
	return out
}

// isOpen reports whether a message of the delivery, or with subscriber 0 of the event, is in the queue.
func (w *world) isOpen(event core.EventID, subscriber core.SubscriberID) bool {
	return slices.ContainsFunc(w.open, func(m *message) bool { return m.key() == flightKey{event, subscriber} })
}

// offers returns the messages that a consumer could be given now: of each lane the oldest where the queue keeps lanes, all of them where it is a
// broker that doesn't. Messages of one delivery are in one hand at a time.
func (w *world) offers(now time.Time) []*message {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := map[laneKey]*message{}
	var all []*message
	for _, m := range w.open {
		if w.inHand[m.key()] || m.Due.After(now) || m.notBefore.After(now) || w.held[m.lane()] || w.resting[m.lane()].After(now) {
			continue
		}
		if w.plan.broker {
			all = append(all, m)
		} else if best := first[m.lane()]; best == nil || m.order < best.order {
			first[m.lane()] = m
		}
	}
	for _, m := range w.open {
		if first[m.lane()] == m {
			all = append(all, m)
		}
	}
	return all
}

// nextOffer returns when something is offered next by the passing of time alone; zero: never.
func (w *world) nextOffer(now time.Time) (next time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.open {
		at := m.Due
		for _, other := range []time.Time{m.notBefore, w.resting[m.lane()]} {
			if other.After(at) {
				at = other
			}
		}
		if !w.inHand[m.key()] && !w.held[m.lane()] && at.After(now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// publish does what core.Queue says of Publish. An event that comes from a shop over a broker is not known before it is consumed.
func (w *world) publish(o core.Outgoing, throughBroker bool) {
	m := o.Message
	if !w.plan.broker {
		if m.Content != nil && m.Attempt == 1 {
			if _, known := w.events[m.Event]; known && (w.dead[string(m.Event)].ID == "" || w.dead[string(m.Event)].Last > 0) {
				return // a repeat
			}
		}
		id := string(m.Event)
		if m.Subscriber != 0 {
			id = string(core.DeliveryIDOf(m.Event, m.Subscriber))
		}
		if d, ok := w.dead[id]; ok && d.Last < m.Attempt {
			delete(w.dead, id)
		}
	}
	if m.Content != nil && !throughBroker {
		w.know(*m.Content)
	}
	w.file(o)
}

func (w *world) know(e core.Event) {
	if _, known := w.events[e.ID]; !known {
		w.events[e.ID] = core.EventRecord{Event: e, State: core.EventAccepted}
	}
}

// file puts a message into the queue. Where queue and store are one, a delivery has one message: the latest.
func (w *world) file(o core.Outgoing) {
	o.Due = ceilMilli(o.Due)
	if !w.plan.broker {
		i := slices.IndexFunc(w.open, func(m *message) bool { return m.key() == flightKey{o.Message.Event, o.Message.Subscriber} })
		if i >= 0 && w.open[i].Message.Attempt >= o.Message.Attempt {
			return
		}
		if i >= 0 {
			w.open = slices.Delete(w.open, i, i+1)
		}
	}
	w.rules.messages++
	order := slices.IndexFunc(w.accepted, func(e core.Event) bool { return e.ID == o.Message.Event })
	w.open = append(w.open, &message{Outgoing: o, order: order, number: w.rules.messages, life: w.lives})
}

func (w *world) remove(m *message) {
	w.open = slices.DeleteFunc(w.open, func(o *message) bool { return o == m })
}

// record applies a record of the log. It returns the subscriber that it changed, or 0.
func (w *world) record(r core.Record) (changed core.SubscriberID) {
	switch r := r.(type) {
	case core.EventRecord:
		if r.Payload == nil {
			r.Payload = w.events[r.Event.ID].Payload
		}
		w.events[r.Event.ID] = r
	case core.AttemptRecord:
		a := r.Attempt
		a.Since, a.Started, a.Due = a.Since.Truncate(time.Millisecond), a.Started.Truncate(time.Microsecond), a.Due.Truncate(time.Millisecond)
		if _, logged := w.attempt(a.Event, a.Subscriber, a.Number); logged {
			return 0
		}
		if w.attempts[a.Event] == nil {
			w.attempts[a.Event] = map[core.SubscriberID][]core.Attempt{}
		}
		w.attempts[a.Event][a.Subscriber] = append(w.attempts[a.Event][a.Subscriber], a)
	case core.DeadLetterRecord:
		w.dead[r.DeadLetter.ID] = r.DeadLetter
	case core.ResurrectRecord:
		delete(w.dead, r.ID)
	case core.DisableRecord:
		w.change(r.Subscriber, func(s *core.Subscriber) { s.Enabled, s.Reason = false, r.Reason })
		return r.Subscriber
	}
	return 0
}

// change changes a subscriber, if it is there. The engine is told by whoever calls it.
func (w *world) change(id core.SubscriberID, change func(*core.Subscriber)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.subscribers = slices.Clone(w.subscribers) // what was handed out is shared
	for i := range w.subscribers {
		if w.subscribers[i].ID == id {
			now := &w.subscribers[i]
			wasEnabled := now.Enabled
			if change(now); wasEnabled && !now.Enabled {
				now.Disabled = time.Now()
			}
		}
	}
}

func (w *world) attempt(event core.EventID, s core.SubscriberID, number int) (core.Attempt, bool) {
	for _, a := range w.attempts[event][s] {
		if a.Number == number {
			return a, true
		}
	}
	return core.Attempt{}, false
}

// look answers the engine's questions about the log.
func (w *world) look(what any) (any, error) {
	switch q := what.(type) {
	case core.EventID:
		if r, ok := w.events[q]; ok {
			return r, nil
		}
	case attemptQuestion:
		if a, ok := w.attempt(q.event, q.subscriber, q.number); ok {
			return a, nil
		}
	case deadLetterQuestion:
		if d, ok := w.dead[string(q)]; ok {
			return d, nil
		}
	case core.DeliveryID:
		return w.delivery(q)
	case deliveriesQuestion:
		return w.deliveries(core.EventID(q)), nil
	}
	return nil, core.ErrNotFound
}

type (
	attemptQuestion struct {
		event      core.EventID
		subscriber core.SubscriberID
		number     int
	}
	deadLetterQuestion string
	deliveriesQuestion core.EventID
)

// deliveries returns those of an event, by subscriber.
func (w *world) deliveries(event core.EventID) (all []core.Delivery) {
	for s := core.SubscriberID(1); s <= core.SubscriberID(w.plan.subscribers); s++ {
		attempts, isOpen := w.attempts[event][s], w.isOpen(event, s) || w.noted[flightKey{event, s}] > 0
		if len(attempts) == 0 && !isOpen {
			continue
		}
		d := core.Delivery{ID: core.DeliveryIDOf(event, s), Event: event, Subscriber: s, Attempts: attempts}
		if len(attempts) > 0 {
			d.Last = &attempts[len(attempts)-1]
		}
		_, isDead := w.dead[string(d.ID)]
		switch {
		case isOpen:
			d.State = core.DeliveryPending
		case isDead:
			d.State = core.DeliveryDead
		case d.Last.Outcome == core.Delivered:
			d.State = core.DeliveryDelivered
		default:
			d.State = core.DeliveryScheduled
		}
		all = append(all, d)
	}
	return all
}

func (w *world) delivery(id core.DeliveryID) (any, error) {
	for _, e := range w.accepted {
		for _, d := range w.deliveries(e.ID) {
			if d.ID == id {
				return d, nil
			}
		}
	}
	return nil, core.ErrNotFound
}

// Subscribers of the engine: answered from memory, at once.

func (w *world) Match(event string, accepted time.Time) (matching []core.Subscriber) {
	for _, s := range w.Subscribers() {
		if s.Event == event && s.Wants(accepted) {
			matching = append(matching, s)
		}
	}
	return matching
}

func (w *world) Subscriber(id core.SubscriberID) (core.Subscriber, bool) {
	all := w.Subscribers()
	if i := slices.IndexFunc(all, func(s core.Subscriber) bool { return s.ID == id }); i >= 0 {
		return all[i], true
	}
	return core.Subscriber{}, false
}

func (w *world) Subscribers() []core.Subscriber {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.subscribers
}

// call is something that an engine asked for, and waits for: the simulation answers one at a time, in an order that the seed decides.
type call struct {
	name    string
	what    any
	life    *life
	ended   error // of its context; guarded by world.mu
	expired error // the same, as the simulation saw it last
	done    chan struct{}
	result  any
	err     error
}

var errCrashed = errors.New("the daemon crashed")

// ask waits for the simulation's answer. The end of ctx alone doesn't end it: it is answered too, in its turn.
func (l *life) ask(ctx context.Context, name string, what any) (any, error) {
	c := &call{name: name, what: what, life: l, done: make(chan struct{})}
	l.world.mu.Lock()
	if l.crashed {
		l.world.mu.Unlock()
		return nil, errCrashed
	}
	if l.world.calls[name] != nil {
		l.world.rules.broken("%s is asked for twice at a time", name)
	}
	l.world.calls[name] = c
	l.world.mu.Unlock()
	select {
	case <-c.done:
	case <-ctx.Done():
		l.world.mu.Lock()
		c.ended = ctx.Err()
		l.world.mu.Unlock()
		<-c.done
	}
	return c.result, c.err
}

// waiting returns the calls that wait, by name.
func (w *world) waiting() []*call {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]*call, 0, len(w.calls))
	for _, c := range w.calls {
		c.expired = c.ended
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *call) int {
		switch {
		case a.name < b.name:
			return -1
		case a.name > b.name:
			return 1
		}
		return 0
	})
	return all
}

func (w *world) answer(c *call, result any, err error) {
	w.mu.Lock()
	delete(w.calls, c.name)
	c.result, c.err = result, err
	w.mu.Unlock()
	close(c.done)
}

func ceilMilli(t time.Time) time.Time {
	if floor := t.Truncate(time.Millisecond); floor.Before(t) {
		return floor.Add(time.Millisecond)
	}
	return t
}
