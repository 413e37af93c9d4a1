package dispatch

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/postrider/postrider/core"
)

// returns adds what may become of a message whose handler has returned. Where queue and store are one, the hand-over is one transaction. With a
// broker it is the log, then each successor, then the acknowledgement: and it may break off before each of them.
func (s *simulation) returns(c *call, h handled, add adder) {
	what := fmt.Sprintf("%s (%v)", c.name, h.message)
	if h.err != nil {
		add(6, func() { s.notConsumed(c, h) }, "%s: %v", what, h.err)
		return
	}
	steps := 1
	if s.plan.broker {
		steps = 2 + len(h.result.Next)
	}
	add(6, func() {
		s.handOver(h, steps)
		s.close(c, h)
	}, "%s: %s", what, summary(h.result))
	reached := s.rng.IntN(steps + 1)
	add(s.weight(crashAtHandOver), func() {
		s.handOver(h, reached)
		s.crash() //nolint:errcheck // it is a crash
		s.restart()
	}, "%s: %s; crash after %d of %d steps", what, summary(h.result), reached, steps)
	if s.plan.broker && reached < steps {
		add(s.weight(handOverFails), func() {
			if s.handOver(h, reached); reached == 0 {
				s.rules.handOverFails(h.result)
			}
			h.message.again = true
			s.close(c, h)
		}, "%s: %s; fails after %d of %d steps", what, summary(h.result), reached, steps)
	}
}

func summary(r core.Result) string {
	text := ""
	for _, rec := range r.Log {
		switch rec := rec.(type) {
		case core.EventRecord:
			text += fmt.Sprintf("event %s, ", rec.State)
		case core.AttemptRecord:
			text += fmt.Sprintf("attempt %d of /%d %s, ", rec.Attempt.Number, rec.Attempt.Subscriber, rec.Attempt.Outcome)
		case core.DeadLetterRecord:
			text += fmt.Sprintf("dead letter of /%d, ", rec.DeadLetter.Subscriber)
		default:
			text += fmt.Sprintf("%T, ", rec)
		}
	}
	for _, o := range r.Next {
		text += fmt.Sprintf("%v follows, ", &message{Outgoing: o})
	}
	return strings.TrimSuffix(text, ", ")
}

// handOver does the first so many steps of a hand-over.
func (s *simulation) handOver(h handled, steps int) {
	if steps == 0 {
		return
	}
	s.rules.logs(h.result)
	s.rules.dispatched(h.result, s.wanted[h.message])
	if !s.plan.broker {
		s.remove(h.message) // before what follows: that may ask for the same attempt again
	} else {
		s.noteElsewhere(h)
	}
	var changed []core.SubscriberID
	for _, r := range h.result.Log {
		if id := s.record(r); id != 0 {
			changed = append(changed, id)
		}
	}
	for i, o := range h.result.Next {
		if !s.plan.broker || i+1 < steps {
			s.file(o)
		}
	}
	if s.plan.broker && steps == 2+len(h.result.Next) {
		s.remove(h.message)
	}
	for _, id := range changed {
		s.subscriberChanged(id)
	}
}

// noteElsewhere is what the log of a broker notes of a message and its successors: that the event is known, and what waits from now on.
func (s *simulation) noteElsewhere(h handled) {
	if c := h.message.Message.Content; c != nil {
		s.know(*c)
	}
	if key := h.message.key(); s.noted[key] == h.message.Message.Attempt {
		delete(s.noted, key)
	}
	for _, o := range h.result.Next {
		if key := (flightKey{o.Message.Event, o.Message.Subscriber}); key.subscriber != 0 {
			s.noted[key] = max(s.noted[key], o.Message.Attempt)
		}
	}
}

// close ends a handler's call.
func (s *simulation) close(c *call, h handled) {
	s.life.handling--
	delete(s.inHand, h.message.key())
	delete(s.wanted, h.message)
	s.answer(c, nil, nil)
}

// never is when a broker offers again what it would defer for ever.
const never = 1000 * 24 * time.Hour

func (s *simulation) isDisabled(id core.SubscriberID) bool {
	sub, ok := s.Subscriber(id)
	return ok && !sub.Enabled
}

// notConsumed puts back what a handler could not do anything with now.
func (s *simulation) notConsumed(c *call, h handled) {
	var held *core.Held
	isHeld := errors.As(h.err, &held)
	m := h.message
	switch {
	case !isHeld:
		m.again = true
		if s.plan.broker {
			m.notBefore = time.Now().Add(time.Second)
		} else {
			s.resting[m.lane()] = time.Now().Add(100 * time.Millisecond)
		}
	case s.plan.broker && s.healing && s.isDisabled(m.Message.Subscriber):
		m.notBefore = time.Now().Add(never)
	case s.plan.broker:
		m.notBefore = time.Now().Add(time.Second)
	default:
		s.mu.Lock()
		s.held[m.lane()] = true
		s.mu.Unlock()
	}
	s.close(c, h)
	if isHeld && !s.plan.broker {
		l, lane := s.life, m.lane()
		held.Notify(func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if !l.crashed && s.life == l {
				delete(s.held, lane)
			}
		})
	}
}
