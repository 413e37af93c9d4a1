package dispatch

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/postrider/postrider/core"
)

// paceTurn is how long it takes until the next event becomes delivery messages whose receivers have no room: in the whole daemon, 200 a second do. With 1,000 a
// second the p99 of a healthy neighbour stayed the same on the embedded queue; on RabbitMQ, which shared two cores with all the others, it was three times
// what it is.
const paceTurn = 5 * time.Millisecond

// pace slows down the events whose receivers have no room. Nothing becomes of them now but delivery messages, which wait, and nobody is in a hurry for those; but
// each is as much work for the queue as a delivery. A receiver that has hung for a while has piled up any number of them, and once its breaker opened, they
// took the whole machine: with 50,000, the p99 of a healthy neighbour went from 1.2 to 60 ms (postrider bench --scenario piled-up).
//
// Events of one name wait together, as they do in a queue that keeps lanes. Names take turns.
type pace struct {
	mu    sync.Mutex
	used  bool                // somebody has passed in this turn
	ticks bool                // there will be a next turn
	names []string            // that wait, in turn
	wakes map[string][]func() // of each of them
}

func newPace() *pace { return &pace{wakes: map[string][]func(){}} }

// pass returns nil when an event of that name may become delivery messages now.
func (p *pace) pass(name string) *core.Held {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.used {
		p.used = true
		p.tick()
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

// wake wakes a name out of turn: one of its receivers has answered.
func (p *pace) wake(name string) {
	p.mu.Lock()
	wakes := p.wakes[name]
	if wakes != nil {
		p.names = slices.DeleteFunc(p.names, func(n string) bool { return n == name })
		delete(p.wakes, name)
	}
	p.mu.Unlock()
	for _, wake := range wakes {
		wake()
	}
}

// tick sees to it that there is a next turn. The lock is held.
func (p *pace) tick() {
	if !p.ticks {
		p.ticks = true
		time.AfterFunc(paceTurn, p.turn)
	}
}

// turn lets another event pass, and wakes the name that has waited longest. There are turns until nobody has come since the last one.
func (p *pace) turn() {
	p.mu.Lock()
	p.ticks = false
	if p.used || len(p.names) > 0 {
		p.tick()
	}
	p.used = false
	var wakes []func()
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
