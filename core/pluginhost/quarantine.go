package pluginhost

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/core"
)

const (
	// maxShared suspects run at once in the process that they share.
	maxShared = 64
	// maxAwaiting suspects wait for a place in the goroutines of their callers; what comes beyond them is held.
	maxAwaiting = 64
	// idleEnd is how long a process of a quarantine goes on without suspects.
	idleEnd = time.Minute
	// longestWardDelay is the longest between the crash of a process of a quarantine and its restart.
	longestWardDelay = 5 * time.Second
)

// quarantine is where the suspects of a worker run: in processes of their own, of the same plugin and with the same configuration, so that nothing
// they do touches the others. Suspects first share a process, since most were merely near when something else crashed theirs, or when
// somebody killed it. Should that one crash as well, what was in flight there goes on to another process, one at a time: what crashes that is
// guilty.
type quarantine struct {
	shared *worker
	alone  *worker
}

// ward is what sets a worker of a quarantine apart: its process is started when a suspect comes, and ended when none came for [idleEnd].
type ward struct {
	name     string        // for operators
	limit    int           // suspects in flight at once
	wanted   chan struct{} // holds a value if a suspect came while no process ran
	awaiting atomic.Int32  // suspects in await
}

func newQuarantine(b *binary, c Config) *quarantine {
	c.RestartDelay = min(c.RestartDelay, longestWardDelay)
	return &quarantine{shared: newWard(b, "quarantine", maxShared, c), alone: newWard(b, "quarantine, alone", 1, c)}
}

func newWard(b *binary, name string, limit int, c Config) *worker {
	w := emptyWorker(b, c)
	w.state = stateStopped
	w.gate.why = asleep
	w.ward = &ward{name: name, limit: limit, wanted: make(chan struct{}, 1)}
	return w
}

// asleep is why a suspect is held at a ward whose process is yet to be started.
const asleep = "a process is being started for what may have crashed the plugin"

// of returns the ward for suspects in that custody.
func (q *quarantine) of(c custody) *worker {
	if c == confined {
		return q.alone
	}
	return q.shared
}

// wards lists the workers of the quarantine.
func (q *quarantine) wards() []*worker { return []*worker{q.shared, q.alone} }

// expect returns a Held for a suspect that the ward is to run next.
func (w *worker) expect(reason string) *core.Held {
	return w.wanting(w.gate.hold(reason))
}

// await lets a suspect through to the process of the ward. Where there is one, and no room, the suspect waits here until ctx ends: behind slow
// ones that takes long, and a Held would keep the queue from what else it has for the same subscriber.
func (w *worker) await(ctx context.Context) (process, *core.Held) {
	p, held := w.gate.enter()
	if held == nil {
		return p, nil
	}
	if running, _ := w.gate.current(); running == nil || w.ward.awaiting.Load() >= maxAwaiting {
		return nil, w.wanting(held)
	}
	w.ward.awaiting.Add(1)
	defer w.ward.awaiting.Add(-1)
	for held != nil && !w.gate.ended() {
		woken := make(chan struct{})
		w.wanting(held).Notify(func() { close(woken) })
		select {
		case <-woken:
		case <-ctx.Done():
			return nil, held
		}
		p, held = w.gate.enter()
	}
	return p, held
}

// wanting makes sure that a process is started for who holds held: now, and once more when it begins to wait, should the process have been ended
// meanwhile.
func (w *worker) wanting(held *core.Held) *core.Held {
	join := held.Notify
	held.Notify = func(wake func()) {
		join(wake)
		w.want()
	}
	w.want()
	return held
}

func (w *worker) want() {
	if running, _ := w.gate.current(); running != nil {
		return
	}
	select {
	case w.ward.wanted <- struct{}{}:
	default: // it is known
	}
}

// errRetired is why [Host.watch] ends for a ward that nobody needs any more.
var errRetired = errors.New("no suspect came for a while")

// retire shuts the gate of a ward that had no suspect for [idleEnd], and reports whether it did. Other workers never retire.
func (w *worker) retire() bool {
	if w.ward == nil {
		return false
	}
	select {
	case <-w.ward.wanted: // by one who came before the gate was opened, and was let through or woken then
	default:
	}
	return w.gate.shutIdle(idleEnd, asleep)
}

// isolate runs a ward for the suspects of a worker until ctx ends.
func (h *Host) isolate(ctx context.Context, of, w *worker) {
	for ctx.Err() == nil {
		if running, _ := w.gate.current(); running == nil { // else it was left running when it was attended to last
			select {
			case <-ctx.Done():
				return
			case <-w.ward.wanted:
			}
			known, s := of.identity()
			s.label, s.names = labelOf(s, w.ward.name), nil
			w.become(known, s)
			w.wake()
		}
		h.supervise(ctx, w)
		if ctx.Err() == nil {
			w.is(stateStopped, "")
			_ = w.process.Close(ctx) // nothing is in flight: there is nothing to cut off
		}
	}
}

// labelOf names a ward beside its plugin, and beside the notifier whose configuration it runs with.
func labelOf(s share, ward string) string {
	if s.label == "" {
		return ward
	}
	return s.label + ", " + ward
}

// wake gives a ward a clean record before its process is started.
func (w *worker) wake() {
	w.delay, w.pace.failures = 0, 0
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state, w.reason, w.starts = stateStarting, "", 0
}
