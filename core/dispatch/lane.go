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
	waiting []func()      // to be called when there may be room
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
	wakes := at.waiting
	at.waiting = nil
	if at.taken == 0 && !at.failing && !at.busy {
		delete(l.active, key)
	}
	l.mu.Unlock()
	for _, wake := range wakes {
		wake()
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

// wake calls all who wait for the lane, because something about it changed.
func (l *lanes[K]) wake(key K) {
	l.mu.Lock()
	var wakes []func()
	if at := l.active[key]; at != nil {
		wakes, at.waiting = at.waiting, nil
	}
	l.mu.Unlock()
	for _, wake := range wakes {
		wake()
	}
}

// full returns the error of a message that found no place in the lane of key.
func (l *lanes[K]) full(key K, reason string) *core.Held {
	return l.heldUntil(key, reason, func(at *lane) bool { return at.taken < l.places })
}

// heldUntil returns the error of a message that waits in the lane of key until ready, which is asked each time something
// happens in the lane. ready is called with the lanes locked: it must be quick.
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
			at.waiting = append(at.waiting, wake)
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		wake()
	}}
}
