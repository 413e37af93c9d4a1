package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/sdk/host"
)

// send asks the process by way of ask, unless there is no room or no process. key is the request's name among suspects, the same whenever it is sent
// again.
func (w *worker) send(ctx context.Context, key string, ask func(context.Context, process) error) error {
	if w.suspects.has(key) {
		return w.sendAlone(ctx, key, ask)
	}
	p, held := w.gate.enter()
	if held != nil {
		return held
	}
	err := ask(ctx, p)
	if w.lost(p, err) {
		held = w.gone(p, key)
		w.gate.leave()
		return held
	}
	w.gate.leave()
	return err
}

// sendAlone sends a suspect, with nothing else in flight. The time that it waits for the others to leave is not taken off its deadline.
func (w *worker) sendAlone(ctx context.Context, key string, ask func(context.Context, process) error) error {
	deadline, limited := ctx.Deadline()
	allowed := time.Until(deadline)
	ctx, cancel := withoutDeadline(ctx)
	defer cancel()
	p, held := w.gate.enterAlone(ctx)
	if held != nil {
		return held
	}
	if limited {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, allowed)
		defer stop()
	}
	started := time.Now()
	err := ask(ctx, p)
	took := time.Since(started)
	if !w.lost(p, err) {
		if !errors.Is(err, context.Canceled) { // else nobody waited to see whether the process lives
			w.suspects.clear(key)
		}
		w.gate.leaveAlone(took)
		return err
	}
	guilty := errors.Is(err, host.ErrCrashed) && !w.closing.Load() && w.suspects.convict(key)
	held = w.gone(p, key)
	w.gate.leaveAlone(took)
	if guilty {
		return kind{fmt.Errorf("it crashed %s %d times while nothing else was in flight; mend the plugin, then replay it", w, crimes), core.ErrPermanent}
	}
	return held
}

// lost reports whether err means that nobody will ever know what became of the request: its process p crashed, or doesn't answer at all and is
// about to be killed.
func (w *worker) lost(p process, err error) bool {
	switch {
	case errors.Is(err, host.ErrCrashed), errors.Is(err, host.ErrStopping):
		return true
	case errors.Is(err, context.DeadlineExceeded):
		return w.silent.Load() || !w.responds(p)
	}
	return false
}

// responds reports whether p answers a health check. A deadline may well be shorter than the time in which supervision finds out that a process is
// stuck, and a receiver must not lose an attempt by that.
func (w *worker) responds(p process) bool {
	ctx, cancel := context.WithTimeout(context.Background(), w.patience)
	defer cancel()
	err := p.Health(ctx)
	return err == nil || answered(err)
}

// gone makes a request a suspect whose process p is gone, and returns the Held that waits for the next one.
func (w *worker) gone(p process, key string) *core.Held {
	if !w.closing.Load() {
		w.suspects.add(key)
	}
	w.gate.shut(p, fmt.Sprintf("%s went down and is being restarted", w))
	return w.gate.hold(fmt.Sprintf("%s went down while this was in flight", w))
}

// withoutDeadline returns a context that ends when ctx is cancelled, but not when its deadline passes.
func withoutDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	patient, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.Canceled) {
			cancel()
		}
	})
	return patient, func() { stop(); cancel() }
}
