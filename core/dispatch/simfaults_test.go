package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/core"
)

// How receivers and resolvers may be. What a receiver that is failing, or a resolver, may also say is in the answers below.
const (
	fine    = "fine"
	failing = "failing"
	hanging = "hanging"
	moody   = "moody" // anything
)

// Faults, and what else may happen beside the work itself. A world has each of them with probability ½.
const (
	crashAtHandOver = "crash at a hand-over"
	crashAnywhere   = "crash"
	restart         = "restart"
	handOverFails   = "a hand-over fails"
	logFails        = "the log fails"
	publishFails    = "a publish fails"
	pluginDies      = "the notifier dies"
	moodsChange     = "moods change"
	subscribersMove = "subscribers change"
	replays         = "replays"
	repeats         = "publishers repeat themselves"
)

var faults = []string{crashAtHandOver, crashAnywhere, restart, handOverFails, logFails, publishFails, pluginDies, moodsChange, subscribersMove,
	replays, repeats}

// weight of a fault: none once everything has to work again, and while the daemon stops.
func (s *simulation) weight(fault string) int {
	if s.healing || s.draining {
		return 0
	}
	return s.plan.weights[fault]
}

// choices returns all that may happen next, in an order that depends on nothing else.
func (s *simulation) choices() (all []choice) {
	add := func(weight int, do func(), format string, args ...any) {
		if weight > 0 {
			all = append(all, choice{fmt.Sprintf(format, args...), weight, do})
		}
	}
	for _, c := range s.waiting() {
		s.answers(c, add)
	}
	if s.draining {
		return all
	}
	l := s.life
	for _, m := range s.offers(time.Now()) {
		if l.handling < s.plan.workers {
			add(4, func() { s.handOut(m) }, "hand out %v", m)
		}
	}
	if len(s.accepted) < s.plan.events {
		add(4, func() { s.publishEvent() }, "publish evt_%d", len(s.accepted)+1)
	}
	if s.healing {
		return all
	}
	for _, d := range []time.Duration{time.Millisecond, 10 * time.Millisecond, slow, 2 * time.Second, attemptTimeout} {
		add(1, func() { s.sleep(d) }, "%s pass", d)
	}
	if len(s.accepted) > 0 {
		e := s.accepted[s.rng.IntN(len(s.accepted))]
		add(s.weight(repeats), func() { s.publish(outgoingEvent(e), s.plan.broker) }, "publish %s again", e.ID)
	}
	add(s.weight(crashAnywhere), func() { s.crash(); s.restart() }, "crash") //nolint:errcheck // it is a crash
	add(s.weight(restart), func() { s.stop(); s.restart() }, "the daemon is stopped and started")
	if s.down {
		add(4, s.pluginsUp, "the notifier works again")
	} else {
		add(s.weight(pluginDies), func() { s.down = true }, "the notifier dies")
	}
	add(s.weight(moodsChange), s.changeMood, "moods change")
	if len(s.Subscribers()) > 0 {
		s.subscriberChanges(add)
	}
	s.operators(add)
	return all
}

type adder func(weight int, do func(), format string, args ...any)

// answers adds what may become of one call.
func (s *simulation) answers(c *call, add adder) {
	if c.expired != nil {
		if _, isHandler := c.what.(handled); !isHandler {
			add(6, func() { s.expire(c) }, "%s: its time is over: %v", c.name, c.expired)
			return
		}
	}
	switch what := c.what.(type) {
	case handled:
		s.returns(c, what, add)
	case operated:
		add(6, func() { s.life.handling--; s.answer(c, nil, nil) }, "%s: %v", c.name, what.err)
	case []core.Outgoing:
		publish := func() {
			for _, o := range what {
				s.publish(o, false)
			}
		}
		add(6, func() { publish(); s.answer(c, nil, nil) }, "%s %s", c.name, (&message{Outgoing: what[0]}))
		add(s.weight(publishFails), func() { s.answer(c, nil, core.ErrUnavailable) }, "%s in vain", c.name)
		if s.weight(crashAtHandOver) > 0 {
			add(1, func() { publish(); s.crash(); s.restart() }, "%s %s, and the daemon crashes", c.name, (&message{Outgoing: what[0]})) //nolint:errcheck // it is a crash
		}
	case core.Resolution:
		s.resolverAnswers(c, what, add)
	case core.Notification:
		s.receiverAnswers(c, what, add)
	default:
		add(6, func() {
			result, err := s.look(what)
			s.answer(c, result, err)
		}, "%s", c.name)
		add(s.weight(logFails), func() { s.answer(c, nil, errors.New("the log can't be read")) }, "%s in vain", c.name)
	}
}

// expire answers a call whose context has ended.
func (s *simulation) expire(c *call) {
	late := errors.Is(c.expired, context.DeadlineExceeded)
	switch what := c.what.(type) {
	case core.Notification:
		key := flightKey{what.Event.ID, what.Subscriber.ID}
		if s.rules.attemptEnds(key); late {
			s.rules.said(&word{key: key, number: what.Attempt, mark: "did not answer in time", outcome: core.Retry})
		}
	case core.Resolution:
		if late {
			s.rules.said(&word{key: flightKey{what.Event, 0}, mark: "did not answer in time", outcome: core.Retry})
		}
	}
	s.answer(c, nil, c.expired)
}

// mark makes something that turns up in the log again.
func (s *simulation) mark() string {
	s.marks++
	return fmt.Sprintf("<%d>", s.marks)
}

func (s *simulation) resolverAnswers(c *call, what core.Resolution, add adder) {
	say := func(weight int, outcome core.Outcome, mark string, err error, payload string, how string) {
		add(weight, func() {
			s.rules.said(&word{key: flightKey{what.Event, 0}, mark: mark, outcome: outcome})
			s.answer(c, []byte(payload), err)
		}, "%s: %s", c.name, how)
	}
	good, bad := 6, 1
	switch s.resolver {
	case fine:
		bad = 0
	case failing:
		good = 1
	case hanging:
		return
	}
	add(good, func() {
		s.versions++
		s.answer(c, fmt.Appendf(nil, `{"version":%d}`, s.versions), nil)
	}, "%s", c.name)
	mark := s.mark()
	say(3*bad, core.Retry, mark, errors.New("no such order "+mark), "", "there is none")
	say(bad, core.Rejected, mark, core.Invalidf("id", "wrong argument %s", mark), "", "wrong arguments")
	say(bad, core.Rejected, mark, fmt.Errorf("%s: %w", mark, core.ErrTooLarge), "", "too large")
	say(bad, core.Retry, "its answer is not JSON", nil, "<order>", "not JSON")
	add(bad, func() { s.answer(c, nil, s.heldByPlugin()) }, "%s: it is down", c.name)
}

func (s *simulation) receiverAnswers(c *call, n core.Notification, add adder) {
	key := flightKey{n.Event.ID, n.Subscriber.ID}
	if s.down {
		add(6, func() { s.rules.attemptEnds(key); s.answer(c, core.Answer{}, s.heldByPlugin()) }, "%s: the notifier is down", c.name)
		return
	}
	mark := s.mark()
	say := func(weight int, a core.Answer, err error, how string) {
		add(weight, func() {
			s.rules.attemptEnds(key)
			outcome := a.Outcome
			switch {
			case err != nil && (core.IsInvalid(err) || errors.Is(err, core.ErrPermanent)):
				outcome = core.Rejected
			case err != nil:
				outcome = core.Retry
			}
			s.rules.said(&word{key: key, number: n.Attempt, mark: mark, outcome: outcome, asked: a.RetryAfter})
			s.answer(c, a, err)
		}, "%s attempt %d: %s", c.name, n.Attempt, how)
	}
	good, bad, any := 6, 0, 0
	switch s.moods[n.Subscriber.ID] {
	case failing:
		good, bad = 0, 3
	case hanging:
		return
	case moody:
		good, bad, any = 2, 2, 1
	}
	say(good, core.Answer{Outcome: core.Delivered, Code: 200, Excerpt: mark}, nil, "200")
	say(bad, core.Answer{Outcome: core.Retry, Code: 500, Reason: mark}, nil, "500")
	say(bad, core.Answer{Outcome: core.Retry, Code: 429, Reason: mark, RetryAfter: 20 * time.Second}, nil, "429, again after 20s")
	say(any, core.Answer{Outcome: core.Retry, Code: 503, Reason: mark, RetryAfter: 2 * time.Hour}, nil, "503, again after 2h")
	say(any, core.Answer{Outcome: core.Rejected, Code: 400, Reason: mark}, nil, "400")
	say(any, core.Answer{Outcome: core.Rejected, Code: 410, Reason: mark, Gone: true}, nil, "410")
	say(any, core.Answer{}, errors.New("panicked "+mark), "the notifier panics")
	say(any, core.Answer{}, core.Invalidf("url", "no such scheme %s", mark), "the notifier refuses")
	say(any, core.Answer{}, fmt.Errorf("%s: %w", mark, core.ErrPermanent), "it crashed the notifier three times")
}

// heldByPlugin is what a plugin that can't work now is called. It wakes who waits when it can.
func (s *simulation) heldByPlugin() *core.Held {
	return &core.Held{Reason: "restarting", Notify: func(wake func()) {
		if s.down {
			s.wakes = append(s.wakes, wake)
			return
		}
		wake()
	}}
}

func (s *simulation) pluginsUp() {
	s.down = false
	wakes := s.wakes
	s.wakes = nil
	for _, wake := range wakes {
		wake()
	}
}

func (s *simulation) changeMood() {
	mood := []string{fine, failing, hanging, moody}[s.rng.IntN(4)]
	n := s.rng.IntN(s.plan.subscribers + 1)
	if n == 0 {
		s.resolver = mood
	} else {
		s.moods[core.SubscriberID(n)] = mood
	}
	s.note("%d is %s", n, mood)
}

func (s *simulation) subscriberChanges(add adder) {
	all := s.Subscribers()
	sub := all[s.rng.IntN(len(all))]
	w := s.weight(subscribersMove)
	add(w, func() {
		s.changeSubscriber(sub.ID, func(c *core.Subscriber) { c.Enabled = !c.Enabled })
	}, "subscriber %d is switched over from %t", sub.ID, sub.Enabled)
	if s.rng.IntN(8) == 0 {
		add(w, func() { s.deleteSubscriber(sub.ID) }, "subscriber %d is deleted", sub.ID)
	}
}

func (s *simulation) changeSubscriber(id core.SubscriberID, change func(*core.Subscriber)) {
	s.change(id, change)
	s.subscriberChanged(id)
}

func (s *simulation) deleteSubscriber(id core.SubscriberID) {
	s.mu.Lock()
	s.subscribers = slices.DeleteFunc(slices.Clone(s.subscribers), func(c core.Subscriber) bool { return c.ID == id })
	s.mu.Unlock()
	s.subscriberChanged(id)
}

func (s *simulation) subscriberChanged(id core.SubscriberID) {
	if _, exists := s.Subscriber(id); !exists {
		for _, wanted := range s.wanted {
			delete(wanted, id)
		}
	}
	for _, changed := range s.life.watchers {
		changed(id)
	}
}

// operators replay what is dead, or was delivered; some do it twice.
func (s *simulation) operators(add adder) {
	w := s.weight(replays)
	ids := make([]string, 0, len(s.dead))
	for id := range s.dead {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	if len(ids) > 0 {
		d := s.dead[ids[s.rng.IntN(len(ids))]]
		add(w, func() {
			s.rules.replays[flightKey{d.Event, d.Subscriber}]++
			s.life.operate(func(ctx context.Context) error { return s.life.engine.ReplayDeadLetter(ctx, d.ID) })
		}, "replay dead letter of %s/%d", d.Event, d.Subscriber)
	}
	if len(s.accepted) > 0 {
		key := flightKey{s.accepted[s.rng.IntN(len(s.accepted))].ID, core.SubscriberID(1 + s.rng.IntN(s.plan.subscribers))}
		if len(s.attempts[key.event][key.subscriber]) > 0 {
			add(w, func() {
				s.rules.replays[key]++
				s.life.operate(func(ctx context.Context) error {
					return s.life.engine.ReplayDelivery(ctx, core.DeliveryIDOf(key.event, key.subscriber))
				})
			}, "replay delivery %s/%d", key.event, key.subscriber)
		}
	}
}

func outgoingEvent(e core.Event) core.Outgoing {
	return core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)}
}

func (s *simulation) publishEvent() {
	name := "stock.changed"
	if subs := s.Subscribers(); len(subs) > 0 && s.rng.IntN(10) > 0 {
		name = subs[s.rng.IntN(len(subs))].Event
	}
	e := core.Event{
		ID: core.EventID(fmt.Sprintf("evt_%d", len(s.accepted)+1)), Name: name, Arguments: []byte(`{"id":1}`),
		Accepted: time.Now().Truncate(time.Millisecond),
	}
	s.accepted = append(s.accepted, e)
	s.publish(outgoingEvent(e), s.plan.broker && s.rng.IntN(2) == 0)
}

func (s *simulation) handOut(m *message) {
	if m.Queue == core.EventQueue {
		wanted := map[core.SubscriberID]bool{}
		for _, sub := range s.Match(m.Message.Content.Name, m.Message.Content.Accepted) {
			wanted[sub.ID] = true
		}
		s.wanted[m] = wanted
	}
	s.life.handOut(m)
}

// crash ends the daemon without a word.
func (s *simulation) crash() error {
	err := s.life.crash()
	s.lifeEnds()
	return err
}

// stop tells the daemon to stop, and lets what is under way end, at last with the drain deadline.
func (s *simulation) stop() {
	l := s.life
	s.draining, l.stopping = true, true
	l.stop()
	for steps := 0; ; steps++ {
		s.sleep(0)
		select {
		case err := <-l.ended:
			if err != nil {
				s.rules.broken("the engine ends with: %v", err)
			}
			s.draining = false
			s.lifeEnds()
			return
		default:
		}
		if steps == 100 {
			s.note("the drain deadline has passed")
			l.abandon()
			continue // and see what that leads to
		}
		if steps > 10_000 {
			panic("the engine does not end")
		}
		if all := s.choices(); len(all) > 0 && s.rng.IntN(4) > 0 {
			s.pick(all)
			continue
		}
		s.sleep(100 * time.Millisecond)
	}
}

func (s *simulation) lifeEnds() {
	s.rules.lifeEnds()
	s.wakes = nil
	clear(s.wanted)
}

func (s *simulation) restart() {
	webhooks := map[string]core.Webhook{"stock.changed": {Name: "stock.changed"}, "order.created": {Name: "order.created", Service: orders},
		"order.fresh": {Name: "order.fresh", Service: orders, Fresh: true}}
	s.mu.Lock()
	s.webhooks = webhooks
	s.mu.Unlock()
	s.begin(mustParse(schedules[0].written))
	synctest.Wait()
}
