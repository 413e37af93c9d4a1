package pluginhost

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/sdk"
)

// The states of a plugin, as [core.PluginStatus] shows them.
const (
	stateStarting   = "starting"
	stateRunning    = "running"
	stateRestarting = "restarting"
	stateBroken     = "broken"
	stateStopped    = "stopped"
	stateSkipped    = "skipped"
)

// worker is one plugin process, replaced when it dies: one per plugin and configuration, and those of its quarantine. Requests go through send,
// processes come and go in supervise.go.
type worker struct {
	file     string        // in the plugin directory
	patience time.Duration // for the answer to a health check
	gate     gate
	meter    meter

	suspects   suspects
	quarantine *quarantine // where they run; nil: the worker is of one itself
	ward       *ward       // non-nil: it is

	closing atomic.Bool // what crashes now, we ended
	silent  atomic.Bool // the last health check went unanswered

	neglect  context.CancelFunc // ends the goroutines that attend to it; nil: none ever did
	watching *sync.WaitGroup    // those

	// Of Start, then of the one goroutine that supervises, then of Close; of Reload, while nobody attends.
	binary   *binary       // what is started
	process  process       // the last one that was started; nil: none ever
	pace     pace          // of restarts
	delay    time.Duration // until the next start, where there is no process
	hopeless bool          // starting it again changes nothing

	mu     sync.Mutex
	known  *description // nil: it never described itself
	share  share
	state  string
	reason string
	update string // why the file isn't what runs; "": it is
	starts int
	since  time.Time        // when the process began to serve
	leaves map[process]bool // the processes that finish what is in flight, after others took their place
}

func newWorker(b *binary, c Config) *worker {
	w := emptyWorker(b, c)
	w.gate.why = w.String() + " is starting"
	w.quarantine = newQuarantine(b, c)
	return w
}

func emptyWorker(b *binary, c Config) *worker {
	return &worker{
		file: b.path, binary: b, patience: c.HealthTimeout, state: stateStarting, pace: pace{longest: c.RestartDelay},
		leaves: make(map[process]bool),
	}
}

// String names the plugin for messages.
func (w *worker) String() string {
	known, share := w.identity()
	switch {
	case known == nil:
		return fmt.Sprintf("plugin file %s", fileName(w.file))
	case w.ward != nil:
		return fmt.Sprintf("plugin %s (in %s)", known.Name, share.label)
	case share.label != "":
		return fmt.Sprintf("plugin %s (as %s)", known.Name, share.label)
	}
	return fmt.Sprintf("plugin %s", known.Name)
}

func (w *worker) identity() (*description, share) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.known, w.share
}

// become gives the worker its place in the plan.
func (w *worker) become(d *description, s share) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known, w.share = d, s
}

// isLeaving reports whether another process took the place of p.
func (w *worker) isLeaving(p process) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.leaves[p]
}

// is notes the state and the reason for it, for operators.
func (w *worker) is(state, reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state, w.reason = state, reason
}

// spread gives the worker the first of its plugin's shares, and returns new workers for the others.
func (w *worker) spread(d *description, shares []share, c Config) (siblings []*worker) {
	w.become(d, shares[0])
	for _, s := range shares[1:] {
		sibling := newWorker(w.binary, c)
		sibling.become(d, s)
		siblings = append(siblings, sibling)
	}
	return siblings
}

func killAll(workers []*worker) {
	for _, w := range workers {
		w.kill()
	}
}

// limit is how many requests the worker takes at once.
func (w *worker) limit() int {
	known, _ := w.identity()
	limit := known.MaxInFlight
	if limit <= 0 {
		limit = sdk.DefaultMaxInFlight
	}
	if w.ward != nil {
		limit = min(limit, w.ward.limit)
	}
	return limit
}
