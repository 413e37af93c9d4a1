package dispatch

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/core"
)

// fallIll makes the lanes of subscribers those of receivers that are slow.
func fallIll(e *Engine, subscribers ...core.SubscriberID) {
	for _, id := range subscribers {
		e.lanes.enter(id, false)
		e.lanes.markBusy(id)
	}
}

func TestEventsWhoseReceiversAreAllIllBecomeMessagesAtAPaceAndOthersAtOnce(t *testing.T) {
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
		fallIll(e, 1, 2, 3)
		const events = 200
		for i := range events {
			publish(t, m, core.EventID(fmt.Sprint("ill_", i)), "stock.changed")
		}
		publish(t, m, "evt_mixed", "order.fresh")
		pass(time.Millisecond)
		if len(m.history("evt_mixed", 4)) != 1 {
			t.Error("a healthy receiver waits for one that is ill")
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
			if n := dispatched(); n != turns*pacePortion {
				t.Errorf("%d events were put aside in %d turns, want %d", n, turns, turns*pacePortion)
			}
			pass(paceTurn)
		}
		pass(events / pacePortion * paceTurn)
		if n := dispatched(); n != events {
			t.Errorf("%d of %d events were put aside", n, events)
		}
	})
}

func TestNamesThatArePutAsideTakeTurnsAndNobodyTicksForNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace()
		for range pacePortion {
			if p.pass("many") != nil {
				t.Fatal("no room in the first turn")
			}
		}
		woken := make(chan string, 100)
		for _, name := range []string{"many", "many", "few", "many"} {
			held := p.pass(name)
			if held == nil {
				t.Fatal("there is room in a turn that was used up")
			}
			held.Notify(func() { woken <- name })
		}
		for _, want := range []string{"many many many", "few", ""} {
			pass(paceTurn)
			got := ""
			for len(woken) > 0 {
				got += " " + <-woken
			}
			if got != "" {
				got = got[1:]
			}
			if got != want {
				t.Errorf("woken in one turn: %q, want %q", got, want)
			}
		}
		pass(time.Minute)
		if p.ticks {
			t.Error("turns go on though nobody came for a minute")
		}
		if p.pass("late") != nil {
			t.Error("no room after a minute without anybody")
		}
	})
}
