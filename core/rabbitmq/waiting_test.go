package rabbitmq

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/postrider/postrider/core"
)

// A lane that has stopped with a long backlog has each of its messages looked at in turn, at a pace; what comes back once there is room comes at once.
func TestWhatWaitsInTurnComesBackAtAPaceWhileTheWindowIsHalfFullAndElseAtOnce(t *testing.T) {
	const messages = 1000
	comeBack := func(m *windowModel) time.Duration {
		deliveries := make(chan amqp.Delivery, messages)
		for n := range messages {
			message := core.EventMessage(core.Event{ID: core.EventID(fmt.Sprint("evt_", n)), Name: "stock.changed", Arguments: []byte("{}"), Accepted: time.Now()})
			message.Lane = "a"
			deliveries <- deliver(message, m.tag+uint64(n)+1)
		}
		close(deliveries)
		s := &source{link: m.source.link, queue: "webhook.event.waiting", deliveries: deliveries}
		s.stopping.Store(true) // its end is no surprise
		before := m.window.depth()
		c := &consumer{queue: &Queue{}, name: core.EventQueue, window: m.window, intake: context.Background()}
		began := time.Now()
		c.recall(s)
		if n := m.window.depth() + len(m.left) - before; n != messages {
			t.Errorf("%d of %d messages came back, or left again", n, messages)
		}
		return time.Since(began)
	}
	synctest.Test(t, func(t *testing.T) {
		m := newWindowModel()
		m.fill(m.window.size / 2)
		m.stop()
		if took, want := comeBack(m), messages*recallPace; took != want {
			t.Errorf("%d messages of a lane that has stopped were looked at in %v, want %v", messages, took, want)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		m := newWindowModel()
		m.fill(m.window.size/2 + 1)
		useful := m.window.claim()
		useful.returned = true
		m.window.finish(useful, true)
		m.stop()
		if took, want := comeBack(m), (messages-recallReward)*recallPace; took != want {
			t.Errorf("%d messages were looked at in %v after one whose lane goes on, want %v", messages, took, want)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		m := newWindowModel()
		m.fill(m.window.size / 2)
		for m.window.claim() != nil { // and all may be held
		}
		if took, want := comeBack(m), messages*recallPace; took != want {
			t.Errorf("%d messages were looked at in %v while as many are in hand as may wait, want %v", messages, took, want)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		m := newWindowModel()
		m.window.size = 2*messages + 2
		if took := comeBack(m); took != 0 {
			t.Errorf("%d messages for which there is room took %v", messages, took)
		}
	})
}

// What leaves a lane that goes on by and by does not wait behind what belongs to others.
func TestWhatLeavesALaneThatGoesOnIsAwayForAsLongAsItTakesUntilThereIsRoomAndElseWaitsInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const per, inWindow = 4 * time.Millisecond, 500
		l := &lane{flowed: time.Now(), items: make([]*item, inWindow)}
		flow := func(n int) {
			for range n {
				time.Sleep(per)
				l.flows()
			}
		}
		flow(1000)
		for i := range 1000 {
			want := (inWindow + time.Duration(i) + 1) * per
			if wait := l.away(); (wait - want).Abs() > want/50 {
				t.Fatalf("message %d behind the window of a lane that has room for one in %v is away for %v, want %v", i, per, wait, want)
			}
		}
		for range 1000 {
			l.away()
		}
		if wait := l.away(); wait != 0 {
			t.Errorf("the last of 2,500 messages, for which there is room in 10 s, is away for %v", wait)
		}
		flow(500)
		if wait := l.away(); wait == 0 || wait > soonest {
			t.Errorf("after 2 s in which there was room for 500, one is away for %v", wait)
		}
		time.Sleep(time.Second)
		if wait := l.away(); wait != 0 {
			t.Errorf("a second after the last one that had room, one more is away for %v", wait)
		}
		time.Sleep(365 * 24 * time.Hour)
		if wait := l.away(); wait != 0 {
			t.Errorf("a year after the last one that had room, one more is away for %v", wait)
		}
	})
}

// deliver returns m as the broker delivers it.
func deliver(m core.Message, tag uint64) amqp.Delivery {
	p := encode(&envelope{message: m})
	return amqp.Delivery{DeliveryTag: tag, Headers: p.Headers, MessageId: p.MessageId, Type: p.Type, Body: p.Body}
}
