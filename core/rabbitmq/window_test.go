package rabbitmq

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postrider/postrider/core"
)

// windowModel plays broker and Handlers of a window: whatever happens, each message is in one place, no key is in two hands, a stopped lane offers
// nothing, and stopped lanes fill half of the window at most.
type windowModel struct {
	window  *window
	source  *source
	tag     uint64
	inside  map[uint64]bool // delivered, and neither consumed nor gone
	left    map[uint64]bool
	claimed []*item
	wakes   []func()
}

func newWindowModel() *windowModel {
	m := &windowModel{inside: map[uint64]bool{}, left: map[uint64]bool{}, source: &source{link: &link{done: make(chan struct{})}}}
	m.window = newWindow(20, newKeys(), func(it *item, _ time.Duration) {
		m.left[it.tag] = true
		delete(m.inside, it.tag)
	})
	return m
}

func (m *windowModel) deliver(t *rapid.T) {
	for range rapid.IntRange(1, 8).Draw(t, "messages") {
		m.tag++
		e := core.EventID(fmt.Sprint("e", rapid.IntRange(1, 12).Draw(t, "event"))) // some twice
		it := &item{source: m.source, tag: m.tag, arrived: time.Now()}
		it.message = core.Message{Event: e, Attempt: 1, First: 1, Lane: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "lane")}
		m.inside[m.tag] = true
		m.window.add(it)
	}
}

// fill adds n messages of lane a.
func (m *windowModel) fill(n int) {
	for range n {
		m.tag++
		it := &item{source: m.source, tag: m.tag, arrived: time.Now()}
		it.message = core.Message{Event: core.EventID(fmt.Sprint("e", m.tag)), Lane: "a"}
		m.window.add(it)
	}
}

// stop stops the lane whose turn it is, for ever.
func (m *windowModel) stop() {
	m.window.giveBack(m.window.claim(), &core.Held{Reason: "full", Notify: func(func()) {}})
}

func (m *windowModel) claim(t *rapid.T) {
	it := m.window.claim()
	if it == nil {
		return
	}
	if !m.inside[it.tag] {
		t.Fatalf("message %d was claimed and is not there", it.tag)
	}
	if it.lane.stopped() {
		t.Fatalf("lane %s has stopped and offers something", it.lane.name)
	}
	for _, other := range m.claimed {
		if keyOf(other.message) == keyOf(it.message) {
			t.Fatalf("%v is in two hands", keyOf(it.message))
		}
		if other.tag == it.tag {
			t.Fatalf("message %d was claimed twice", it.tag)
		}
	}
	m.claimed = append(m.claimed, it)
}

func (m *windowModel) take(t *rapid.T) *item {
	if len(m.claimed) == 0 {
		t.Skip("nothing is claimed")
	}
	i := rapid.IntRange(0, len(m.claimed)-1).Draw(t, "claim")
	it := m.claimed[i]
	m.claimed = append(m.claimed[:i], m.claimed[i+1:]...)
	return it
}

func (m *windowModel) consume(t *rapid.T) {
	it := m.take(t)
	delete(m.inside, it.tag)
	m.window.finish(it, true)
}

func (m *windowModel) hold(t *rapid.T) {
	m.window.giveBack(m.take(t), &core.Held{Reason: "full", Notify: func(wake func()) { m.wakes = append(m.wakes, wake) }})
}

func (m *windowModel) wake(t *rapid.T) {
	if len(m.wakes) == 0 {
		t.Skip("nobody is held")
	}
	m.wakes[0]()
	m.wakes = m.wakes[1:]
}

func (m *windowModel) check(t *rapid.T) {
	w := m.window
	waiting, stopped := 0, 0
	for _, l := range w.lanes {
		waiting += len(l.items)
		if l.stopped() {
			stopped += len(l.items)
		}
	}
	if w.claimed != len(m.claimed) {
		t.Fatalf("counts %d in hand, there are %d", w.claimed, len(m.claimed))
	}
	if waiting != w.waiting || stopped != w.stopped || stopped > w.size/2 {
		t.Fatalf("counts %d waiting and %d stopped of %d; there are %d and %d", w.waiting, w.stopped, w.size, waiting, stopped)
	}
}

func TestTheWindowKeepsEachMessageInOnePlaceAndKeysApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newWindowModel()
		t.Repeat(map[string]func(*rapid.T){
			"deliver": m.deliver, "claim": m.claim, "consume": m.consume, "hold": m.hold, "wake": m.wake, "": m.check,
		})
		// In the end everything that has not left can be consumed, and nothing is remembered.
		for len(m.inside) > 0 {
			for _, wake := range m.wakes {
				wake()
			}
			m.wakes = nil
			before := len(m.inside)
			m.claim(t)
			for len(m.claimed) > 0 {
				it := m.claimed[0]
				m.claimed = m.claimed[1:]
				delete(m.inside, it.tag)
				m.window.finish(it, true)
			}
			if len(m.inside) == before {
				t.Fatalf("%d messages are never offered", before)
			}
		}
		if len(m.window.lanes) > 0 || len(m.window.keys.taken) > 0 {
			t.Fatalf("remembers lanes %v, keys %v", m.window.lanes, m.window.keys.taken)
		}
	})
}

func TestAMessageThatWaitedTooLongInMemoryLeaves(t *testing.T) {
	m := newWindowModel()
	m.fill(2)
	m.stop()
	m.window.expire(time.Now().Add(holdLongest - time.Second))
	if len(m.left) != 0 {
		t.Errorf("left before their time: %v", m.left)
	}
	m.window.expire(time.Now().Add(holdLongest + time.Second))
	if len(m.left) != 2 || m.window.depth() != 0 {
		t.Errorf("left: %v, still there: %d", m.left, m.window.depth())
	}
}

func TestWhatCameFromAnEndedLinkIsForgotten(t *testing.T) {
	m := newWindowModel()
	m.fill(3)
	inHand := m.window.claim()
	m.source.end(errors.New("the broker went away"))
	m.window.dropEnded()
	if it := m.window.claim(); it != nil {
		t.Errorf("message %d of a connection that has ended was offered", it.tag)
	}
	m.window.finish(inHand, false)
	if m.window.depth() != 0 || len(m.window.lanes) != 0 || len(m.window.keys.taken) != 0 {
		t.Errorf("remembers %d messages, lanes %v, keys %v", m.window.depth(), m.window.lanes, m.window.keys.taken)
	}
}
