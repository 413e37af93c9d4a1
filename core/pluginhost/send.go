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
// again: a suspect is sent to the quarantine instead.
func (w *worker) send(ctx context.Context, key string, ask func(context.Context, process) error) error {
	custody := w.suspects.custody(key)
	if custody != free {
		return w.sendSuspect(ctx, key, custody, ask)
	}
	p, held := w.gate.enter()
	if held != nil {
		return held
	}
	defer w.gate.leave()
	err := ask(ctx, p)
	if !w.lost(p, err) {
		return err
	}
	w.down(p)
	if w.closing.Load() {
		return w.gate.hold(fmt.Sprintf("%s was stopped while this was in flight", w))
	}
	w.suspects.watch(key)
	return w.quarantine.shared.expect(fmt.Sprintf("%s went down while this was in flight", w))
}

// sendSuspect sends a suspect to the process of the quarantine that its custody asks for. The time that it waits for a place there is not taken
// off its deadline.
func (w *worker) sendSuspect(ctx context.Context, key string, c custody, ask func(context.Context, process) error) error {
	at := w.quarantine.of(c)
	deadline, limited := ctx.Deadline()
	allowed := time.Until(deadline)
	ctx, cancel := withoutDeadline(ctx)
	defer cancel()
	p, held := at.await(ctx)
	if held != nil {
		return held
	}
	defer at.gate.leave()
	if limited {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, allowed)
		defer stop()
	}
	err := ask(ctx, p)
	if !at.lost(p, err) {
		if !errors.Is(err, context.Canceled) { // else nobody waited to see whether the process lives
			w.suspects.clear(key)
		}
		return err
	}
	at.down(p)
	switch {
	case at.closing.Load():
		return at.gate.hold(fmt.Sprintf("%s was stopped while this was in flight", at))
	case c == watched:
		w.suspects.confine(key)
	case errors.Is(err, host.ErrCrashed) && w.suspects.convict(key):
		return kind{fmt.Errorf("it crashed %s %d times while nothing else was in flight; mend the plugin, then replay it", w, crimes), core.ErrPermanent}
	}
	return w.quarantine.alone.expect(fmt.Sprintf("%s went down while this was in flight", at))
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

// down lets nothing more through to the process p, which is gone.
func (w *worker) down(p process) {
	w.gate.shut(p, fmt.Sprintf("%s went down and is being restarted", w))
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
