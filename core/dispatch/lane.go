package dispatch

import (
	"sync"
	"time"

	"github.com/postrider/postrider/core"
)

// lanes keeps apart what must not slow each other: subscribers, and the services of resolvers. Each lane has a number of places and
// its health. Only lanes with something to remember are in memory.
type lanes[K comparable] struct {
	places int // in each lane

	mu     sync.Mutex
	active map[K]*lane
}

type lane struct {
	taken   int
	failing bool          // the last attempt did not succeed
	busy    bool          // an attempt takes longer than slow, and none was faster since
	typical time.Duration // moving average of how long a place is taken
	waiting []waiter
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

func newLanes[K comparable](places int) *lanes[K] {
	return &lanes[K]{places: places, active: make(map[K]*lane)}
}

// enter takes a place in the lane of key, if there is one. With healthyOnly there is none either where an attempt of now would
// likely fail or be slow. Who entered must leave.
func (l *lanes[K]) enter(key K, healthyOnly bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.active[key]
	if at == nil {
		at = &lane{}
		l.active[key] = at
	}
	if at.taken >= l.places || healthyOnly && (at.failing || at.busy) {
		return false
	}
	at.taken++
	return true
}

// experience is what an attempt says about its lane; the zero experience says nothing.
type experience struct {
	took   time.Duration
	failed bool
}

// leave gives the place back and takes note of how it went.
func (l *lanes[K]) leave(key K, x experience) {
	l.mu.Lock()
	at := l.active[key]
	at.taken--
	if x != (experience{}) {
		at.failing = x.failed
		at.busy = x.took > slow
		at.typical += (x.took - at.typical) / 8
	}
	wakes := at.wakeable()
	if at.taken == 0 && !at.failing && !at.busy && len(at.waiting) == 0 {
		delete(l.active, key)
	}
	l.mu.Unlock()
	for _, w := range wakes {
		w.wake()
	}
}

// markBusy says that an attempt in the lane is slow, before it is over.
func (l *lanes[K]) markBusy(key K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := l.active[key]; at != nil {
		at.busy = true
	}
}

// wake asks all who wait in the lane of key anew, because something about its subscriber changed.
func (l *lanes[K]) wake(key K) {
	l.mu.Lock()
	var wakes []waiter
	if at := l.active[key]; at != nil {
		wakes = at.wakeable()
	}
	l.mu.Unlock()
	for _, w := range wakes {
		w.wake()
	}
}

// isFull reports whether the lane of key has no place left, and is healthy otherwise.
func (l *lanes[K]) isFull(key K) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.active[key]
	return at != nil && at.taken >= l.places && !at.failing && !at.busy
}

// full returns the error of a message that found no place in the lane of key. It waits until a quarter of the places is free: woken for each
// single one, a queue would hand over two messages, one of them in vain, for every attempt.
func (l *lanes[K]) full(key K, reason string) *core.Held {
	return l.heldUntil(key, reason, func(at *lane) bool { return at.taken <= l.places*3/4 })
}

// heldUntil returns the error of a message that waits in the lane of key until ready, which is asked each time something
// happens in the lane.
func (l *lanes[K]) heldUntil(key K, reason string, ready func(*lane) bool) *core.Held {
	l.mu.Lock()
	defer l.mu.Unlock()
	wait := time.Second
	if at := l.active[key]; at != nil {
		wait = min(max(at.typical, 100*time.Millisecond), time.Minute)
	}
	return &core.Held{Reason: reason, Wait: wait, Notify: func(wake func()) {
		l.mu.Lock()
		at := l.active[key]
		if at == nil {
			at = &lane{}
			l.active[key] = at
		}
		if !ready(at) {
			at.waiting = append(at.waiting, waiter{ready, wake})
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		wake()
	}}
}
