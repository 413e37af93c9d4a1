package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/retry"
)

func TestADeliveryThatSucceedsAtOnceCostsOneMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(subscriber(1, "stock.changed"))
		var got core.Notification
		start(t, m, plugins{notify: func(_ context.Context, n core.Notification) (core.Answer, error) {
			got = n
			return delivered()
		}})
		event := publish(t, m, "evt_1", "stock.changed")
		synctest.Wait()

		if got.Delivery != core.DeliveryIDOf(event.ID, 1) || got.Attempt != 1 || string(got.Payload) != `{"id":1}` ||
			got.Envelope != core.EnvelopeStandard {
			t.Errorf("notified %+v", got)
		}
		if n := m.handed[core.DeliveryQueue]; n != 0 {
			t.Errorf("%d delivery messages, want none", n)
		}
		if a := m.history("evt_1", 1); len(a) != 1 || a[0].Outcome != core.Delivered || a[0].Code != 200 {
			t.Errorf("logged %+v", a)
		}
		if state := m.events["evt_1"].State; state != core.EventDispatched {
			t.Errorf("event is %s", state)
		}
	})
}

func TestAReceiverThatAlwaysFailsSeesSixAttemptsOnTheScheduleToTheMillisecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(subscriber(1, "stock.changed"))
		var at []time.Duration
		begin := time.Now()
		start(t, m, plugins{notify: func(_ context.Context, n core.Notification) (core.Answer, error) {
			at = append(at, time.Since(begin))
			return failed()
		}})
		publish(t, m, "evt_1", "stock.changed")
		pass(time.Hour)

		want := []time.Duration{0, 1 * time.Second, 5 * time.Second, 14 * time.Second, 30 * time.Second, 55 * time.Second}
		if !slices.Equal(at, want) {
			t.Errorf("attempts at %v, want %v", at, want)
		}
		dead, ok := m.dead[string(core.DeliveryIDOf("evt_1", 1))]
		if !ok || dead.Kind != core.DeadDelivery || dead.Last != 6 || dead.Event != "evt_1" || dead.Subscriber != 1 ||
			!strings.Contains(dead.Reason, "6 attempts") || !strings.Contains(dead.Reason, "answered 500") {
			t.Errorf("dead letter %+v", dead)
		}
		for i, a := range m.history("evt_1", 1) {
			if a.Number != i+1 || a.Code != 500 || a.Reason != "answered 500" {
				t.Errorf("attempt %d: %+v", i+1, a)
			}
		}
	})
}

func TestAReplayNumbersItsAttemptsOnWithANewBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(subscriber(1, "stock.changed"))
		var numbers []int
		var ids []core.DeliveryID
		heal := false
		e := start(t, m, plugins{notify: func(_ context.Context, n core.Notification) (core.Answer, error) {
			numbers, ids = append(numbers, n.Attempt), append(ids, n.Delivery)
			if heal {
				return delivered()
			}
			return failed()
		}})
		publish(t, m, "evt_1", "stock.changed")
		pass(time.Hour)
		id := string(core.DeliveryIDOf("evt_1", 1))

		if err := e.ReplayDeadLetter(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		pass(time.Hour)
		if want := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}; !slices.Equal(numbers, want) {
			t.Errorf("attempts %v, want %v", numbers, want)
		}
		if m.dead[id].Last != 12 {
			t.Errorf("dead letter %+v", m.dead[id])
		}
		heal = true
		if err := e.ReplayDeadLetter(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(m.dead) != 0 {
			t.Errorf("dead letters are left: %v", m.dead)
		}
		if len(slices.Compact(ids)) != 1 {
			t.Errorf("deliveries had ids %v, want one id", ids)
		}
		if err := e.ReplayDeadLetter(t.Context(), id); !errors.Is(err, core.ErrNotFound) {
			t.Errorf("replay of what was delivered: %v", err)
		}
		if err := e.ReplayDelivery(t.Context(), core.DeliveryID(id)); err != nil {
			t.Errorf("replay of a delivery: %v", err)
		}
	})
}

func TestRetryAfterIsHonouredUpToAnHour(t *testing.T) {
	for _, test := range []struct{ asked, want time.Duration }{
		{500 * time.Millisecond, time.Second}, {90 * time.Second, 90 * time.Second}, {48 * time.Hour, time.Hour},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := newMemory(subscriber(1, "stock.changed"))
			begin := time.Now()
			var second time.Duration
			start(t, m, plugins{notify: func(_ context.Context, n core.Notification) (core.Answer, error) {
				if n.Attempt == 2 {
					second = time.Since(begin)
					return delivered()
				}
				return core.Answer{Outcome: core.Retry, Code: 429, RetryAfter: test.asked}, nil
			}})
			publish(t, m, "evt_1", "stock.changed")
			pass(3 * time.Hour)
			if second != test.want {
				t.Errorf("asked for %s: tried again after %s, want %s", test.asked, second, test.want)
			}
		})
	}
}

func TestWhatANotifierPutsOffCostsNoAttemptAndIsNoFaultOfTheReceiver(t *testing.T) {
	for name, schedule := range map[string]retry.Schedule{"five retries": retry.Default(), "none": {}} {
		t.Run(name, func(t *testing.T) { whatANotifierPutsOffCostsNoAttempt(t, schedule) })
	}
}

func whatANotifierPutsOffCostsNoAttempt(t *testing.T, schedule retry.Schedule) {
	synctest.Test(t, func(t *testing.T) {
		const events, every = 100, time.Minute // far longer than the schedule
		m := newMemory(subscriber(1, "stock.changed"))
		turns := make(map[core.DeliveryID]time.Time)
		var mu sync.Mutex
		next := time.Now()
		e := start(t, m, plugins{notify: func(_ context.Context, n core.Notification) (core.Answer, error) {
			mu.Lock()
			defer mu.Unlock()
			turn, ok := turns[n.Delivery]
			if !ok {
				turn, next = next, next.Add(every)
				turns[n.Delivery] = turn
			}
			if wait := time.Until(turn); wait > 0 {
				return core.Answer{Outcome: core.Retry, Reason: "not its turn", RetryAfter: min(wait, 10*time.Minute)}, nil
			}
			return delivered()
		}}, func(c *Config) { c.LaneConcurrency, c.Retry = 64, schedule })
		for n := range events {
			publish(t, m, core.EventID(fmt.Sprintf("evt_%d", n)), "stock.changed")
		}
		pass(time.Second)
		if until, paused := e.Paused(1); paused {
			t.Errorf("the receiver is taken for one that fails, until %v", until)
		}
		pass(events*every + time.Hour)
		if len(m.dead) != 0 {
			t.Errorf("%d deliveries are dead", len(m.dead))
		}
		for n := range events {
			a := m.history(core.EventID(fmt.Sprintf("evt_%d", n)), 1)
			if len(a) == 0 || a[len(a)-1].Outcome != core.Delivered || a[len(a)-1].Number != len(a) {
				t.Fatalf("event %d: got %+v, want it delivered in the end, its attempts numbered on", n, a)
			}
		}
	})
}

func TestARejectedDeliveryIsDeadAtOnceAnd410DisablesTheSubscriber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(subscriber(1, "stock.changed"), subscriber(2, "stock.changed"))
		start(t, m, plugins{notify: func(_ context.Context, n core.Notification) (core.Answer, error) {
			return core.Answer{Outcome: core.Rejected, Code: 410, Reason: "gone", Gone: n.Subscriber.ID == 2}, nil
		}})
		publish(t, m, "evt_1", "stock.changed")
		synctest.Wait()
		if len(m.dead) != 2 || m.dead[string(core.DeliveryIDOf("evt_1", 1))].Reason != "gone" {
			t.Errorf("dead letters %+v", m.dead)
		}
		if s, _ := m.Subscriber(1); !s.Enabled {
			t.Error("subscriber 1 was disabled")
		}
		if s, _ := m.Subscriber(2); s.Enabled {
			t.Error("subscriber 2 is still enabled")
		}
	})
}

func TestAnEventThatNobodyWantsIsRecordedAsSuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		start(t, m, plugins{})
		publish(t, m, "evt_1", "order.created")
		synctest.Wait()
		if state := m.events["evt_1"].State; state != core.EventUnwanted {
			t.Errorf("event is %s, want unwanted", state)
		}
	})
}

// The memory of these tests leaves it to the dispatcher, as a queue does that a crash keeps from it.
func TestAReplayTakesTheDeadLetterOfAnEventAwayWhateverComesOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(subscriber(1, "order.created"))
		e := start(t, m, plugins{resolve: func(context.Context, core.Resolution) ([]byte, error) { return nil, errors.New("no order 1") }})
		publish(t, m, "evt_1", "order.created")
		pass(time.Hour)
		replay := func() {
			if err := e.ReplayDeadLetter(t.Context(), "evt_1"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		isDead := func() bool {
			_, err := m.DeadLetter(t.Context(), "evt_1")
			return err == nil
		}
		replay()
		if isDead() {
			t.Error("it is tried again, and a dead letter still")
		}
		pass(time.Hour)
		if !isDead() {
			t.Error("when its new budget is spent it is no dead letter")
		}
		m.change(1, func(*core.Subscriber) bool { return false })
		replay()
		if record, err := m.Event(t.Context(), "evt_1"); err != nil || record.State != core.EventUnwanted || isDead() {
			t.Errorf("with no subscriber left, the event is %s, %v, and a dead letter still: %t", record.State, err, isDead())
		}
	})
}

func TestWhatTheResolverSaysDecidesAboutTheEvent(t *testing.T) {
	for _, test := range []struct {
		name     string
		err      error
		payload  string
		attempts int
		reason   string
	}{
		{name: "an error that may pass is retried on the schedule", err: errors.New("no order 1"), attempts: 6, reason: "no order 1"},
		{name: "wrong arguments are dead at once", err: core.Invalidf("id", "argument id is missing"), attempts: 1, reason: "argument id"},
		{name: "a permanent error is dead at once", err: fmt.Errorf("bad: %w", core.ErrPermanent), attempts: 1, reason: "bad"},
		{name: "a payload over the limit is dead at once", err: fmt.Errorf("6 MiB: %w", core.ErrTooLarge), attempts: 1, reason: "6 MiB"},
		{name: "no answer in time is retried", err: context.DeadlineExceeded, attempts: 6, reason: "in time"},
		{name: "an answer that is no JSON is retried", payload: "<order>", attempts: 6, reason: "not JSON"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory(subscriber(1, "order.created"))
				e := start(t, m, plugins{
					resolve: func(context.Context, core.Resolution) ([]byte, error) { return []byte(test.payload), test.err },
					notify: func(_ context.Context, n core.Notification) (core.Answer, error) {
						if string(n.Payload) != `{"total":5}` {
							t.Errorf("delivered %s", n.Payload)
						}
						return delivered()
					},
				})
				publish(t, m, "evt_1", "order.created")
				pass(time.Hour)
				dead := m.dead["evt_1"]
				if dead.Kind != core.DeadEvent || dead.Last != test.attempts || !strings.Contains(dead.Reason, test.reason) {
					t.Errorf("dead letter %+v, want kind event after %d attempts because of %q", dead, test.attempts, test.reason)
				}
				if state := m.events["evt_1"].State; state != core.EventDead {
					t.Errorf("event is %s", state)
				}

				test.err, test.payload = nil, `{"total":5}`
				if err := e.ReplayDeadLetter(t.Context(), "evt_1"); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if a := m.history("evt_1", 1); len(a) != 1 || a[0].Outcome != core.Delivered || len(m.dead) != 0 {
					t.Errorf("after the replay: attempts %+v, dead %v", a, m.dead)
				}
			})
		})
	}
}

func TestARetrySendsTheFrozenPayloadUnlessTheWebhookWantsAFreshOne(t *testing.T) {
	for name, want := range map[string][]string{"order.created": {"1", "1", "1"}, "order.fresh": {"1", "2", "3"}} {
		synctest.Test(t, func(t *testing.T) {
			m := newMemory(subscriber(1, name))
			version := 0
			var got []string
			start(t, m, plugins{
				resolve: func(context.Context, core.Resolution) ([]byte, error) {
					version++
					return fmt.Append(nil, version), nil
				},
				notify: func(_ context.Context, n core.Notification) (core.Answer, error) {
					if got = append(got, string(n.Payload)); len(got) == 3 {
						return delivered()
					}
					return failed()
				},
			})
			publish(t, m, "evt_1", name)
			pass(time.Minute)
			if !slices.Equal(got, want) {
				t.Errorf("%s: payloads %v, want %v", name, got, want)
			}
		})
	}
}

func TestAPluginThatIsDownBurnsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(subscriber(1, "order.created"))
		var up sync.WaitGroup
		up.Add(1)
		isUp := atomic.Bool{}
		down := &core.Held{Reason: "restarting", Notify: func(wake func()) {
			go func() { up.Wait(); wake() }()
		}}
		start(t, m, plugins{
			resolve: func(context.Context, core.Resolution) ([]byte, error) {
				if !isUp.Load() {
					return nil, down
				}
				return []byte("1"), nil
			},
			notify: func(_ context.Context, n core.Notification) (core.Answer, error) { return delivered() },
		})
		publish(t, m, "evt_1", "order.created")
		pass(time.Hour)
		if len(m.attempts) != 0 || m.held != 1 {
			t.Errorf("while down: attempts %+v, held %d times, want none and once", m.attempts, m.held)
		}
		isUp.Store(true)
		up.Done()
		synctest.Wait()
		if a := m.history("evt_1", 1); len(a) != 1 || a[0].Number != 1 || len(m.history("evt_1", 0)) != 0 {
			t.Errorf("attempts %+v", m.attempts)
		}
	})
}

func TestASlowReceiverHoldsItsEventForAQuarterOfASecondAndIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(subscriber(1, "stock.changed"), subscriber(2, "stock.changed"))
		begin := time.Now()
		calls := map[core.SubscriberID]int{}
		var mu sync.Mutex
		start(t, m, plugins{notify: func(_ context.Context, n core.Notification) (core.Answer, error) {
			mu.Lock()
			calls[n.Subscriber.ID]++
			mu.Unlock()
			if n.Subscriber.ID == 1 {
				time.Sleep(10 * time.Second)
			}
			return delivered()
		}})
		publish(t, m, "evt_1", "stock.changed")
		pass(slow + time.Millisecond)
		if len(m.history("evt_1", 2)) != 1 || m.events["evt_1"].State != core.EventDispatched {
			t.Errorf("after %s the event still waits: %+v", time.Since(begin), m.attempts)
		}
		publish(t, m, "evt_2", "stock.changed") // finds the lane busy: goes to the delivery queue
		pass(time.Millisecond)
		if n := m.handed[core.DeliveryQueue]; n != 2 {
			t.Errorf("%d delivery messages, want one for each event of the slow subscriber", n)
		}
		pass(time.Minute)
		if calls[1] != 2 || len(m.history("evt_1", 1)) != 1 || len(m.history("evt_2", 1)) != 1 {
			t.Errorf("slow receiver was called %d times for 2 events; attempts %+v", calls[1], m.attempts)
		}
	})
}

func TestALaneNeverHasMoreAttemptsUnderWayThanPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(subscriber(1, "stock.changed"))
		var now, most atomic.Int32
		start(t, m, plugins{notify: func(_ context.Context, n core.Notification) (core.Answer, error) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Second)
			now.Add(-1)
			return delivered()
		}})
		for i := range 50 {
			publish(t, m, core.EventID(fmt.Sprint("evt_", i)), "stock.changed")
		}
		pass(time.Hour)
		if most.Load() != 2 {
			t.Errorf("%d attempts at a time, want the lane's 2", most.Load())
		}
		if len(m.attempts) != 50 {
			t.Errorf("%d attempts, want 50", len(m.attempts))
		}
	})
}

func TestAManySubscribersEventIsExpandedAndResolvedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		for i := range core.SubscriberID(inlineSubscribers + 1) {
			m.subscribers = append(m.subscribers, subscriber(i+1, "order.created"))
		}
		resolved := 0
		start(t, m, plugins{
			resolve: func(context.Context, core.Resolution) ([]byte, error) { resolved++; return []byte("1"), nil },
			notify:  func(_ context.Context, n core.Notification) (core.Answer, error) { return delivered() },
		})
		publish(t, m, "evt_1", "order.created")
		synctest.Wait()
		if n := m.handed[core.DeliveryQueue]; n != inlineSubscribers+1 || resolved != 1 || len(m.attempts) != n {
			t.Errorf("%d delivery messages, %d resolutions, %d attempts", n, resolved, len(m.attempts))
		}
	})
}

func TestDeliveriesOfADisabledSubscriberWaitUntilItIsEnabled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(subscriber(1, "stock.changed"))
		heal := false
		start(t, m, plugins{notify: func(_ context.Context, n core.Notification) (core.Answer, error) {
			if heal {
				return delivered()
			}
			return failed()
		}})
		publish(t, m, "evt_1", "stock.changed")
		synctest.Wait()
		m.change(1, func(s *core.Subscriber) bool { s.Enabled = false; return true })
		pass(time.Hour)
		if n := len(m.attempts); n != 1 {
			t.Fatalf("%d attempts while disabled, want the one before", n)
		}
		heal = true
		m.change(1, func(s *core.Subscriber) bool { s.Enabled = true; return true })
		synctest.Wait()
		if a := m.history("evt_1", 1); len(a) != 2 || a[1].Outcome != core.Delivered {
			t.Errorf("after enabling: %+v", a)
		}
	})
}

// What was published before a subscriber was disabled waits for it, also what nobody has resolved by then.
func TestEventsThatWaitWhenTheirSubscriberIsDisabledGoOnWhenItIsEnabled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(subscriber(1, "stock.changed"))
		e := start(t, m, plugins{notify: func(context.Context, core.Notification) (core.Answer, error) { return delivered() }})
		answer := hang(e, 1)
		const events = 100
		for i := range events {
			publish(t, m, core.EventID(fmt.Sprint("evt_", i)), "stock.changed")
		}
		pass(time.Millisecond)
		m.change(1, func(s *core.Subscriber) bool { s.Enabled, s.Disabled = false, time.Now(); return true })
		pass(time.Second)
		publish(t, m, "evt_meanwhile", "stock.changed")
		pass(time.Minute)
		for id, record := range m.events {
			if want := core.EventDispatched; (id == "evt_meanwhile") != (record.State == core.EventUnwanted) || id != "evt_meanwhile" && record.State != want {
				t.Errorf("event %s, while its subscriber is disabled: %v", id, record.State)
			}
		}
		answer()
		pass(time.Minute)
		if len(m.attempts) != 0 {
			t.Errorf("%d attempts were made for a subscriber that is disabled", len(m.attempts))
		}
		m.change(1, func(s *core.Subscriber) bool { s.Enabled, s.Disabled = true, time.Time{}; return true })
		pass(time.Minute)
		for i := range events {
			if id := core.EventID(fmt.Sprint("evt_", i)); len(m.history(id, 1)) != 1 {
				t.Errorf("event %s: attempts %+v", id, m.history(id, 1))
			}
		}
	})
}

func TestNothingIsAttemptedForASubscriberThatWasDisabledOnlySinceAndItsEventsArePutAsideAtAPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lately := subscriber(1, "stock.changed")
		lately.Enabled, lately.Disabled = false, time.Now().Add(time.Second)
		m := newMemory(lately)
		start(t, m, plugins{notify: func(context.Context, core.Notification) (core.Answer, error) { return delivered() }})
		const events = 20
		for i := range events {
			publish(t, m, core.EventID(fmt.Sprint("evt_", i)), "stock.changed")
		}
		pass(time.Millisecond)
		m.mu.Lock()
		messages := m.handed[core.DeliveryQueue]
		m.mu.Unlock()
		if messages != 1 {
			t.Errorf("%d delivery messages at once, want 1", messages)
		}
		pass(time.Minute)
		if len(m.attempts) != 0 || m.handed[core.DeliveryQueue] != events {
			t.Errorf("%d attempts and %d delivery messages for a subscriber that is disabled, of %d events", len(m.attempts), m.handed[core.DeliveryQueue], events)
		}
		m.change(1, func(s *core.Subscriber) bool { s.Enabled, s.Disabled = true, time.Time{}; return true })
		pass(time.Minute)
		if len(m.attempts) != events {
			t.Errorf("%d attempts of %d events once it is enabled", len(m.attempts), events)
		}
	})
}

func TestDeliveriesOfADeletedSubscriberAndTooOldOnesAreDeadWithoutAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(subscriber(1, "stock.changed"), subscriber(2, "stock.changed"))
		start(t, m, plugins{notify: func(_ context.Context, n core.Notification) (core.Answer, error) { return failed() }})
		publish(t, m, "evt_1", "stock.changed")
		synctest.Wait()
		m.change(1, func(s *core.Subscriber) bool { return false })
		m.change(2, func(s *core.Subscriber) bool { s.Enabled = false; return true })
		pass(25 * time.Hour)
		m.change(2, func(s *core.Subscriber) bool { s.Enabled = true; return true })
		synctest.Wait()
		if d := m.dead[string(core.DeliveryIDOf("evt_1", 1))]; !strings.Contains(d.Reason, "deleted") || d.Last != 1 {
			t.Errorf("dead letter of the deleted subscriber: %+v", d)
		}
		if d := m.dead[string(core.DeliveryIDOf("evt_1", 2))]; !strings.Contains(d.Reason, "max_age") || d.Last != 1 {
			t.Errorf("dead letter of the old delivery: %+v", d)
		}
		if len(m.attempts) != 2 {
			t.Errorf("%d attempts, want 2", len(m.attempts))
		}
	})
}

func TestAnEventThatIsHandedOverAgainGetsTheSuccessorsOfWhatIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(subscriber(1, "order.created"), subscriber(2, "order.created"), subscriber(3, "order.created"))
		calls := map[core.SubscriberID][]int{}
		var mu sync.Mutex
		event := core.Event{ID: "evt_1", Name: "order.created", Arguments: []byte(`{}`), Accepted: time.Now()}
		// A crash after the log was written and before its successors were: 1 was delivered, 2 is to be retried, 3 was not tried.
		m.apply([]core.Record{
			core.EventRecord{Event: event, State: core.EventDispatched, Payload: []byte(`"frozen"`)},
			core.AttemptRecord{Attempt: core.Attempt{Event: "evt_1", Subscriber: 1, Number: 1, First: 1, Outcome: core.Delivered}},
			core.AttemptRecord{Attempt: core.Attempt{Event: "evt_1", Subscriber: 2, Number: 1, First: 1, Since: time.Now(),
				Outcome: core.Retry, Due: time.Now().Add(time.Second)}},
		})
		m.expanded = map[core.EventID][]core.SubscriberID{"evt_1": {3}}
		start(t, m, plugins{
			resolve: func(context.Context, core.Resolution) ([]byte, error) {
				t.Error("resolved again")
				return nil, errors.New("no")
			},
			notify: func(_ context.Context, n core.Notification) (core.Answer, error) {
				mu.Lock()
				defer mu.Unlock()
				calls[n.Subscriber.ID] = append(calls[n.Subscriber.ID], n.Attempt)
				if string(n.Payload) != `"frozen"` {
					t.Errorf("delivered %s", n.Payload)
				}
				return delivered()
			},
		})
		message := core.EventMessage(event)
		message.Redelivered = true
		m.send(core.Outgoing{Queue: core.EventQueue, Message: message})
		pass(time.Minute)
		if len(calls[1]) != 0 || !slices.Equal(calls[2], []int{2}) || !slices.Equal(calls[3], []int{1}) {
			t.Errorf("attempts by subscriber: %v, want none, 2 and 1", calls)
		}

		message.Redelivered = false // not a redelivery: the publisher repeats itself
		m.send(core.Outgoing{Queue: core.EventQueue, Message: message})
		pass(time.Minute)
		if len(m.attempts) != 4 {
			t.Errorf("a repeated publish led to attempts: %+v", m.attempts)
		}
	})
}

func TestADeliveryMessageWhoseAttemptIsLoggedIsNotAttemptedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(subscriber(1, "stock.changed"))
		var attempts []int
		start(t, m, plugins{notify: func(_ context.Context, n core.Notification) (core.Answer, error) {
			attempts = append(attempts, n.Attempt)
			return delivered()
		}})
		m.apply([]core.Record{
			core.EventRecord{Event: core.Event{ID: "evt_1", Name: "stock.changed", Arguments: []byte("{}")}, State: core.EventDispatched},
			core.AttemptRecord{Attempt: core.Attempt{Event: "evt_1", Subscriber: 1, Number: 2, First: 1, Since: time.Now(),
				Outcome: core.Retry, Due: time.Now().Add(4 * time.Second)}},
		})
		message := core.DeliveryMessage("evt_1", 1, time.Now())
		message.Attempt, message.Redelivered = 2, true
		m.send(core.Outgoing{Queue: core.DeliveryQueue, Message: message})
		pass(time.Minute)
		if !slices.Equal(attempts, []int{3}) {
			t.Errorf("attempts %v, want the successor alone", attempts)
		}
	})
}

func TestAnUnknownEventIsDeadAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		start(t, m, plugins{})
		publish(t, m, "evt_1", "never.defined")
		synctest.Wait()
		if d := m.dead["evt_1"]; d.Kind != core.DeadEvent || !strings.Contains(d.Reason, "never.defined") {
			t.Errorf("dead letter %+v", d)
		}
	})
}
