package dispatch

import (
	"fmt"
	"sync"
	"time"

	"github.com/postrider/postrider/core"
)

// pacePortion events whose receivers are all ill become delivery messages in each paceTurn, in the whole daemon: 200 a second. With 1,000 a second the p99 of a
// healthy neighbour stayed the same on the embedded queue; on RabbitMQ, which shared two cores with all the others, it was three times what it is.
const (
	pacePortion = 1
	paceTurn    = 5 * time.Millisecond
)

// pace slows down the events whose receivers are all ill. Nothing becomes of them now but delivery messages, which wait, and nobody is in a hurry for those; but
// each is as much work for the queue as a delivery. A receiver that has hung for a while has piled up any number of them, and once its breaker opened, they
// took the whole machine: with 50,000, the p99 of a healthy neighbour went from 1.2 to 60 ms (postrider bench --scenario piled-up).
//
// Events of one name wait together, as they do in a queue that keeps lanes. Names take turns.
type pace struct {
	mu    sync.Mutex
	room  int                 // events that may pass before the next turn
	ticks bool                // there will be a next turn
	names []string            // that wait, in turn
	wakes map[string][]func() // of each of them
}

func newPace() *pace { return &pace{room: pacePortion, wakes: map[string][]func(){}} }

// pass returns nil when an event of that name may become delivery messages now.
func (p *pace) pass(name string) *core.Held {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tick()
	if p.room > 0 {
		p.room--
		return nil
	}
	return &core.Held{
		Reason: fmt.Sprintf("no receiver of %s can take anything now: its events are put aside bit by bit", name),
		Notify: func(wake func()) { p.wait(name, wake) },
	}
}

// wait has wake called when it is the turn of that name.
func (p *pace) wait(name string, wake func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wakes[name] == nil {
		p.names = append(p.names, name)
	}
	p.wakes[name] = append(p.wakes[name], wake)
	p.tick()
}

// tick sees to it that there is a next turn. The lock is held.
func (p *pace) tick() {
	if !p.ticks {
		p.ticks = true
		time.AfterFunc(paceTurn, p.turn)
	}
}

// turn makes room for a portion, and wakes the name that has waited longest. There are turns until nobody has come since the last one.
func (p *pace) turn() {
	p.mu.Lock()
	var wakes []func()
	p.ticks = false
	if p.room < pacePortion || len(p.names) > 0 {
		p.tick()
	}
	p.room = pacePortion
	if len(p.names) > 0 {
		first := p.names[0]
		p.names = p.names[1:]
		wakes = p.wakes[first]
		delete(p.wakes, first)
	}
	p.mu.Unlock()
	for _, wake := range wakes {
		wake()
	}
}
