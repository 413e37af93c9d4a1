package coretest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/postrider/postrider/core"
)

// modelKey names what has one message at a time: an event (subscriber 0), or a delivery.
type modelKey struct {
	event      core.EventID
	subscriber core.SubscriberID
}

func keyOf(m core.Message) modelKey { return modelKey{m.Event, m.Subscriber} }

func (k modelKey) queue() core.QueueName {
	if k.subscriber == 0 {
		return core.EventQueue
	}
	return core.DeliveryQueue
}

// deadLetterID is what a dead letter of k is called.
func (k modelKey) deadLetterID() string {
	if k.subscriber == 0 {
		return string(k.event)
	}
	return string(core.DeliveryIDOf(k.event, k.subscriber))
}

type attemptKey struct {
	modelKey
	number int
}

// modelEntry is the one message of a key, until its hand-over.
type modelEntry struct {
	message core.Message
	due     time.Time
	filed   time.Time // when the queue was about to be given it
	session int       // of consuming, in which that was; 0: nobody knows
	touched bool      // a handler failed at it, or lost it in a crash
	hand    *hand     // nil: it waits

	// Of a queue that needs several steps. What has happened since it was opened, and a crash may leave half-done:
	deferred bool // it was sent away to come again later
	follows  bool // it is what a hand-over has led to
	asked    bool // a handler asked for the same attempt again
	// and what crashes have left:
	twice  bool // there may be more than one message of it
	early  bool // which may be due earlier
	absent bool // there may be none: what it follows from comes again, and leads to it
}

// hand is a handler that has a message, and waits for the test to say what it makes of it.
type hand struct {
	key     modelKey
	verdict chan verdict
	over    bool // it has returned, the queue is dying of that, and what becomes of it is not known yet
}

type verdict struct {
	result core.Result
	err    error
}

type laneKey struct {
	queue core.QueueName
	name  string
}

// modelLane is what the model knows of a lane, from when a handler held a message of it or failed at one.
type modelLane struct {
	held     time.Time // since when; zero: it is not
	wakes    []func()
	failures int
}

// queueModel is what a queue with its log must look like from outside. It is as simple as can be: one map from event and subscriber to the message
// that waits or is in a handler's hands, and one from attempt to what its hand-over was. Handlers register in it what they are handed, and
// it notes the first thing that must not be.
type queueModel struct {
	oneStep bool

	mu      sync.Mutex
	entries map[modelKey]*modelEntry
	logged  map[attemptKey]core.Result
	last    map[modelKey]int // the number of the last attempt
	events  []core.Event     // in the order of their acceptance
	refused []core.EventID
	dead    map[string]bool // dead letters, those that are gone as false
	lanes   map[laneKey]*modelLane
	recent  map[attemptKey]bool        // handed over since the queue was opened: it may not have come to know that they are consumed
	again   map[attemptKey]bool        // logged, and there may be a message of it all the same, since a crash
	dying   map[modelKey]core.Outgoing // what follows from the hand-over that the queue is dying of
	came    []modelKey                 // those of it that a handler was handed
	session int
	limit   map[core.QueueName]int // of handlers; 0: nobody consumes
	wrong   string
	changed chan struct{}
}

func newQueueModel(oneStep bool) *queueModel {
	return &queueModel{
		oneStep: oneStep, entries: map[modelKey]*modelEntry{}, logged: map[attemptKey]core.Result{}, last: map[modelKey]int{}, dead: map[string]bool{},
		recent: map[attemptKey]bool{}, again: map[attemptKey]bool{},
		lanes: map[laneKey]*modelLane{}, limit: map[core.QueueName]int{}, changed: make(chan struct{}, 1),
	}
}

// handler hands what it gets to the test, by way of the model.
func (m *queueModel) handler(_ context.Context, msg core.Message) (core.Result, error) {
	h, repeat := m.take(msg)
	switch {
	case repeat != nil:
		return *repeat, nil
	case h == nil:
		return core.Result{}, errors.New("this message must not be here")
	}
	v := <-h.verdict
	return v.result, v.err
}

// take notes that a handler was handed msg. Where a crash left open whether it would come again, it returns what follows from its log.
func (m *queueModel) take(msg core.Message) (*hand, *core.Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := keyOf(msg)
	e := m.entries[k]
	if next, ok := m.dying[k]; ok && next.Message.Attempt == msg.Attempt {
		m.came = append(m.came, k) // before the queue was dead
		return nil, nil
	}
	if e != nil && e.hand != nil {
		if !e.hand.over {
			m.complain("%s was handed over while a handler has it", describe(msg))
		}
		return nil, nil
	}
	if e == nil || e.message.Attempt != msg.Attempt {
		if m.again[attemptKey{k, msg.Attempt}] {
			return nil, m.repeat(attemptKey{k, msg.Attempt})
		}
		_, logged := m.logged[attemptKey{k, msg.Attempt}]
		m.complain("%s was handed over, which is logged: %t, and not waiting", describe(msg), logged)
		return nil, nil
	}
	now := time.Now()
	lane := m.lanes[laneKey{k.queue(), msg.Lane}]
	want := e.message
	switch {
	case msg.Lane != want.Lane || msg.First != want.First || !msg.Since.Equal(want.Since) || (msg.Content == nil) != (want.Content == nil):
		m.complain("%s: got %+v, want %+v", describe(msg), msg, want)
	case msg.Content != nil && (msg.Content.Name != want.Content.Name || string(msg.Content.Arguments) != string(want.Content.Arguments)):
		m.complain("%s: got the event %+v, want %+v", describe(msg), msg.Content, want.Content)
	case msg.Fresh && msg.Redelivered:
		m.complain("%s is called fresh and redelivered", describe(msg))
	case now.Before(e.due) && !e.early:
		m.complain("%s came %v before it was due", describe(msg), e.due.Sub(now))
	case e.touched && !msg.Redelivered && !e.twice: // it may be the other one
		m.complain("%s was in a handler's hands before, and is not called redelivered", describe(msg))
	case !e.touched && e.session == m.session && msg.Redelivered && !e.twice:
		m.complain("%s was in nobody's hands before, and is called redelivered", describe(msg))
	case m.oneStep && lane != nil && !lane.held.IsZero() && e.filed.After(lane.held):
		m.complain("%s was handed over although its lane is held", describe(msg))
	case m.inHand(k.queue()) >= m.limit[k.queue()]:
		m.complain("%s was handed over although %d handlers are at work", describe(msg), m.inHand(k.queue()))
	}
	e.hand = &hand{key: k, verdict: make(chan verdict, 1)}
	e.absent = false
	m.change()
	return e.hand, nil
}

// complain notes what must not be. The lock is held.
func (m *queueModel) complain(format string, a ...any) {
	if m.wrong == "" {
		m.wrong = fmt.Sprintf(format, a...)
	}
	m.change()
}

func (m *queueModel) change() {
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

func describe(m core.Message) string {
	return fmt.Sprintf("attempt %d of event %s for subscriber %d", m.Attempt, m.Event, m.Subscriber)
}

// inHand counts the messages of q that handlers have. The lock is held.
func (m *queueModel) inHand(q core.QueueName) (n int) {
	for k, e := range m.entries {
		if k.queue() == q && e.hand != nil && !e.hand.over {
			n++
		}
	}
	return n
}

// accept notes that the queue was given a message from outside, or is about to be. It takes a dead letter away.
func (m *queueModel) accept(o core.Outgoing) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := keyOf(o.Message)
	if id := k.deadLetterID(); m.dead[id] {
		m.dead[id] = false
	}
	if o.Message.Content != nil && o.Message.Attempt == 1 {
		m.events = append(m.events, *o.Message.Content)
	}
	m.file(o)
}

// file notes that the queue has a message. The lock is held.
func (m *queueModel) file(o core.Outgoing) {
	m.entries[keyOf(o.Message)] = &modelEntry{message: o.Message, due: o.Due, filed: time.Now(), session: m.session}
}

// handOver notes that a handler has said what takes the place of its message.
func (m *queueModel) handOver(k modelKey, result core.Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.entries[k]
	delete(m.entries, k)
	for _, record := range result.Log {
		switch r := record.(type) {
		case core.AttemptRecord:
			number := attemptKey{k, r.Attempt.Number}
			m.logged[number] = result
			m.last[k] = r.Attempt.Number
			m.recent[number] = true
			if before.twice {
				m.again[number] = true
			}
		case core.DeadLetterRecord:
			m.dead[r.DeadLetter.ID] = true
		}
	}
	for _, o := range result.Next {
		m.file(o)
		e := m.entries[keyOf(o.Message)]
		e.follows = true
		if keyOf(o.Message) == k && o.Message.Attempt == before.message.Attempt {
			e.asked, e.twice, e.early = true, before.twice, before.twice
		}
	}
}

// giveBack notes that a handler has not consumed its message. touched: it may have done something with it.
func (m *queueModel) giveBack(k modelKey, touched bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entries[k]
	e.hand, e.touched, e.deferred = nil, e.touched || touched, e.deferred || touched
}

func (m *queueModel) lane(k modelKey) *modelLane {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := laneKey{k.queue(), m.entries[k].message.Lane}
	if m.lanes[key] == nil {
		m.lanes[key] = &modelLane{}
	}
	return m.lanes[key]
}

// begin notes that consuming begins, with as many handlers for each queue; none: that it is over.
func (m *queueModel) begin(handlers int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if handlers > 0 {
		m.session++
	}
	m.limit[core.EventQueue], m.limit[core.DeliveryQueue] = handlers, handlers
	clear(m.lanes)
}

// find lists the keys of entries that are as wanted, always in the same order.
func (m *queueModel) find(wanted func(modelKey, *modelEntry) bool) (keys []modelKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, e := range m.entries {
		if wanted(k, e) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, compareKeys)
	return keys
}

func compareKeys(a, b modelKey) int {
	return cmp.Or(cmp.Compare(a.event, b.event), cmp.Compare(a.subscriber, b.subscriber))
}

// inHands lists what handlers have.
func (m *queueModel) inHands() []modelKey {
	return m.find(func(_ modelKey, e *modelEntry) bool { return e.hand != nil })
}

// over lists what neither waits nor is in a handler's hands any more.
func (m *queueModel) over() (keys []modelKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.last {
		if m.entries[k] == nil {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, compareKeys)
	return keys
}

// idle returns a message that no handler has although nothing keeps the queue from handing it over; nothing: there is none. With soon, messages
// that are due in a few seconds count, and so do lanes in which a handler held one or failed: one of those must have at least one message in hand.
func (m *queueModel) idle(soon bool) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.wrong != "" {
		return ""
	}
	now, busy := time.Now(), map[laneKey]bool{}
	for k, e := range m.entries {
		if e.hand != nil {
			busy[laneKey{k.queue(), e.message.Lane}] = true
		}
	}
	if soon {
		now = now.Add(far / 2)
	}
	for k, e := range m.entries {
		at := laneKey{k.queue(), e.message.Lane}
		lane := m.lanes[at]
		switch {
		case e.hand != nil, e.absent, e.due.After(now), m.inHand(k.queue()) >= m.limit[k.queue()]:
		case lane == nil:
			return describe(e.message)
		case soon && lane.held.IsZero() && !busy[at]:
			return describe(e.message) + ", whose lane is free again"
		}
	}
	return ""
}

// depths returns what waits by queue, and how many messages there may be less or, since crashes, more.
func (m *queueModel) depths() (all map[core.QueueName]core.Depth, less int, more bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	all, more = map[core.QueueName]core.Depth{}, len(m.again) > 0
	for k, e := range m.entries {
		d := all[k.queue()]
		more = more || e.twice
		if e.absent && e.hand == nil {
			less++
		}
		switch {
		case e.hand != nil:
		case e.due.After(now):
			d.Due++
		default:
			d.Ready++
		}
		all[k.queue()] = d
	}
	return all, less, more
}
