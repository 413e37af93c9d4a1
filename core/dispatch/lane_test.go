package dispatch

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestManySlowLanesLeaveRoomForHealthyOnes(t *testing.T) {
	const places, capacity = 64, deliveryWorkers
	l := newLanes[int](places, capacity)
	slowOnes := 0
	for key := range 100 {
		if !l.enter(key, false) {
			t.Fatalf("slow lane %d has no place at all", key)
		}
		l.markBusy(key)
		slowOnes++
		for l.enter(key, false) {
			slowOnes++
		}
	}
	if slowOnes > capacity-places {
		t.Errorf("%d attempts of slow lanes are under way, of a capacity of %d", slowOnes, capacity)
	}
	for n := range places {
		if !l.enter(-1, true) {
			t.Fatalf("a healthy lane has %d places, want %d", n, places)
		}
	}

	few := newLanes[int](places, capacity)
	few.enter(1, false)
	few.markBusy(1)
	n := 1
	for few.enter(1, false) {
		n++
	}
	if n != places {
		t.Errorf("a single slow lane has %d places, want all of its %d", n, places)
	}
}

func TestWhoWaitsAtTheDoorOfALaneEntersInTurnAndLeavesWhenTheLaneTurnsBad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLanes[int](1, 10)
		l.enter(1, true)
		entered := make(chan bool, 2)
		for range 2 {
			go func() { entered <- l.enterByDoor(context.Background(), 1, true) }()
		}
		synctest.Wait()
		l.leave(1, experience{took: time.Millisecond})
		if !<-entered {
			t.Error("nobody entered when there was a place")
		}
		synctest.Wait()
		if len(entered) != 0 {
			t.Error("two entered one place")
		}
		l.markBusy(1)
		if <-entered {
			t.Error("entered a lane that is not healthy by its door")
		}
		l.leave(1, experience{took: time.Millisecond})
		if len(l.active) != 0 || l.taken != 0 {
			t.Errorf("%d lanes and %d places are remembered of nothing", len(l.active), l.taken)
		}

		l.enter(2, true)
		ctx, cancel := context.WithCancel(context.Background())
		go func() { entered <- l.enterByDoor(ctx, 2, true) }()
		synctest.Wait()
		cancel()
		if <-entered {
			t.Error("entered after its context ended")
		}
	})
}
