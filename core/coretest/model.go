package coretest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postrider/postrider/core"
)

// ModelTest says how long [TestQueueModel] goes on, where -rapid.checks and -rapid.steps don't, and how exact it is.
type ModelTest struct {
	Checks int // lives of a queue
	Steps  int // in each of them, about

	// OneStep: queue and store are one file. A hand-over that a crash interrupts has then happened whole or not at all, nothing comes again that is
	// logged, the message of a delivery that a later one overtakes is gone, depths are exact, and a lane that is held stays so until it is woken.
	//
	// Else a crash may leave everything half-done that happened since the queue was opened, and that alone: what was consumed then may come again, once
	// more after each crash, and then leads to what it led to before; what it leads to may only come by that; and what was put off may be there twice.
	// What was done before an orderly close is done. Depths are of all queues together, and after a crash no less than what must be there.
	OneStep bool
}

// TestQueueModel leads queues through random lives, and compares each after every step with a model that is as simple as can be: nothing accepted
// vanishes, nothing is in two handlers' hands, nothing comes again except after a failure or a crash, the log has exactly what was handed over,
// the depths are right, and no lane is forgotten. A life that fails is made as short as it can be, and printed.
func TestQueueModel(t *testing.T, place func(t *testing.T) Place, m ModelTest) {
	byDefault(t, "rapid.checks", m.Checks)
	byDefault(t, "rapid.steps", m.Steps)
	rapid.Check(t, func(rt *rapid.T) {
		life := &queueLife{t: t, place: place(t), m: newQueueModel(m.OneStep)}
		defer life.abandon()
		life.open(rt)
		actions := map[string]func(*rapid.T){
			"":        life.check,
			"publish": life.publish, "publish again": life.publishAgain, "publish a conflict": life.publishConflict, "replay": life.replay,
			"hand over": life.handOver, "and again": life.handOver, "once more": life.handOver, // or little would ever be over
			"ask for the same attempt": life.sameAttempt, "fail": life.fail, "hold": life.hold, "wake": life.wake, "let time pass": life.pass,
			"consume": life.consume, "reopen": life.reopen, "crash": life.crash,
		}
		if m.OneStep {
			actions["overtake"] = life.overtake
		}
		rt.Repeat(actions)
		life.end(rt)
	})
}

// byDefault sets a flag for the time of the test, unless it was given.
func byDefault(t *testing.T, name string, n int) {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if given {
		return
	}
	f := flag.Lookup(name)
	before := f.Value.String()
	if err := f.Value.Set(strconv.Itoa(n)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Value.Set(before) }) //nolint:errcheck // it was its value
}

// queueLife is one life of a queue: its methods are what can happen in it.
type queueLife struct {
	t     *testing.T
	place Place
	m     *queueModel

	b         Backend
	arm       func() // has b crash at its next step
	consuming []*consumption
	ids       int // events that were made up
	reasons   int // attempts that were
}

// far is how far ahead a message is due that does not come due in this life. The other dues are within a tenth of a second.
const far = time.Hour

var (
	modelNames       = []string{"order.created", "order.paid", "stock.changed"} // and so the lanes of the event queue
	modelSubscribers = []core.SubscriberID{1, 2, 3}                             // and so those of the delivery queue
	modelDelays      = []time.Duration{0, 0, 0, 5 * time.Millisecond, 40 * time.Millisecond, far}
)

func (l *queueLife) open(rt *rapid.T) {
	point := rapid.SampledFrom(l.place.CrashPoints()).Draw(rt, "crash point")
	l.b, l.arm = l.place.OpenCrashing(l.t, point)
}

// abandon lets go of everything, also where the life has failed half-way.
func (l *queueLife) abandon() {
	for _, c := range l.consuming {
		c.cancel()
	}
	l.let(errors.New("the test is over"))
	if l.b != nil {
		l.b.Close() //nolint:errcheck // it may have crashed
	}
}

// let has all handlers fail, for as long as there are any.
func (l *queueLife) let(why error) {
	for len(l.consuming) > 0 {
		for _, k := range l.m.inHands() {
			l.answer(k, verdict{err: why})
		}
		l.consuming = slices.DeleteFunc(l.consuming, func(c *consumption) bool {
			select {
			case err := <-c.done:
				c.done <- err // for who asks
				return true
			case <-l.m.changed:
			case <-time.After(time.Millisecond):
			}
			return false
		})
	}
}

// answer tells the handler of k what to return, and the model what becomes of k by that.
func (l *queueLife) answer(k modelKey, v verdict) {
	l.m.mu.Lock()
	verdicts := l.m.entries[k].hand.verdict
	l.m.mu.Unlock()
	if v.err == nil {
		l.m.handOver(k, v.result)
	} else {
		var held *core.Held
		l.m.giveBack(k, !errors.As(v.err, &held))
	}
	verdicts <- v
}

// check is run after every step.
func (l *queueLife) check(rt *rapid.T) {
	l.settle(rt, false)
	l.checkDepths(rt)
	l.checkLog(rt)
	l.checkRight(rt)
}

func (l *queueLife) checkRight(rt *rapid.T) {
	rt.Helper()
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if l.m.wrong != "" {
		rt.Fatal(l.m.wrong)
	}
}

// until waits for what nothing announces but, now and then, the model.
func (l *queueLife) until(rt *rapid.T, so func() (complaint string)) {
	rt.Helper()
	for deadline := time.Now().Add(patience); ; {
		l.checkRight(rt)
		complaint := so()
		if complaint == "" {
			return
		}
		if time.Now().After(deadline) {
			rt.Fatalf("after %v: %s", patience, complaint)
		}
		select {
		case <-l.m.changed:
		case <-time.After(time.Millisecond):
		}
	}
}

// settle waits until everything is handed over that can be.
func (l *queueLife) settle(rt *rapid.T, soon bool) {
	l.until(rt, func() string {
		if idle := l.m.idle(soon); idle != "" {
			return idle + " is not handed over"
		}
		return ""
	})
}

func (l *queueLife) checkDepths(rt *rapid.T) {
	l.until(rt, func() string {
		got, err := l.b.Depths(context.Background())
		if err != nil {
			rt.Fatalf("depths: %v", err)
		}
		want, less, more := l.m.depths()
		sum := 0
		exact := true
		for _, d := range got {
			w := want[d.Queue]
			exact = exact && d.Ready == w.Ready && d.Due == w.Due
			sum += d.Ready + d.Due - w.Ready - w.Due
		}
		if sum < -less || sum > 0 && !more || l.m.oneStep && !exact {
			return fmt.Sprintf("depths are %+v, want %+v, or up to %d less; or more: %t", got, want, less, more)
		}
		return ""
	})
}

// checkLog compares what the log has of every attempt, event and dead letter.
func (l *queueLife) checkLog(rt *rapid.T) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	ctx := context.Background()
	for k, result := range l.m.logged {
		want := attemptIn(result)
		got, err := l.b.Attempt(ctx, k.event, k.subscriber, k.number)
		if err != nil || got.Reason != want.Reason || got.Outcome != want.Outcome {
			rt.Fatalf("attempt %d of event %s for subscriber %d was handed over, and is logged as %+v, error %v; want %+v", k.number, k.event, k.subscriber, got, err, want)
		}
	}
	for k, e := range l.m.entries {
		if _, logged := l.m.logged[attemptKey{k, e.message.Attempt}]; logged {
			continue
		}
		if got, err := l.b.Attempt(ctx, k.event, k.subscriber, e.message.Attempt); !errors.Is(err, core.ErrNotFound) {
			rt.Fatalf("%s is not handed over, and is logged as %+v, error %v", describe(e.message), got, err)
		}
	}
	for _, want := range l.m.events {
		if got, err := l.b.Event(ctx, want.ID); err != nil || got.Event.Name != want.Name || string(got.Event.Arguments) != string(want.Arguments) {
			rt.Fatalf("event %s was accepted as %+v, and is logged as %+v, error %v", want.ID, want, got.Event, err)
		}
	}
	for _, id := range l.m.refused {
		if _, err := l.b.Event(ctx, id); !errors.Is(err, core.ErrNotFound) {
			rt.Fatalf("event %s was refused: got error %v, want that it is not known", id, err)
		}
	}
	for id, want := range l.m.dead {
		if _, err := l.b.DeadLetter(ctx, id); want != (err == nil) || err != nil && !errors.Is(err, core.ErrNotFound) {
			rt.Fatalf("dead letter %s: got error %v, want it there: %t", id, err, want)
		}
	}
}

func attemptIn(result core.Result) core.Attempt {
	for _, record := range result.Log {
		if r, ok := record.(core.AttemptRecord); ok {
			return r.Attempt
		}
	}
	return core.Attempt{}
}

// end lets everything come to its end, and opens what is left.
func (l *queueLife) end(rt *rapid.T) {
	if len(l.consuming) == 0 {
		l.start(64)
	}
	l.wakeAll()
	l.until(rt, func() string {
		for _, k := range l.m.inHands() {
			l.answer(k, verdict{result: l.plain(k)})
		}
		left := l.m.find(func(_ modelKey, e *modelEntry) bool { return time.Until(e.due) < far/2 })
		if len(left) > 0 {
			return fmt.Sprintf("not handed over: %+v", left)
		}
		return ""
	})
	l.m.allArePresent()
	l.checkDepths(rt)
	l.stop(rt, false)
	l.b = l.place.Open(l.t)
	l.checkDepths(rt)
	l.checkLog(rt)
	l.checkRight(rt)
}
