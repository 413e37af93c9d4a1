package pluginhost

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/postrider/postrider/core"
)

// failed notes that the process ran for ran and is gone (0: it didn't start), and paces the next start.
func (w *worker) failed(ran time.Duration, err error, log hclog.Logger) {
	wasBroken := w.pace.broken()
	w.delay = w.pace.failed(ran)
	known, _ := w.identity()
	state := stateRestarting
	if known == nil { // it may well be no plugin at all: don't run it all the time
		w.delay = w.pace.stranger()
	}
	if known == nil || w.hopeless || w.pace.broken() {
		state = stateBroken
	}
	w.is(state, err.Error())
	why := fmt.Sprintf("%s is down: %v", w, err)
	w.gate.shut(w.process, why)
	w.gate.explain(why)
	switch {
	case w.hopeless:
		log.Warn("plugin can't be used", "plugin", w.String(), "file", w.file, "reason", err)
	case wasBroken: // said before
		log.Debug("plugin is still down", "plugin", w.String(), "reason", err, "again_in", w.delay)
	case w.pace.broken():
		log.Error("plugin is broken: it keeps crashing; what needs it waits", "plugin", w.String(), "failures", w.pace.failures, "reason", err)
	default:
		log.Warn("plugin is down", "plugin", w.String(), "file", w.file, "reason", err, "again_in", w.delay)
	}
}

// ails notes what is wrong with a process that runs; "": nothing is.
func (w *worker) ails(with string, log hclog.Logger) {
	w.mu.Lock()
	before := w.reason
	w.reason = with
	w.mu.Unlock()
	switch {
	case with == before:
	case with == "":
		log.Info("plugin is well again", "plugin", w.String())
	default:
		log.Warn("plugin is not well", "plugin", w.String(), "reason", with)
	}
}

// answers lets requests through again to the process p, should it have left a health check unanswered before.
func (w *worker) answers(p process) {
	w.silent.Store(false)
	if running, _ := w.gate.current(); running == nil {
		w.gate.open(p, w.limit())
	}
}

// kill ends the process of a worker at once.
func (w *worker) kill() {
	w.closing.Store(true)
	if w.process != nil {
		discard(w.process)
	}
}

// end drains the process of a worker until ctx ends, and stops it.
func (w *worker) end(ctx context.Context, log hclog.Logger) {
	w.closing.Store(true)
	w.gate.stop("the daemon is stopping")
	if w.process != nil {
		if err := w.process.Close(ctx); err != nil {
			log.Warn("plugin had to be stopped by force", "plugin", w.String(), "reason", err)
		}
	}
	w.is(stateStopped, "")
}

// status tells an operator how the worker is.
func (w *worker) status() core.PluginStatus {
	p, _ := w.gate.current()
	w.mu.Lock()
	defer w.mu.Unlock()
	s := core.PluginStatus{
		Name: fileName(w.file), Config: w.share.label, File: w.file, State: w.state, Reason: w.reason, Update: w.update,
		Restarts: max(w.starts-1, 0), InFlight: w.gate.load(), Requests: w.meter.requests.Load(), Errors: w.meter.errors.Load(),
	}
	s.Median, s.P99 = w.meter.latencies()
	if w.known != nil {
		s.Name, s.Version, s.Role = w.known.Name, w.known.Version, core.PluginRole(w.known.Role)
	}
	switch {
	case p != nil:
		s.PID, s.Since = p.PID(), w.since
		s.Memory, _ = p.Memory() // unknown elsewhere than on Linux
	case s.State == stateRunning: // nobody has noted yet that it is down
		s.State = stateRestarting
	}
	return s
}
