package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/postrider/postrider/sdk/host"
)

// maxUnanswered health checks in a row are the end of a process.
const maxUnanswered = 2

// attend keeps the process of a worker running, and those of its quarantine as they are needed, until ctx ends, or it is left alone. The Host's lock is
// held.
func (h *Host) attend(ctx context.Context, w *worker) {
	ctx, neglect := context.WithCancel(ctx)
	w.neglect, w.watching = neglect, new(sync.WaitGroup)
	w.watching.Go(func() { h.supervise(ctx, w) })
	for _, ward := range w.quarantine.wards() {
		w.watching.Go(func() { h.isolate(ctx, w, ward) })
	}
	h.watchers.Go(w.watching.Wait)
}

// leaveAlone ends what attends to a worker, and leaves its processes as they are.
func (w *worker) leaveAlone() {
	if w.neglect != nil {
		w.neglect()
		w.watching.Wait()
	}
}

// supervise keeps the process of a worker running until ctx ends, or a ward is needed no more.
func (h *Host) supervise(ctx context.Context, w *worker) {
	for !w.hopeless {
		if p, _ := w.gate.current(); p == nil {
			if !pause(ctx, w.delay) {
				return
			}
			if err := h.restart(ctx, w); err != nil {
				if ctx.Err() != nil {
					return
				}
				w.failed(0, err, h.log)
				continue
			}
		}
		started, answered := time.Now(), w.meter.answered()
		err := h.watch(ctx, w)
		if ctx.Err() != nil || errors.Is(err, errRetired) {
			return
		}
		w.pace.worked(w.meter.answered() - answered)
		w.failed(time.Since(started), err, h.log) // shuts the gate
		discard(w.process)
	}
}

// watch returns why the process of a worker is gone, or when ctx ends. It ends a process that answers no health check; one that answers that
// it isn't well is reported and left alone: it knows best, and a restart would only hurt what is in flight. For a ward that is needed no more,
// it returns [errRetired].
func (h *Host) watch(ctx context.Context, w *worker) error {
	p := w.process
	defer w.silent.Store(false)
	ticks := time.NewTicker(h.config.HealthInterval)
	defer ticks.Stop()
	weighing := time.NewTicker(memoryInterval)
	defer weighing.Stop()
	for unanswered := 0; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.Done():
			return died(p)
		case <-weighing.C:
			if err := h.overweight(w); err != nil {
				h.end(p)
				return err
			}
			continue
		case <-ticks.C:
		}
		if w.retire() {
			return errRetired
		}
		switch err := h.ask(ctx, p); {
		case errors.Is(err, host.ErrCrashed), ctx.Err() != nil:
			continue // whichever it is, the channel above knows
		case err == nil, answered(err):
			unanswered = 0
			w.answers(p)
			w.ails(sentence(err), h.log)
		default:
			unanswered++
			w.silent.Store(true)
			w.ails("it left a health check unanswered", h.log)
			w.gate.shut(p, fmt.Sprintf("%s does not answer", w))
			if unanswered < maxUnanswered {
				continue
			}
			h.end(p)
			return fmt.Errorf("it answered none of %d health checks within %v each, and was killed", unanswered, h.config.HealthTimeout)
		}
	}
}

// end kills a process, and waits for its end as far as that makes sense.
func (h *Host) end(p process) {
	p.Kill()
	select {
	case <-p.Done():
	case <-time.After(h.config.HealthTimeout): // not even SIGKILL ends what waits for a dead disk
	}
}

func (h *Host) ask(ctx context.Context, p process) error {
	ctx, cancel := context.WithTimeout(ctx, h.config.HealthTimeout)
	defer cancel()
	return p.Health(ctx)
}

// answered reports whether err is the plugin's own answer to a health check.
func answered(err error) bool {
	var answer *host.PluginError
	return errors.As(err, &answer)
}

func sentence(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func died(p process) error {
	if err := p.Err(); err != nil {
		return err
	}
	return errors.New("it exited")
}

// restart starts the process of a worker anew. What it says of itself may have changed: it must still be the plugin that it was.
func (h *Host) restart(ctx context.Context, w *worker) error {
	if w.process != nil { // it may have died before anybody watched
		discard(w.process)
	}
	name := ""
	if known, _ := w.identity(); known != nil {
		name = known.Name
	}
	p, d, err := h.open(ctx, w.binary, name)
	if err != nil {
		return err
	}
	w.process = p
	if err := h.admit(w, d); err != nil {
		discard(p)
		return err
	}
	if err := h.serve(ctx, w); err != nil {
		return err
	}
	h.log.Info("plugin runs", "plugin", w.String(), "pid", p.PID())
	return nil
}

// serve configures the process of a worker and lets requests through to it. A process that can't be configured is ended.
func (h *Host) serve(ctx context.Context, w *worker) error {
	known, share := w.identity()
	if err := known.checkConfiguration(share.configuration); err != nil {
		discard(w.process)
		return err
	}
	configuring, cancel := context.WithTimeout(ctx, h.config.ConfigureTimeout)
	defer cancel()
	if err := w.process.Configure(configuring, share.configuration, h.config.EgressAllow); err != nil {
		discard(w.process)
		return h.hideIn(err)
	}
	if err := h.extend(w); err != nil {
		discard(w.process)
		return err
	}
	w.mu.Lock()
	w.starts++
	w.state, w.reason, w.since = stateRunning, "", time.Now()
	w.mu.Unlock()
	w.gate.open(w.process, w.limit())
	return nil
}

// admit takes over what a plugin says of itself, if it may say that beside all the others. A ward changes nothing for them.
func (h *Host) admit(w *worker, d *description) error {
	known, _ := w.identity()
	if known != nil && known.same(d.Description) {
		return nil
	}
	var wake []func()
	defer func() { callAll(wake) }() // once the lock is released
	h.mu.Lock()
	defer h.mu.Unlock()
	if known != nil && (known.Name != d.Name || known.Role != d.Role) {
		return fmt.Errorf("plugin file %s was the %s %q and is now the %s %q: a plugin must not change its name or role by itself",
			w.file, known.Role, known.Name, d.Role, d.Name)
	}
	if w.ward != nil {
		return nil
	}
	offers, _ := offersOf(h.workers)
	for i, o := range offers {
		if o.file == w.file {
			offers[i].description = d
		}
	}
	if known == nil {
		offers = append(offers, offer{file: w.file, description: d})
	}
	p, err := makePlan(h.config, offers)
	if err != nil {
		return err
	}
	if known == nil {
		for _, sibling := range w.spread(d, p.shares[d.Name], h.config) {
			h.workers = append(h.workers, sibling)
			h.attendTo(sibling)
		}
	} else {
		for _, other := range h.workers {
			if other.file == w.file {
				_, share := other.identity()
				other.become(d, share)
			}
		}
	}
	wake = h.publish(p.absent)
	return nil
}

// extend takes over the services that the configuration of a worker's process has brought, if it may offer them beside all the others. While the
// plugins are started, [Host.arrange] sees to the latter, once it knows what all of them offer. A ward offers nothing by itself.
func (h *Host) extend(w *worker) error {
	known, share := w.identity()
	extended, err := known.with(w.process.Description())
	if err != nil {
		return fmt.Errorf("plugin file %s: %w", w.file, err)
	}
	if w.ward != nil || reflect.DeepEqual(known.services, extended.services) {
		return nil
	}
	var wake []func()
	defer func() { callAll(wake) }() // once the lock is released
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Contains(h.workers, w) {
		w.become(extended, share)
		return nil
	}
	offers, _ := offersOf(h.workers)
	for i, o := range offers {
		if o.file == w.file {
			offers[i].description = extended
		}
	}
	if err := errors.Join(serviceClashes(offers)...); err != nil {
		return err
	}
	w.become(extended, share)
	wake = h.publish(h.table.Load().absent)
	return nil
}

// pause waits, and reports whether ctx let it.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
