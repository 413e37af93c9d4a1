package dispatch

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// What happens to lanes in one step of the model test. A script of steps is drawn first and played afterwards: nothing can be drawn where time is synctest's.
type laneStep struct {
	do      string
	lane    int
	which   int  // of those inside, or at the door
	healthy bool // only; of attempts, that they wait for the breaker
	x       experience
	times   int    // attempts, one after the other
	fates   string // of those, over and over: f fails, s succeeds
	wait    time.Duration
}

var laneDoings = []string{
	"enter", "enter", "door", "door", "door", "leave", "leave", "leave", "leave", "attempts", "plugin down", "give up", "busy", "hold", "sleep",
}

func drawLaneStep(t *rapid.T) laneStep {
	return laneStep{
		do: rapid.SampledFrom(laneDoings).Draw(t, "do"), lane: rapid.IntRange(0, 2).Draw(t, "lane"), which: rapid.IntRange(0, 99).Draw(t, "which"),
		healthy: rapid.Bool().Draw(t, "healthy only"),
		x: experience{
			took:   rapid.SampledFrom([]time.Duration{time.Millisecond, 2 * slow}).Draw(t, "took"),
			failed: rapid.IntRange(0, 3).Draw(t, "fails") > 0, repeated: rapid.IntRange(0, 9).Draw(t, "repeated") == 0,
		},
		times: rapid.SampledFrom([]int{1, 5, 19, 20, 21, 40}).Draw(t, "attempts"), fates: rapid.SampledFrom([]string{"f", "fs", "ffs"}).Draw(t, "fates"),
		wait: rapid.SampledFrom([]time.Duration{time.Millisecond, 400 * time.Millisecond, time.Second, 7 * time.Second, 31 * time.Second}).Draw(t, "sleep"),
	}
}

// visitor waits at a lane's door.
type visitor struct {
	healthyOnly bool
	cancel      func()
	entered     chan bool
}

// simpleLane is what a lane must be like: a count, what was learnt of it, and who waits.
type simpleLane struct {
	inside   int
	failing  bool
	busy     bool
	learnt   []experience // since the first failure, while the breaker is closed
	since    time.Time    // that failure
	open     bool
	wait     time.Duration
	until    time.Time
	probing  bool
	visitors []visitor // in the order of their coming
	woken    []*bool   // of held messages, as they were held
}

func (s *simpleLane) isHealthy() bool { return !s.failing && !s.busy && !s.open }

// learn is the documented rule: over half of at least 20 attempts of distinct deliveries within 10 s of the first failure open the breaker; after 1 s, then twice as
// long each time up to 30 s, one probe may be made.
func (s *simpleLane) learn(x experience) {
	now := time.Now()
	s.failing, s.busy = x.failed, x.took > slow
	switch {
	case s.open && !x.failed:
		s.open, s.probing, s.learnt = false, false, nil
	case s.open && s.probing:
		s.probing, s.wait = false, min(2*s.wait, 30*time.Second)
		s.until = now.Add(s.wait)
	case s.open || x.repeated:
	default:
		if now.Sub(s.since) > 10*time.Second {
			s.learnt = nil
		}
		if len(s.learnt) == 0 && !x.failed {
			return
		}
		if len(s.learnt) == 0 {
			s.since = now
		}
		s.learnt = append(s.learnt, x)
		failures := 0
		for _, l := range s.learnt {
			if l.failed {
				failures++
			}
		}
		if n := len(s.learnt); n >= 20 && 2*failures > n {
			s.open, s.wait, s.until, s.learnt = true, time.Second, now.Add(time.Second), nil
		}
	}
}

// laneWorld is some lanes, and the model that they are compared with.
type laneWorld struct {
	lanes    *lanes[int]
	model    []simpleLane
	places   int
	capacity int
}

func (w *laneWorld) inside() (n int) {
	for _, s := range w.model {
		n += s.inside
	}
	return n
}

// admits says whether there is a place.
func (w *laneWorld) admits(s *simpleLane, healthyOnly bool) bool {
	switch {
	case s.open:
		return !healthyOnly && s.inside == 0 && !s.probing && !time.Now().Before(s.until)
	case s.isHealthy():
		return s.inside < w.places
	}
	return !healthyOnly && s.inside < min(w.places, max(1, (w.capacity-w.inside())/30))
}

func (w *laneWorld) take(s *simpleLane) {
	s.inside++
	s.probing = s.open
}

// play does one step, and compares what came of it.
func (w *laneWorld) play(step laneStep) error {
	s := &w.model[step.lane]
	switch step.do {
	case "enter":
		want := w.admits(s, step.healthy)
		if got := w.lanes.enter(step.lane, step.healthy); got != want {
			return fmt.Errorf("entered: %t, want %t", got, want)
		}
		if want {
			w.take(s)
		}
	case "door":
		ctx, cancel := context.WithCancel(context.Background())
		v := visitor{step.healthy, cancel, make(chan bool, 1)}
		go func() { v.entered <- w.lanes.enterByDoor(ctx, step.lane, step.healthy) }()
		synctest.Wait()
		if s.isHealthy() && !w.admits(s, step.healthy) && len(s.visitors) < doorRoom {
			s.visitors = append(s.visitors, v)
			break
		}
		defer cancel()
		want := w.admits(s, step.healthy)
		if got, told := v.told(); !told || got != want {
			return fmt.Errorf("entered by the door: %t, told: %t, want %t", got, told, want)
		}
		if want {
			w.take(s)
		}
	case "leave", "plugin down":
		if s.inside == 0 {
			return nil
		}
		x := step.x
		if step.do == "plugin down" {
			x = experience{}
		}
		w.lanes.leave(step.lane, x)
		if s.inside--; x == (experience{}) {
			s.probing = false
		} else {
			s.learn(x)
		}
	case "attempts": // as many as a breaker wants to see: alone, what else happens hardly ever comes to that
		for n := range step.times {
			one := step
			one.healthy, one.x.failed = false, step.fates[n%len(step.fates)] == 'f'
			if s.open && step.healthy { // or hardly ever a probe follows a probe
				time.Sleep(time.Until(s.until))
				synctest.Wait()
			}
			for _, one.do = range []string{"enter", "leave"} {
				if err := w.play(one); err != nil {
					return fmt.Errorf("attempt %d, %s: %w", n+1, one.do, err)
				}
			}
		}
	case "give up":
		if len(s.visitors) == 0 {
			return nil
		}
		i := step.which % len(s.visitors)
		v := s.visitors[i]
		s.visitors = slices.Delete(s.visitors, i, i+1)
		v.cancel()
		synctest.Wait()
		if got, told := v.told(); got || !told {
			return fmt.Errorf("a visitor who gave up entered: %t, was told: %t", got, told)
		}
	case "busy":
		if s.inside == 0 {
			return nil
		}
		w.lanes.markBusy(step.lane)
		s.busy = true
	case "hold":
		woken := new(bool)
		w.lanes.full(step.lane, "full").Notify(func() { *woken = true })
		s.woken = append(s.woken, woken)
	case "sleep":
		time.Sleep(step.wait)
	}
	synctest.Wait()
	return w.check()
}

// told returns what a visitor was told, if it was.
func (v visitor) told() (entered, told bool) {
	select {
	case entered = <-v.entered:
		return entered, true
	default:
		return false, false
	}
}

// check compares everything that can be seen. Who waits at a door enters in turn, as soon as there is a place, and is sent away when the lane turns bad; and whoever is held
// has somebody to wake him: one who is inside, or a breaker's time.
func (w *laneWorld) check() error {
	for key := range w.model {
		s := &w.model[key]
		for len(s.visitors) > 0 {
			first := s.visitors[0]
			want := w.admits(s, first.healthyOnly)
			if !want && s.isHealthy() {
				break
			}
			entered, told := first.told()
			if !told || entered != want {
				return fmt.Errorf("lane %d: the first at the door was told: %t, entered: %t, want %t", key, told, entered, want)
			}
			first.cancel()
			s.visitors = s.visitors[1:]
			if want {
				w.take(s)
			}
		}
		for _, v := range s.visitors {
			if entered, told := v.told(); told {
				return fmt.Errorf("lane %d: one who is not the first at the door was told to enter: %t", key, entered)
			}
		}
		s.woken = slices.DeleteFunc(s.woken, func(woken *bool) bool { return *woken })
		if len(s.woken) > 0 && s.inside == 0 && !(s.open && time.Now().Before(s.until)) {
			return fmt.Errorf("lane %d: %d held messages wait for nobody", key, len(s.woken))
		}
		if s.inside > w.places {
			return fmt.Errorf("lane %d: %d are inside, of %d places", key, s.inside, w.places)
		}
		until, paused := w.lanes.pausedUntil(key)
		if paused != s.open || paused && !until.Equal(s.until) {
			return fmt.Errorf("lane %d: the breaker is open: %t, until %v; want %t, until %v", key, paused, until, s.open, s.until)
		}
		w.lanes.mu.Lock()
		taken, door := 0, 0
		if at := w.lanes.active[key]; at != nil {
			taken, door = at.taken, len(at.door)
		}
		all := w.lanes.taken
		w.lanes.mu.Unlock()
		if taken != s.inside || door != len(s.visitors) || all != w.inside() && key == len(w.model)-1 {
			return fmt.Errorf("lane %d: %d inside, %d at the door, %d in all; want %d, %d, %d", key, taken, door, all, s.inside, len(s.visitors), w.inside())
		}
	}
	return nil
}

// end lets everybody leave well. Nothing is remembered then, and nobody waits.
func (w *laneWorld) end() error {
	for range 3 { // a probe may have to come first
		for key := range w.model {
			for w.model[key].inside > 0 {
				if err := w.play(laneStep{do: "leave", lane: key, x: experience{took: time.Millisecond}}); err != nil {
					return err
				}
			}
			if err := w.play(laneStep{do: "enter", lane: key}); err != nil {
				return err
			}
		}
		if err := w.play(laneStep{do: "sleep", wait: time.Minute}); err != nil {
			return err
		}
	}
	for key := range w.model {
		for w.model[key].inside > 0 {
			if err := w.play(laneStep{do: "leave", lane: key, x: experience{took: time.Millisecond}}); err != nil {
				return err
			}
		}
		if n := len(w.model[key].woken); n > 0 {
			return fmt.Errorf("lane %d: %d held messages were never woken", key, n)
		}
	}
	if n := len(w.lanes.active); n > 0 || w.lanes.taken > 0 {
		return fmt.Errorf("%d lanes and %d places are remembered of nothing", n, w.lanes.taken)
	}
	return nil
}

func TestLanesAgreeWithASimpleModelWhateverHappens(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		places := rapid.SampledFrom([]int{1, 2, 5, 30}).Draw(rt, "places")
		capacity := rapid.SampledFrom([]int{4, 64, 1000}).Draw(rt, "capacity")
		steps := rapid.SampledFrom([]int{5, 50, 250}).Draw(rt, "steps") // drawn by rapid alone, scripts have six in the mean
		script := rapid.SliceOfN(rapid.Custom(drawLaneStep), steps, steps).Draw(rt, "script")
		var wrong error
		synctest.Test(t, func(*testing.T) {
			w := &laneWorld{lanes: newLanes[int](places, capacity), model: make([]simpleLane, 3), places: places, capacity: capacity}
			for i, step := range script {
				if err := w.play(step); err != nil {
					wrong = fmt.Errorf("step %d, %+v: %w", i+1, step, err)
					break
				}
			}
			if wrong == nil {
				wrong = w.end()
			}
			for key := range w.model { // or they would wait for ever
				for _, v := range w.model[key].visitors {
					v.cancel()
				}
			}
		})
		if wrong != nil {
			rt.Fatal(wrong)
		}
	})
}
