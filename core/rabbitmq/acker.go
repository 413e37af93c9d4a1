package rabbitmq

import (
	"fmt"
	"slices"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// ackPause lets acknowledgements gather: 30,000/s go out together where 22,000/s go out one by one.
const ackPause = time.Millisecond

// acker acknowledges what one channel delivered, on that channel alone: the contiguous beginning of what is done at once, the rest singly.
type acker struct {
	link    *link
	channel *amqp.Channel

	mu       sync.Mutex
	done     []uint64 // not acknowledged yet
	signal   chan struct{}
	next     uint64          // the first tag that is not acknowledged
	singly   map[uint64]bool // tags from next on that are
	stopping chan struct{}
	stopped  chan struct{}
}

func newAcker(l *link, channel *amqp.Channel) *acker {
	a := &acker{
		link: l, channel: channel, signal: make(chan struct{}, 1), next: 1, singly: map[uint64]bool{},
		stopping: make(chan struct{}), stopped: make(chan struct{}),
	}
	go a.run()
	return a
}

// acknowledge has the message of tag forgotten by the broker, soon.
func (a *acker) acknowledge(tag uint64) {
	a.mu.Lock()
	a.done = append(a.done, tag)
	a.mu.Unlock()
	select {
	case a.signal <- struct{}{}:
	default:
	}
}

func (a *acker) run() {
	defer close(a.stopped)
	pause := time.NewTimer(ackPause)
	defer pause.Stop()
	for {
		select {
		case <-a.signal:
		case <-a.stopping:
			a.flush()
			return
		case <-a.link.done:
			return
		}
		pause.Reset(ackPause)
		select {
		case <-pause.C:
		case <-a.stopping:
		case <-a.link.done:
			return
		}
		a.flush()
	}
}

// stop acknowledges what is done, and ends.
func (a *acker) stop() {
	close(a.stopping)
	<-a.stopped
}

func (a *acker) flush() {
	a.mu.Lock()
	done := a.done
	a.done = nil
	a.mu.Unlock()
	prefix, rest := a.plan(done)
	if prefix != 0 {
		a.ack(prefix, true)
	}
	for _, tag := range rest {
		a.ack(tag, false)
	}
}

// plan sorts what is done: everything up to prefix can be acknowledged together, rest must be singly. A prefix of 0 is none.
func (a *acker) plan(done []uint64) (prefix uint64, rest []uint64) {
	slices.Sort(done)
	for len(done) > 0 || a.singly[a.next] {
		switch {
		case len(done) > 0 && done[0] == a.next:
			prefix = a.next
			done = done[1:]
		case a.singly[a.next]:
			delete(a.singly, a.next)
		default:
			for _, tag := range done {
				a.singly[tag] = true
			}
			return prefix, done
		}
		a.next++
	}
	return prefix, nil
}

func (a *acker) ack(tag uint64, multiple bool) {
	if err := a.channel.Ack(tag, multiple); err != nil {
		a.link.end(fmt.Errorf("acknowledge: %w", err))
	}
}
