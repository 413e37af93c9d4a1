package pluginhost

import (
	"fmt"
	"sync"
	"time"

	"github.com/postrider/postrider/core"
)

// gate decides which requests may be sent to a process now. It never lets a caller wait for room: who finds none gets a [core.Held] and is
// woken when there may be some.
//
// The gate outlives the processes behind it: it is shut while none runs.
type gate struct {
	mu       sync.Mutex
	process  process   // nil: none runs
	why      string    // why none runs
	limit    int       // requests in flight at once
	last     process   // that the gate was opened to
	inFlight int       // in the last process
	leaving  int       // in flight in those before it: they take up no room
	used     time.Time // when the gate was opened, or nothing was in flight any more; whichever is later
	waiting  []func()  // who found no room
	over     bool      // nothing goes through here any more: who waits must look for another gate
}

// open lets requests through to p, at most limit at once, and wakes all who wait.
func (g *gate) open(p process, limit int) { callAll(g.hand(p, limit)) }

// hand is open, but for waking those whom it returns.
func (g *gate) hand(p process, limit int) []func() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.last != p {
		g.leaving += g.inFlight
		g.last, g.inFlight = p, 0
	}
	g.process, g.why, g.limit, g.used = p, "", limit, time.Now()
	return g.takeWaiting()
}

// shut lets nothing more through to p, and does nothing when p was replaced already. why completes the sentence "plugin x …".
func (g *gate) shut(p process, why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.process == p && p != nil {
		g.process, g.why = nil, why
	}
}

// shutIdle shuts the gate if nothing went through for that long, and reports whether it did.
func (g *gate) shutIdle(after time.Duration, why string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.process == nil || g.inFlight > 0 || time.Since(g.used) < after {
		return false
	}
	g.process, g.why = nil, why
	return true
}

// explain replaces the reason why no process runs.
func (g *gate) explain(why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.why = why
}

// stop shuts the gate for good.
func (g *gate) stop(why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.process, g.why = nil, why
}

// end shuts the gate for good, and returns those who wait: they must look for another one, as those to come.
func (g *gate) end(why string) (wake []func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.process, g.why, g.over = nil, why, true
	return g.takeWaiting()
}

// ended reports whether nothing goes through here any more.
func (g *gate) ended() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.over
}

// awaited reports whether somebody waits to be let through.
func (g *gate) awaited() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting) > 0
}

// current returns the process that runs, or nil and why there is none.
func (g *gate) current() (process, string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.process, g.why
}

// load returns how many requests are in flight.
func (g *gate) load() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inFlight + g.leaving
}

// enter lets one request through, to the process it returns; leave must follow. Otherwise it returns why not.
func (g *gate) enter() (process, *core.Held) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.room() {
		return nil, g.held()
	}
	g.inFlight++
	return g.process, nil
}

// leave says that a request that entered to p has its answer.
func (g *gate) leave(p process) {
	g.mu.Lock()
	if p != g.last {
		g.leaving--
		g.mu.Unlock()
		return
	}
	if g.inFlight--; g.inFlight == 0 {
		g.used = time.Now()
	}
	var wake []func()
	if len(g.waiting) > 0 && g.room() {
		if g.inFlight == 0 { // nobody else would wake the rest, should the one that is woken have nothing left to send
			wake = g.takeWaiting()
		} else {
			wake = []func(){g.waiting[0]}
			g.waiting = g.waiting[1:]
		}
	}
	g.mu.Unlock()
	callAll(wake)
}

// hold returns a Held for a request that must be sent once there is room.
func (g *gate) hold(reason string) *core.Held {
	g.mu.Lock()
	defer g.mu.Unlock()
	held := g.held()
	held.Reason = reason
	return held
}

// room reports whether a request may enter. The lock is held.
func (g *gate) room() bool {
	return g.process != nil && g.inFlight < g.limit
}

// held says why there is no room, to a holder that waits unless there is room by then. The lock is held.
func (g *gate) held() *core.Held {
	held := &core.Held{Notify: func(wake func()) {
		g.mu.Lock()
		if !g.room() && !g.over {
			g.waiting = append(g.waiting, wake)
			wake = nil
		}
		g.mu.Unlock()
		if wake != nil {
			wake()
		}
	}}
	if g.process == nil {
		held.Reason = g.why
	} else {
		held.Reason = fmt.Sprintf("%d requests are in flight, as many as the plugin takes", g.inFlight)
	}
	return held
}

// takeWaiting empties the list of those who wait. The lock is held.
func (g *gate) takeWaiting() []func() {
	taken := g.waiting
	g.waiting = nil
	return taken
}

func callAll(functions []func()) {
	for _, f := range functions {
		f()
	}
}
