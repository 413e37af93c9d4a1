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
	for {
		p, held := w.gate.enter()
		if held != nil {
			return held
		}
		fate, err := w.try(ctx, p, ask)
		switch fate {
		case answeredFor:
			return err
		case cutOff:
			return w.gate.hold(fmt.Sprintf("%s was stopped while this was in flight", w))
		case lost:
			w.suspects.watch(key)
			return w.quarantine.shared.expect(fmt.Sprintf("%s went down while this was in flight", w))
		}
	}
}

// fate is what became of a request that was sent to a process.
type fate int

const (
	answeredFor fate = iota // it is over, for better or worse
	unseen                  // the process takes no more requests, and never saw it: the next one will
	cutOff                  // we ended the process while it was in flight
	lost                    // the process crashed, or doesn't answer: nobody will ever know
)

// try asks the process p, which the request entered to, and lets nothing more through to it if it is gone.
func (w *worker) try(ctx context.Context, p process, ask func(context.Context, process) error) (fate, error) {
	defer w.gate.leave(p)
	began := time.Now()
	err := ask(ctx, p)
	if !errors.Is(err, host.ErrStopping) {
		w.meter.count(time.Since(began), isFault(err))
	}
	switch {
	case errors.Is(err, host.ErrStopping):
		return unseen, err
	case !w.gone(p, err):
		return answeredFor, err
	}
	w.down(p)
	if w.closing.Load() || w.isLeaving(p) {
		return cutOff, err
	}
	return lost, err
}

// sendSuspect sends a suspect to the process of the quarantine that its custody asks for. The time that it waits for a place there is not taken
// off its deadline.
func (w *worker) sendSuspect(ctx context.Context, key string, c custody, ask func(context.Context, process) error) error {
	at := w.quarantine.of(c)
	deadline, limited := ctx.Deadline()
	allowed := time.Until(deadline)
	patient, cancel := withoutDeadline(ctx)
	defer cancel()
	for {
		p, held := at.await(patient)
		if held != nil {
			return held
		}
		ctx, stop := patient, context.CancelFunc(func() {})
		if limited {
			ctx, stop = context.WithTimeout(patient, allowed)
		}
		fate, err := at.try(ctx, p, ask)
		stop()
		switch {
		case fate == unseen:
			continue
		case fate == answeredFor:
			if !errors.Is(err, context.Canceled) { // else nobody waited to see whether the process lives
				w.suspects.clear(key)
			}
			return err
		case fate == cutOff:
			return at.expect(fmt.Sprintf("%s was stopped while this was in flight", at))
		case c == watched:
			w.suspects.confine(key)
		case errors.Is(err, host.ErrCrashed) && w.suspects.convict(key):
			return kind{fmt.Errorf("it crashed %s %d times while nothing else was in flight; mend the plugin, then replay it", w, crimes), core.ErrPermanent}
		}
		return w.quarantine.alone.expect(fmt.Sprintf("%s went down while this was in flight", at))
	}
}

// isFault reports whether err is a failure of the plugin, and not of what it was given, or of nobody.
func isFault(err error) bool {
	if failure, ok := errors.AsType[*host.PluginError](err); ok {
		return !failure.InvalidArguments
	}
	return errors.Is(err, host.ErrCrashed) || errors.Is(err, context.DeadlineExceeded)
}

// gone reports whether err means that nobody will ever know what became of the request: its process p crashed, or doesn't answer at all and is
// about to be killed.
func (w *worker) gone(p process, err error) bool {
	switch {
	case errors.Is(err, host.ErrCrashed):
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
