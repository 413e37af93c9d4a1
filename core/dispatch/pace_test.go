package dispatch

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/core"
)

// hang takes all places in the lanes of subscribers, as receivers do that hang, until answer is called.
func hang(e *Engine, subscribers ...core.SubscriberID) (answer func()) {
	var taken []core.SubscriberID
	for _, id := range subscribers {
		for e.lanes.enter(id, false) {
			taken = append(taken, id)
		}
		e.lanes.markBusy(id)
	}
	return func() {
		for _, id := range taken {
			e.leave(&work{event: core.Event{Name: "stock.changed"}, subscriber: subscriber(id, "stock.changed")}, core.Attempt{Outcome: core.Delivered})
		}
	}
}

func TestEventsWhoseReceiversHaveNoRoomBecomeMessagesAtAPaceAndOthersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(subscriber(1, "stock.changed"), subscriber(2, "stock.changed"), subscriber(3, "order.fresh"), subscriber(4, "order.fresh"))
		e := start(t, m, plugins{
			resolve: func(context.Context, core.Resolution) ([]byte, error) { return []byte("1"), nil },
			notify: func(ctx context.Context, n core.Notification) (core.Answer, error) {
				if n.Subscriber.ID != 4 {
					<-ctx.Done()
				}
				return delivered()
			},
		})
		hang(e, 1, 2, 3)
		const events = 200
		for i := range events {
			publish(t, m, core.EventID(fmt.Sprint("hung_", i)), "stock.changed")
		}
		publish(t, m, "evt_mixed", "order.fresh")
		pass(time.Millisecond)
		if len(m.history("evt_mixed", 4)) != 1 {
			t.Error("a healthy receiver waits for one that hangs")
		}
		dispatched := func() (n int) {
			m.mu.Lock()
			defer m.mu.Unlock()
			for _, record := range m.events {
				if record.State == core.EventDispatched && record.Event.Name == "stock.changed" {
					n++
				}
			}
			return n
		}
		for turns := 1; turns <= 10; turns++ {
			if n := dispatched(); n != turns {
				t.Errorf("%d events were put aside in %d turns, want one in each", n, turns)
			}
			pass(paceTurn)
		}
		pass(events * paceTurn)
		if n := dispatched(); n != events {
			t.Errorf("%d of %d events were put aside", n, events)
		}
	})
}

// A receiver that is slow or fails now and then, and has places, is asked at once, however many others have none.
func TestAReceiverWithPlacesNeedsNoPaceAndOneThatAnswersAgainGetsItsEventsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(subscriber(1, "stock.changed"), subscriber(2, "order.fresh"))
		e := start(t, m, plugins{
			resolve: func(context.Context, core.Resolution) ([]byte, error) { return []byte("1"), nil },
			notify:  func(context.Context, core.Notification) (core.Answer, error) { return delivered() },
		}, func(c *Config) { c.LaneConcurrency = 100 })
		answer := hang(e, 1)
		const events = 50
		for i := range events {
			publish(t, m, core.EventID(fmt.Sprint("hung_", i)), "stock.changed")
		}
		e.lanes.enter(2, false)
		e.lanes.leave(2, experience{took: time.Millisecond, failed: true})
		for i := range events {
			publish(t, m, core.EventID(fmt.Sprint("failed_", i)), "order.fresh")
		}
		delivered := func(name string) (n int) {
			m.mu.Lock()
			defer m.mu.Unlock()
			for _, a := range m.attempts {
				if m.events[a.Event].Event.Name == name {
					n++
				}
			}
			return n
		}
		pass(time.Millisecond)
		if n := delivered("order.fresh"); n != events {
			t.Errorf("%d of %d deliveries were made to a receiver that has failed once", n, events)
		}
		answer()
		pass(time.Millisecond)
		if n := delivered("stock.changed"); n != events {
			t.Errorf("%d of %d deliveries were made to a receiver that answers again", n, events)
		}
	})
}

func TestNamesThatArePutAsideTakeTurnsAndNobodyTicksForNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace()
		if p.pass("many") != nil {
			t.Fatal("no room in the first turn")
		}
		woken := make(chan string, 100)
		for _, name := range []string{"many", "many", "few", "third", "many"} {
			held := p.pass(name)
			if held == nil {
				t.Fatal("two passed in one turn")
			}
			held.Notify(func() { woken <- name })
		}
		wokenBy := func(what string, act func(), want string) {
			t.Helper()
			act()
			got := ""
			for len(woken) > 0 {
				got += <-woken + " "
			}
			if got != want {
				t.Errorf("woken by %s: %q, want %q", what, got, want)
			}
		}
		turn := func() { pass(paceTurn) }
		wokenBy("the first turn", turn, "many many many ")
		wokenBy("an answer to the third", func() { p.wake("third") }, "third ")
		wokenBy("an answer to one that does not wait", func() { p.wake("third") }, "")
		wokenBy("the second turn", turn, "few ")
		wokenBy("the third turn", turn, "")
		pass(time.Minute)
		if p.ticks {
			t.Error("turns go on though nobody came for a minute")
		}
		if p.pass("late") != nil {
			t.Error("no room after a minute without anybody")
		}
	})
}
