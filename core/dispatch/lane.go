package dispatch

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/postrider/postrider/core"
)

// lanes keeps apart what must not slow each other: subscribers, and the services of resolvers. Each lane has a number of places and
// its health. Only lanes with something to remember are in memory.
type lanes[K comparable] struct {
	places   int // in each lane
	capacity int // of whoever does the work, for all lanes together

	mu     sync.Mutex
	active map[K]*lane
	taken  int // in all lanes
}

// unhealthyShare is the part of the free capacity that one lane may take which is slow or fails: a thirtieth. The first of them have all their places; when
// many hang at once, each gets fewer, and something always stays free: beside a hundred of them, still all the places of a healthy one.
const unhealthyShare = 30

type lane struct {
	taken   int
	failing bool // the last attempt did not succeed
	busy    bool // an attempt takes longer than slow, and none was faster since
	breaker breaker
	door    []knock // who waits for a place while healthy
	waiting []waiter
}

// doorRoom is how many may wait at the door of each lane. They keep its places taken while the queue fetches more: it learns of free room only
// after what took it before is committed.
const doorRoom = 64

// knock is someone at a lane's door.
type knock struct {
	turn        chan bool // told whether it got a place
	healthyOnly bool
}

// waiter waits for something to happen in a lane.
type waiter struct {
	ready func(*lane) bool // quick, and asked with the lanes locked
	wake  func()
}

// wakeable takes out those who need not wait any longer.
func (at *lane) wakeable() (ready []waiter) {
	still := at.waiting[:0]
	for _, w := range at.waiting {
		if w.ready(at) {
			ready = append(ready, w)
		} else {
			still = append(still, w)
		}
	}
	clear(at.waiting[len(still):])
	at.waiting = still
	return ready
}

func newLanes[K comparable](places, capacity int) *lanes[K] {
	return &lanes[K]{places: places, capacity: capacity, active: make(map[K]*lane)}
}

// of returns the lane of key. The lock is held.
func (l *lanes[K]) of(key K) *lane {
	at := l.active[key]
	if at == nil {
		at = &lane{}
		l.active[key] = at
	}
	return at
}

// forget drops a lane that has nothing to remember. The lock is held.
func (l *lanes[K]) forget(key K, at *lane) {
	if at.taken == 0 && at.healthy() && at.breaker.isQuiet(time.Now()) && len(at.waiting) == 0 {
		delete(l.active, key)
	}
}

// placesOf returns how many places the lane has now. The lock is held.
func (l *lanes[K]) placesOf(at *lane) int {
	switch {
	case at.breaker.isOpen() && at.taken == 0 && at.breaker.admits(time.Now()):
		return 1
	case at.breaker.isOpen(): // also while attempts are under way that began before: the probe comes after them
		return 0
	case at.healthy():
		return l.places
	}
	return min(l.places, max(1, (l.capacity-l.taken)/unhealthyShare))
}

// take takes a place. The lock is held.
func (l *lanes[K]) take(at *lane) {
	at.breaker.probing = at.breaker.isOpen()
	at.taken++
	l.taken++
}

func (at *lane) healthy() bool { return !at.failing && !at.busy && !at.breaker.isOpen() }

// enter takes a place in the lane of key, if there is one. With healthyOnly there is none either where an attempt of now would
// likely fail or be slow. Who entered must leave.
func (l *lanes[K]) enter(key K, healthyOnly bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.of(key)
	if !l.mayEnter(at, healthyOnly) {
		return false
	}
	l.take(at)
	return true
}

// mayEnter reports whether there is a place. The lock is held.
func (l *lanes[K]) mayEnter(at *lane, healthyOnly bool) bool {
	return at.taken < l.placesOf(at) && (at.healthy() || !healthyOnly)
}

// enterByDoor takes a place as enter does, and waits for one at the door of a healthy lane if there is room. It gives up when the lane is not healthy
// any more and has no place, or ctx ends.
func (l *lanes[K]) enterByDoor(ctx context.Context, key K, healthyOnly bool) bool {
	l.mu.Lock()
	at := l.of(key)
	if l.mayEnter(at, healthyOnly) {
		l.take(at)
		l.mu.Unlock()
		return true
	}
	if !at.healthy() || len(at.door) >= doorRoom {
		l.mu.Unlock()
		return false
	}
	turn := make(chan bool, 1)
	at.door = append(at.door, knock{turn, healthyOnly})
	l.mu.Unlock()

	select {
	case entered := <-turn:
		return entered
	case <-ctx.Done():
	}
	l.mu.Lock()
	if i := slices.IndexFunc(at.door, func(k knock) bool { return k.turn == turn }); i >= 0 {
		at.door = slices.Delete(at.door, i, i+1)
		l.mu.Unlock()
		return false
	}
	l.mu.Unlock()
	return <-turn // it was just told
}

// openDoor lets in who waits at the door, in turn, as many as there are places for. Where the lane is not healthy any more the others are told that there
// is none. The lock is held.
func (l *lanes[K]) openDoor(at *lane) {
	for len(at.door) > 0 {
		first := at.door[0]
		enters := l.mayEnter(at, first.healthyOnly)
		if !enters && at.healthy() {
			return
		}
		if enters {
			l.take(at)
		}
		first.turn <- enters
		at.door = at.door[1:]
	}
}

// experience is what an attempt says about its lane; the zero experience says nothing.
type experience struct {
	took     time.Duration
	failed   bool
	repeated bool // the delivery was attempted within breakerWindow before
}

// leave gives the place back and takes note of how it went.
func (l *lanes[K]) leave(key K, x experience) transition {
	l.mu.Lock()
	at := l.active[key]
	at.taken--
	l.taken--
	change := unchanged
	if x == (experience{}) {
		at.breaker.probing = false
	} else {
		var again time.Duration
		if change, again = at.breaker.learn(time.Now(), x); again > 0 {
			time.AfterFunc(again, func() { l.wake(key) })
		}
		at.failing = x.failed
		at.busy = x.took > slow
	}
	l.openDoor(at)
	wakes := at.wakeable()
	l.forget(key, at)
	l.mu.Unlock()
	for _, w := range wakes {
		w.wake()
	}
	return change
}

// pausedUntil returns when the next attempt in the lane of key may be made, where its breaker is open.
func (l *lanes[K]) pausedUntil(key K) (until time.Time, paused bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := l.active[key]; at != nil && at.breaker.isOpen() {
		return at.breaker.until, true
	}
	return time.Time{}, false
}

// markBusy says that an attempt in the lane is slow, before it is over.
func (l *lanes[K]) markBusy(key K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := l.active[key]; at != nil {
		at.busy = true
		l.openDoor(at)
	}
}

// wake asks all who wait in the lane of key anew, because something about its subscriber changed.
func (l *lanes[K]) wake(key K) {
	l.mu.Lock()
	var wakes []waiter
	if at := l.active[key]; at != nil {
		wakes = at.wakeable()
		l.forget(key, at)
	}
	l.mu.Unlock()
	for _, w := range wakes {
		w.wake()
	}
}

// isCrowded reports whether the lane of key is healthy, and so full that nobody more may wait at its door.
func (l *lanes[K]) isCrowded(key K) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.active[key]
	return at != nil && at.healthy() && at.taken >= l.places && len(at.door) >= doorRoom
}

// isShut reports whether the lane of key is not healthy, and has no place.
func (l *lanes[K]) isShut(key K) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.active[key]
	return at != nil && !at.healthy() && at.taken >= l.placesOf(at)
}

// full returns the error of a message that found no place in the lane of key. It waits until a quarter of the places is free, or half of the
// room at the door: woken for each single one, a queue would hand over two messages, one of them in vain, for every attempt.
func (l *lanes[K]) full(key K, reason string) *core.Held {
	return l.heldUntil(key, reason, func(at *lane) bool {
		places := l.placesOf(at)
		return places > 0 && at.taken <= places*3/4 || at.healthy() && len(at.door) <= doorRoom/2
	})
}

// heldUntil returns the error of a message that waits in the lane of key until ready, which is asked each time something
// happens in the lane.
func (l *lanes[K]) heldUntil(key K, reason string, ready func(*lane) bool) *core.Held {
	return &core.Held{Reason: reason, Notify: func(wake func()) {
		l.mu.Lock()
		at := l.of(key)
		if !ready(at) {
			at.waiting = append(at.waiting, waiter{ready, wake})
			l.mu.Unlock()
			return
		}
		l.forget(key, at)
		l.mu.Unlock()
		wake()
	}}
}
