package dispatch

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/core"
)

func TestABreakerOpensWhenOverHalfOfTwentyDistinctDeliveriesFail(t *testing.T) {
	good, bad := experience{took: time.Millisecond}, experience{took: time.Millisecond, failed: true}
	again := experience{took: time.Millisecond, failed: true, repeated: true}
	repeat := func(n int, x ...experience) (all []experience) {
		for range n {
			all = append(all, x...)
		}
		return all
	}
	for _, test := range []struct {
		name  string
		every time.Duration
		made  []experience
		open  bool
	}{
		{"twenty failures", time.Millisecond, repeat(20, bad), true},
		{"nineteen failures", time.Millisecond, repeat(19, bad), false},
		{"half of them", time.Millisecond, repeat(30, bad, good), false},
		{"two of three", time.Millisecond, repeat(7, bad, good, bad), true},
		{"the same few deliveries again and again", time.Millisecond, append(repeat(5, bad), repeat(100, again)...), false},
		{"what succeeded before says nothing", time.Millisecond, append(repeat(1000, good), repeat(20, bad)...), true},
		{"one failure a second", time.Second, repeat(100, bad), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var b breaker
			now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
			for _, x := range test.made {
				now = now.Add(test.every)
				b.learn(now, x)
			}
			if b.isOpen() != test.open {
				t.Errorf("open: got %t, want %t", b.isOpen(), test.open)
			}
		})
	}
}

// outage publishes events to a receiver that answers as answer says, for as long as down lasts, and then 200. It returns how many attempts
// were made while it was down.
func outage(t *testing.T, m *memory, events int, down time.Duration, answer func(context.Context) (core.Answer, error)) (attempts int64) {
	t.Helper()
	var made atomic.Int64
	var healed atomic.Bool
	start(t, m, plugins{notify: func(ctx context.Context, n core.Notification) (core.Answer, error) {
		if n.Subscriber.ID != 1 || healed.Load() {
			return delivered()
		}
		made.Add(1)
		return answer(ctx)
	}}, func(c *Config) { c.LaneConcurrency = 64 })
	for n := range events {
		publish(t, m, core.EventID(fmt.Sprintf("evt_%d", n)), "stock.changed")
		pass(10 * time.Millisecond)
	}
	pass(down)
	healed.Store(true)
	pass(2 * time.Minute)
	return made.Load()
}

func TestAnOutageLongerThanTheScheduleCostsNoDeadLetterAndFewAttempts(t *testing.T) {
	for name, answer := range map[string]func(context.Context) (core.Answer, error){
		"the receiver answers 500": func(context.Context) (core.Answer, error) { return failed() },
		"the receiver hangs": func(ctx context.Context) (core.Answer, error) {
			<-ctx.Done()
			return core.Answer{Outcome: core.Retry, Reason: "no answer"}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const events = 200
				m := newMemory(subscriber(1, "stock.changed"), subscriber(2, "stock.changed"))
				// 64 in flight when it opens, and a probe each 1, 2, 4, 8, 16, then 30 s.
				if attempts := outage(t, m, events, time.Hour, answer); attempts > 64+20+3600/30+5 {
					t.Errorf("%d attempts were made in vain", attempts)
				}
				if len(m.dead) != 0 {
					t.Errorf("%d deliveries are dead after an outage", len(m.dead))
				}
				for n := range events {
					id := core.EventID(fmt.Sprintf("evt_%d", n))
					for _, s := range []core.SubscriberID{1, 2} {
						a := m.history(id, s)
						if len(a) == 0 || a[len(a)-1].Outcome != core.Delivered {
							t.Fatalf("event %s was not delivered to subscriber %d: %+v", id, s, a)
						}
					}
					if a := m.history(id, 2); len(a) != 1 || a[0].Started.Sub(m.events[id].Event.Accepted) > time.Second {
						t.Fatalf("the receiver that works got event %s late or twice: %+v", id, a)
					}
				}
			})
		})
	}
}

func TestAProbeThatIsNotMadeLeavesTheNextOneItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLanes[int](8, 100)
		for range breakerAttempts {
			l.enter(1, false)
			l.leave(1, experience{took: time.Millisecond, failed: true})
		}
		if l.enter(1, false) {
			t.Fatal("entered a lane whose breaker is open")
		}
		time.Sleep(breakerFirst)
		if !l.enter(1, false) || l.enter(1, false) {
			t.Fatal("there is not exactly one place for a probe")
		}
		l.leave(1, experience{}) // the plugin was down
		if !l.enter(1, false) {
			t.Fatal("there is no place for the next probe")
		}
		if change := l.leave(1, experience{took: time.Millisecond, failed: true}); change != reopened {
			t.Errorf("a probe that failed: got %v, want reopened", change)
		}
		time.Sleep(2*breakerFirst - time.Millisecond)
		if l.enter(1, false) {
			t.Error("the second wait is no longer than the first")
		}
		time.Sleep(time.Millisecond)
		l.enter(1, false)
		if change := l.leave(1, experience{took: time.Millisecond}); change != closed {
			t.Errorf("a probe that succeeded: got %v, want closed", change)
		}
		if len(l.active) != 0 {
			t.Errorf("%d lanes are remembered of nothing", len(l.active))
		}
	})
}
