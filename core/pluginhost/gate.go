package pluginhost

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/postrider/postrider/core"
)

// gate decides which requests may be sent to a process now. It never lets a caller wait for room: who finds none gets a [core.Held] and is
// woken when there may be some. The one exception is a suspect, see enterAlone.
//
// The gate outlives the processes behind it: it is shut while none runs.
type gate struct {
	mu       sync.Mutex
	process  process // nil: none runs
	why      string  // why none runs
	again    time.Time
	limit    int // requests in flight at once
	inFlight int

	alone   chan struct{} // non-nil: a suspect is in flight, and nothing else may be
	awaited chan struct{} // non-nil: a suspect waits for the last of the others; closed when its turn has come, or will never come
	rested  time.Time     // no suspect enters before, so that the others get as much of the process as the suspects
	rest    *time.Timer   // wakes the waiting suspects at rested

	waiting  []func() // who found no room
	suspects []func() // who found no room to run alone
}

// open lets requests through to p, at most limit at once, and wakes all who wait.
func (g *gate) open(p process, limit int) {
	g.mu.Lock()
	g.process, g.why, g.again, g.limit = p, "", time.Time{}, limit
	wake := g.everybody()
	g.mu.Unlock()
	callAll(wake)
}

// shut lets nothing more through to p, and does nothing when p was replaced already. why completes the sentence "plugin x …".
func (g *gate) shut(p process, why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.process != p || p == nil {
		return
	}
	g.process, g.why = nil, why
	if g.awaited != nil {
		close(g.awaited)
		g.awaited = nil
	}
}

// explain replaces the reason why no process runs, and says when the next start is due.
func (g *gate) explain(why string, again time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.why, g.again = why, again
}

// stop shuts the gate for good.
func (g *gate) stop(why string) {
	p, _ := g.current()
	g.shut(p, why)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.why = why
	if g.rest != nil {
		g.rest.Stop()
	}
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
	if g.alone != nil {
		return g.inFlight + 1
	}
	return g.inFlight
}

// enter lets one request through, to the process it returns; leave must follow. Otherwise it returns why not.
func (g *gate) enter() (process, *core.Held) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.room() {
		return nil, g.held(g.room, &g.waiting)
	}
	g.inFlight++
	return g.process, nil
}

// leave says that a request that entered has its answer.
func (g *gate) leave() {
	g.mu.Lock()
	g.inFlight--
	if g.inFlight == 0 && g.awaited != nil {
		g.alone, g.awaited = g.awaited, nil
		close(g.alone)
	}
	var wake []func()
	if len(g.waiting) > 0 && g.room() {
		if g.inFlight == 0 { // nobody else would wake the rest, should the one that is woken have nothing left to send
			wake = g.take(&g.waiting)
		} else {
			wake = []func(){g.waiting[0]}
			g.waiting = g.waiting[1:]
		}
	}
	g.mu.Unlock()
	callAll(wake)
}

// enterAlone lets a suspect through once nothing else is in flight; leaveAlone must follow. One suspect at a time waits here for the others to
// leave (they have deadlines), until ctx ends; every other one gets a Held. A queue may come back at any time, so a suspect that only came by
// to ask would never meet a process at rest.
func (g *gate) enterAlone(ctx context.Context) (process, *core.Held) {
	turn := make(chan struct{})
	g.mu.Lock()
	if !g.roomAlone() {
		defer g.mu.Unlock()
		return nil, g.held(g.roomAlone, &g.suspects)
	}
	if g.inFlight == 0 {
		defer g.mu.Unlock()
		g.alone = turn
		return g.process, nil
	}
	g.awaited = turn
	g.mu.Unlock()

	select {
	case <-turn:
	case <-ctx.Done():
	}
	return g.takeTurn(ctx, turn)
}

// takeTurn ends the wait of the suspect that waited for turn: with the process, or with a Held if the process is gone or ctx has ended.
func (g *gate) takeTurn(ctx context.Context, turn chan struct{}) (process, *core.Held) {
	g.mu.Lock()
	if g.alone == turn && g.process != nil && ctx.Err() == nil {
		defer g.mu.Unlock()
		return g.process, nil
	}
	if g.alone == turn {
		g.alone = nil
	}
	if g.awaited == turn {
		g.awaited = nil
	}
	held := g.held(g.roomAlone, &g.suspects)
	var wake []func()
	if g.process != nil {
		wake = g.everybody()
	}
	g.mu.Unlock()
	callAll(wake)
	return nil, held
}

// leaveAlone says that a suspect that ran for took has its answer. The other suspects rest for as long if anybody else waits.
func (g *gate) leaveAlone(took time.Duration) {
	g.mu.Lock()
	g.alone = nil
	var wake []func()
	switch {
	case g.process == nil:
	case len(g.waiting) == 0:
		wake = g.take(&g.suspects)
	default:
		wake = g.take(&g.waiting)
		g.rested = time.Now().Add(took)
		g.rest = time.AfterFunc(took, g.wakeSuspects)
	}
	g.mu.Unlock()
	callAll(wake)
}

func (g *gate) wakeSuspects() {
	g.mu.Lock()
	var wake []func()
	if g.roomAlone() {
		wake = g.take(&g.suspects)
	}
	g.mu.Unlock()
	callAll(wake)
}

// room reports whether a request may enter. The lock is held.
func (g *gate) room() bool {
	return g.process != nil && g.alone == nil && g.awaited == nil && g.inFlight < g.limit
}

// roomAlone reports whether a suspect may enter, or wait for its turn. The lock is held.
func (g *gate) roomAlone() bool {
	return g.process != nil && g.alone == nil && g.awaited == nil && !time.Now().Before(g.rested)
}

// held says why there is no room, to a holder that joins the list unless there is room by then. The lock is held.
func (g *gate) held(room func() bool, list *[]func()) *core.Held {
	held := &core.Held{Notify: func(wake func()) {
		g.mu.Lock()
		if !room() {
			*list = append(*list, wake)
			wake = nil
		}
		g.mu.Unlock()
		if wake != nil {
			wake()
		}
	}}
	switch {
	case g.process == nil:
		held.Reason, held.Wait = g.why, max(time.Until(g.again), firstDelay)
	case g.alone != nil || g.awaited != nil:
		held.Reason, held.Wait = "a request that may have crashed the plugin is run alone", 100*time.Millisecond
	case time.Now().Before(g.rested):
		held.Reason, held.Wait = "is run alone, later: it may have crashed the plugin", time.Until(g.rested)
	default:
		held.Reason, held.Wait = fmt.Sprintf("%d requests are in flight, as many as the plugin takes", g.inFlight), 50*time.Millisecond
	}
	return held
}

// hold returns a Held for a request that must run alone once a process runs.
func (g *gate) hold(reason string) *core.Held {
	g.mu.Lock()
	defer g.mu.Unlock()
	held := g.held(g.roomAlone, &g.suspects)
	held.Reason = reason
	return held
}

// everybody empties both lists. The lock is held.
func (g *gate) everybody() []func() {
	return append(g.take(&g.waiting), g.take(&g.suspects)...)
}

func (g *gate) take(list *[]func()) []func() {
	taken := *list
	*list = nil
	return taken
}

func callAll(functions []func()) {
	for _, f := range functions {
		f()
	}
}
