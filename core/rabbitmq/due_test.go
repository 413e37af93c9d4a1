package rabbitmq

import (
	"context"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postrider/postrider/core"
)

// TestRetriesComeOnTimeWithManyOthersWaiting has 10,000 deliveries wait: half of them for delays of the schedule, half for others. It holds them to 5 % of their
// delay, or 200 ms, where POSTRIDER_ALONE says that nothing else takes the machine's time: make punctual, which make test includes.
func TestRetriesComeOnTimeWithManyOthersWaiting(t *testing.T) {
	const waiting = 10_000
	b := newPlaceOn(t, broker.Start(t).URL()).open(t)
	e := benchEvent()
	if err := b.Publish(t.Context(), core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)}); err != nil {
		t.Fatal(err)
	}
	type wait struct {
		due   time.Time
		delay time.Duration
	}
	waits := make([]wait, waiting+1) // by subscriber
	type arrival struct {
		subscriber core.SubscriberID
		at         time.Time
	}
	arrivals := make(chan arrival, waiting)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- b.Consume(ctx, core.DeliveryQueue, 64, func(_ context.Context, m core.Message) (core.Result, error) {
			arrivals <- arrival{m.Subscriber, time.Now()}
			return core.Result{}, nil
		})
	}()
	schedule := b.queue.config.Delays
	for from := 1; from <= waiting; from += 500 {
		var out []core.Outgoing
		for s := from; s < from+500; s++ {
			delay := schedule[s%len(schedule)]
			if s%2 == 0 {
				delay = 300*time.Millisecond + rand.N(9*time.Second)
			}
			waits[s] = wait{time.Now().Add(delay), delay}
			out = append(out, core.Outgoing{Queue: core.DeliveryQueue, Message: core.DeliveryMessage(e.ID, core.SubscriberID(s), e.Accepted), Due: waits[s].due})
		}
		if err := b.Publish(t.Context(), out...); err != nil {
			t.Fatal(err)
		}
	}
	var late []time.Duration
	within := 0 // of 5 % of their delay, or 200 ms
	deadline := time.After(patience)
	for range waiting {
		select {
		case a := <-arrivals:
			w := waits[a.subscriber]
			lateness := a.at.Sub(w.due)
			late = append(late, lateness)
			if lateness <= max(w.delay/20, 200*time.Millisecond) {
				within++
			}
		case <-deadline:
			t.Fatalf("%d of %d came", len(late), waiting)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	slices.Sort(late)
	t.Logf("%d of %d came within 5 %% of their delay, or 200 ms; late by %v in the least case, %v in the median, %v at p99, %v at most",
		within, waiting, late[0], late[waiting/2], late[waiting*99/100], late[waiting-1])
	if late[0] < 0 {
		t.Errorf("one came %v early", -late[0])
	}
	if within < waiting && os.Getenv("POSTRIDER_ALONE") != "" {
		t.Errorf("%d came later than that", waiting-within)
	}
	if late[waiting-1] > disorder {
		t.Errorf("one came %v late: it waited behind others whose delay is longer", late[waiting-1])
	}
}

// disorder is more than a busy machine takes to hand over what is due, and less than the 3 s by which the schedule's delays differ at least: who waits
// behind a longer delay at the head of a queue comes that late.
const disorder = 2500 * time.Millisecond

func TestEveryWaitIsMadeOfFewRungsAndNeverTooLong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := delays{prefix: "x", rungs: rungs([]time.Duration{time.Second, 4 * time.Second, 9 * time.Second, 16 * time.Second, 25 * time.Second})}
		wait := time.Duration(rapid.Int64Range(int64(near)+1, int64(24*time.Hour)).Draw(t, "wait"))
		left, hops := wait, 0
		for left > near {
			rung := d.rung(left)
			if rung > left+max(left/40, 25*time.Millisecond) {
				t.Fatalf("a rung of %v for a wait of %v", rung, left)
			}
			left -= rung
			hops++
		}
		if most := 12 + int(wait/time.Hour); hops > most {
			t.Errorf("%d trips for a wait of %v, want at most %d", hops, wait, most)
		}
	})
}

func TestADelayOfTheScheduleIsOneTrip(t *testing.T) {
	schedule := []time.Duration{time.Second, 4 * time.Second, 9 * time.Second, 16 * time.Second, 25 * time.Second}
	d := delays{prefix: "x", rungs: rungs(schedule)}
	for _, delay := range schedule {
		for _, spent := range []time.Duration{0, time.Microsecond, delay / 50} { // between the attempt and its hand-over
			if rung := d.rung(delay - spent); rung != delay {
				t.Errorf("%v after %v: rung %v", delay-spent, spent, rung)
			}
		}
	}
}

func TestADeferralComesBackAboutWhenItShould(t *testing.T) {
	d := delays{prefix: "x", rungs: rungs(nil)}
	rapid.Check(t, func(t *rapid.T) {
		wait := time.Duration(rapid.Int64Range(int64(100*time.Millisecond), int64(failMax)).Draw(t, "wait"))
		var sum time.Duration
		const n = 4000
		for range n {
			exchange := d.about("q", envelope{message: core.DeliveryMessage("e", 1, time.Now())}, wait).exchange
			i := slices.IndexFunc(d.rungs, func(r time.Duration) bool { return delayName("x", r) == exchange })
			if d.rungs[i] > failMax {
				t.Fatalf("deferred for %v by %v", wait, d.rungs[i])
			}
			sum += d.rungs[i] / n
		}
		if off := (sum - wait).Abs(); off > wait/5 {
			t.Errorf("deferred for %v, on average away for %v", wait, sum)
		}
	})
}

// A clock that jumps while a message waits must make its wait no longer than what was left of it.
func TestAClockThatJumpsBackMakesNoWaitLonger(t *testing.T) {
	now := time.Now()
	e := envelope{due: now.Add(4 * time.Second), left: 0} // has waited on a rung of 4 s
	if wait := e.wait(now.Add(-time.Hour)); wait > 0 {
		t.Errorf("waits for %v more after its clock was set back by an hour", wait)
	}
	if wait := e.wait(now.Add(time.Hour)); wait > 0 {
		t.Errorf("waits for %v more although it is overdue", wait)
	}
}
