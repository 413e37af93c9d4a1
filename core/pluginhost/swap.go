package pluginhost

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/postrider/postrider/core"
)

// install puts new workers, which run, into the place of those of a file, and drains what these ran. A worker for the same use lives on with the new
// process, and so do its suspects and who waits for it. The error is that of a plan which something has made impossible meanwhile.
func (h *Host) install(file string, fresh []*worker) error {
	old := h.detach(file)
	h.mu.Lock()
	wake, err := h.exchange(file, old, fresh)
	if err != nil {
		for _, w := range old {
			h.attendTo(w)
		}
	}
	h.mu.Unlock()
	callAll(wake) // they may come back here at once
	return err
}

// detach leaves all workers of a file alone, those included that come to be meanwhile.
func (h *Host) detach(file string) []*worker {
	var alone []*worker
	for {
		h.mu.Lock()
		all := slices.DeleteFunc(slices.Clone(h.workers), func(w *worker) bool { return w.file != file })
		h.mu.Unlock()
		if len(all) == len(alone) {
			return all
		}
		for _, w := range all {
			w.leaveAlone()
		}
		alone = all
	}
}

// exchange is install once nobody attends to the old workers. It returns whom to wake. The lock is held.
func (h *Host) exchange(file string, old, fresh []*worker) (wake []func(), err error) {
	known, _ := fresh[0].identity()
	offers, _ := offersOf(h.workers)
	offers = slices.DeleteFunc(offers, func(o offer) bool { return o.file == file })
	if known != nil {
		offers = append(offers, offer{file: file, description: known})
	}
	p, err := makePlan(h.config, offers)
	if err != nil {
		return nil, err
	}
	stay := make([]*worker, 0, len(fresh))
	for _, w := range fresh {
		i := slices.IndexFunc(old, func(o *worker) bool { return sameUse(o, w) })
		if i < 0 {
			stay = append(stay, w)
			continue
		}
		stay = append(stay, old[i])
		wake = append(wake, h.succeed(old[i], w)...)
		old = slices.Delete(slices.Clone(old), i, i+1)
	}
	h.workers = slices.DeleteFunc(h.workers, func(w *worker) bool { return w.file == file })
	h.workers = append(h.workers, stay...)
	for _, w := range old {
		h.miss(w)
	}
	wake = append(wake, h.publish(p.absent)...)
	for _, w := range old {
		wake = append(wake, h.retire(w, "its file holds another plugin now")...)
	}
	for _, w := range stay {
		h.attendTo(w)
	}
	return wake, nil
}

// sameUse reports whether two workers are of one plugin and serve the same names.
func sameUse(a, b *worker) bool {
	known, share := a.identity()
	other, its := b.identity()
	return known != nil && other != nil && known.Name == other.Name && known.Role == other.Role && share.label == its.label
}

// succeed gives a worker the process of a new one, and drains the one that it had. It returns whom to wake.
func (h *Host) succeed(w, fresh *worker) (wake []func()) {
	known, share := fresh.identity()
	w.become(known, share)
	last, before := w.process, w.binary
	w.process, w.binary = fresh.process, fresh.binary
	w.delay, w.pace.failures, w.hopeless = 0, 0, false
	w.silent.Store(false)
	w.mu.Lock()
	w.state, w.reason, w.update, w.starts, w.since = stateRunning, "", "", max(w.starts, 1), time.Now()
	w.mu.Unlock()
	wake = w.gate.hand(w.process, w.limit())
	h.drain(w, last)
	for _, ward := range w.quarantine.wards() {
		h.vacate(ward, fresh.binary)
	}
	before.close() // siblings share it, and are replaced as well: closing it twice is fine
	return wake
}

// vacate drains the process of a ward. The next suspect has a process of the new binary started.
func (h *Host) vacate(ward *worker, b *binary) {
	running, _ := ward.gate.current()
	ward.gate.shut(running, asleep)
	last := ward.process
	ward.process, ward.binary = nil, b
	ward.is(stateStopped, "")
	h.drain(ward, last)
	if ward.gate.awaited() {
		ward.want()
	}
}

// drain ends a process that takes no new requests any more, once those in flight are answered.
func (h *Host) drain(w *worker, p process) {
	if p == nil {
		return
	}
	w.mu.Lock()
	w.leaves[p] = true
	w.mu.Unlock()
	h.drains.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), h.config.DrainTimeout)
		defer cancel()
		var others sync.WaitGroup
		defer others.Wait()
		defer cancel()
		others.Go(func() {
			select {
			case <-h.cut:
				cancel()
			case <-ctx.Done():
			}
		})
		others.Go(func() { h.endStuck(ctx, p) })
		if err := p.Close(ctx); err != nil {
			h.log.Warn("a process that was replaced did not finish in time, and was stopped; what it was at is sent again", "plugin", w.String(), "reason", err)
			return // who was cut off may yet ask
		}
		w.mu.Lock()
		delete(w.leaves, p)
		w.mu.Unlock()
	})
}

// endStuck ends a process that answers no health checks, until ctx ends. It has no work to lose that it would ever finish.
func (h *Host) endStuck(ctx context.Context, p process) {
	ticks := time.NewTicker(h.config.HealthInterval)
	defer ticks.Stop()
	for unanswered := 0; unanswered < maxUnanswered; {
		select {
		case <-ctx.Done():
			return
		case <-p.Done():
			return
		case <-ticks.C:
		}
		if err := h.ask(ctx, p); err == nil || answered(err) {
			unanswered = 0
		} else {
			unanswered++
		}
	}
	p.Kill()
}

// remove drains and ends what runs from a file that isn't there any more. What its notifiers were to deliver waits until they are back.
func (h *Host) remove(file string) core.PluginChange {
	old := h.detach(file)
	change := core.PluginChange{File: file, Change: core.PluginRemoved}
	var wake []func()
	defer func() { callAll(wake) }() // once the lock is released
	h.mu.Lock()
	defer h.mu.Unlock()
	h.workers = slices.DeleteFunc(h.workers, func(w *worker) bool { return w.file == file })
	for _, w := range old {
		if known, _ := w.identity(); known != nil {
			change.Name = known.Name
		}
		h.miss(w)
	}
	wake = h.publishNow()
	for _, w := range old {
		wake = append(wake, h.retire(w, "its file was taken away")...)
	}
	return change
}

// miss remembers the notifier names of a worker that goes: deliveries to them wait, as for those of the configuration.
func (h *Host) miss(w *worker) {
	known, share := w.identity()
	for _, name := range share.names {
		h.removed[name] = known.Name
	}
}

// publishNow is publish with the plan for what runs.
func (h *Host) publishNow() []func() {
	offers, _ := offersOf(h.workers)
	p, err := makePlan(h.config, offers)
	if err != nil { // what runs was planned, and taking from it makes no clash
		h.log.Error("the plan for the plugins that run is impossible", "reason", err)
	}
	return h.publish(p.absent)
}

// retire drains a worker that has no place any more, and returns whom to wake: they find another one, if there is one, in the table.
func (h *Host) retire(w *worker, why string) (wake []func()) {
	for _, w := range append(w.quarantine.wards(), w) {
		wake = append(wake, w.gate.end(w.String()+" does not run any more: "+why)...)
		h.drain(w, w.process)
		w.is(stateStopped, "")
	}
	w.binary.close()
	return wake
}
