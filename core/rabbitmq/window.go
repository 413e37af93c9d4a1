package rabbitmq

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/core"
)

// item is a message that the broker has delivered and that is not acknowledged.
type item struct {
	envelope
	source  *source
	tag     uint64
	arrived time.Time
	lane    *lane

	returned bool // from the waiting queue
}

// window is what the broker has delivered of one queue and no Handler has in hand: some thousand messages at most, by lane. Lanes take turns, one message
// each. A lane that has no room stops, as it would in a file: its messages wait here until it is woken. But they must not fill the window, behind
// which others wait. What is too much of them, or waits too long, leaves: it goes back to the broker, for as long as it takes until there is room, if that is soon, or else
// until it is its turn.
type window struct {
	size  int
	keys  *keys
	leave func(it *item, soon time.Duration) // for about so long, or 0: until it is its turn; must not block

	returning atomic.Int64 // messages that came back from the waiting queue, and are not looked at yet

	mu      sync.Mutex
	lanes   map[string]*lane
	turns   []*lane // whose turn it is, in order
	waiting int     // messages here
	stopped int     // those of them whose lane stopped
	claimed int     // in the hands of Handlers
	reward  int     // messages that may come back from the waiting queue without a pause
	closed  bool
	signal  chan struct{} // poked when there may be something to claim
}

// holdLongest is how long a message of a stopped lane waits in memory. Brokers close a channel on which one is not acknowledged for half an hour.
const holdLongest = time.Minute

func newWindow(size int, ks *keys, leave func(*item, time.Duration)) *window {
	return &window{size: size, keys: ks, leave: leave, lanes: map[string]*lane{}, signal: make(chan struct{}, 1)}
}

// poke wakes whoever waits on a channel of capacity 1.
func poke(signal chan struct{}) {
	select {
	case signal <- struct{}{}:
	default:
	}
}

// add takes in what the broker delivered.
func (w *window) add(it *item) {
	w.mu.Lock()
	w.insert(it, false)
	w.overflow()
	w.mu.Unlock()
	poke(w.signal)
}

// insert puts an item at the end of its lane, or to its head. The lock is held.
func (w *window) insert(it *item, head bool) {
	if it.source.hasEnded() || w.closed {
		return // the broker delivers it again
	}
	l := w.lanes[it.message.Lane]
	if l == nil {
		l = &lane{name: it.message.Lane, flowed: time.Now()}
		w.lanes[l.name] = l
	}
	it.lane = l
	if head {
		l.items = slices.Insert(l.items, 0, it)
	} else {
		l.items = append(l.items, it)
	}
	w.waiting++
	if l.stopped() {
		w.stopped++
	}
	w.queueUp(l)
}

// removed counts an item that is in the window no more. The lock is held.
func (w *window) removed(l *lane, n int) {
	w.waiting -= n
	if l.stopped() {
		w.stopped -= n
	}
}

// overflow has messages of stopped lanes leave until those fill half of the window at most: the last ones of the longest lane, which would wait
// longest. The lock is held.
func (w *window) overflow() {
	for w.stopped > w.size/2 {
		var longest *lane
		for _, l := range w.lanes {
			if l.stopped() && (longest == nil || len(l.items) > len(longest.items)) {
				longest = l
			}
		}
		keep := max(0, len(longest.items)-(w.stopped-w.size/2))
		for _, it := range longest.items[keep:] {
			w.leave(it, longest.away())
		}
		w.removed(longest, len(longest.items)-keep)
		clear(longest.items[keep:])
		longest.items = longest.items[:keep]
	}
}

// expire has leave what has waited for too long in stopped lanes.
func (w *window) expire(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lanes {
		if !l.stopped() {
			continue
		}
		before := len(l.items)
		l.items = slices.DeleteFunc(l.items, func(it *item) bool {
			old := now.Sub(it.arrived) > holdLongest
			if old {
				w.leave(it, 0)
			}
			return old
		})
		w.removed(l, before-len(l.items))
	}
}

// claim takes the message whose turn it is, and its key; nil: there is none now.
func (w *window) claim() *item {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.turns) > 0 && !w.closed {
		l := w.turns[0]
		w.turns = w.turns[1:]
		l.queued = false
		if l.stopped() || l.full() || len(l.items) == 0 {
			w.forget(l)
			continue
		}
		it := l.items[0]
		l.items[0] = nil
		l.items = l.items[1:]
		w.removed(l, 1)
		taken := w.keys.take(keyOf(it.message), func() { w.putBack(it) })
		if taken {
			l.claims++
			w.claimed++
		}
		w.queueUp(l)
		w.forget(l)
		if taken {
			return it
		}
	}
	return nil
}

// putBack returns an item whose key is free to the head of its lane.
func (w *window) putBack(it *item) {
	w.mu.Lock()
	w.insert(it, true)
	w.overflow()
	w.mu.Unlock()
	poke(w.signal)
}

// finish ends a claim. consumed says that a Handler had no complaint.
func (w *window) finish(it *item, consumed bool) {
	w.mu.Lock()
	l := it.lane
	l.claims--
	w.claimed--
	if consumed {
		l.flows()
		if it.returned && !l.stopped() {
			w.reward = min(w.reward+recallReward, w.size)
		}
	}
	w.queueUp(l)
	w.forget(l)
	w.mu.Unlock()
	w.keys.release(keyOf(it.message))
	poke(w.signal)
}

// giveBack returns a claimed item whose lane has no room, and stops the lane until it is woken.
func (w *window) giveBack(it *item, why *core.Held) {
	w.mu.Lock()
	l := it.lane
	l.claims--
	w.claimed--
	l.hold()
	w.stop(l, &l.held)
	w.insert(it, true)
	w.overflow()
	w.mu.Unlock()
	w.keys.release(keyOf(it.message))

	// Outside the lock: there may be room already, and then Notify calls back at once.
	why.Notify(func() { w.release(l, &l.held) })
}

// rest stops the lane of a claimed item for a while, because a Handler failed at it.
func (w *window) rest(it *item) {
	w.mu.Lock()
	l := it.lane
	fresh := !l.resting
	if fresh {
		l.fails()
		w.stop(l, &l.resting)
		w.overflow()
	}
	backoff := l.backoff
	w.mu.Unlock()
	if fresh {
		time.AfterFunc(backoff, func() { w.release(l, &l.resting) })
	}
}

// stop sets one of the two reasons of a lane to stop. The lock is held.
func (w *window) stop(l *lane, reason *bool) {
	before := l.stopped()
	*reason = true
	if !before {
		w.stopped += len(l.items)
	}
	if w.lanes[l.name] == nil {
		w.lanes[l.name] = l
	}
}

// release takes a reason to stop away.
func (w *window) release(l *lane, reason *bool) {
	w.mu.Lock()
	before := l.stopped()
	*reason = false
	if before && !l.stopped() {
		w.stopped -= len(l.items)
	}
	w.queueUp(l)
	w.forget(l)
	w.mu.Unlock()
	poke(w.signal)
}

// queueUp gives l a turn if it has something to offer.
func (w *window) queueUp(l *lane) {
	if l.queued || l.stopped() || l.full() || len(l.items) == 0 {
		return
	}
	l.queued = true
	w.turns = append(w.turns, l)
}

// forget drops a lane that has nothing to remember, so that memory does not remember every lane that ever was.
func (w *window) forget(l *lane) {
	if len(l.items) == 0 && l.claims == 0 && !l.stopped() && w.lanes[l.name] == l {
		delete(w.lanes, l.name)
	}
}

// dropEnded forgets what came from links that have ended: the broker delivers it again.
func (w *window) dropEnded() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lanes {
		before := len(l.items)
		l.items = slices.DeleteFunc(l.items, func(it *item) bool { return it.source.hasEnded() })
		w.removed(l, before-len(l.items))
		w.forget(l)
	}
}

// close ends it: nothing is taken in any more, and nothing claimed.
func (w *window) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
}

// isHalfFull reports whether what waits in stopped lanes may be all that there is room for. What Handlers have in hand may be about to come back.
func (w *window) isHalfFull() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.waiting+w.claimed >= w.size/2
}

// spend takes the reward for one message that comes back from the waiting queue, if there is any.
func (w *window) spend() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reward == 0 {
		return false
	}
	w.reward--
	return true
}

// depth counts what waits here.
func (w *window) depth() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.waiting + int(w.returning.Load())
}
