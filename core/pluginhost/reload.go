package pluginhost

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/postrider/postrider/core"
)

// Reload takes over what has changed in the plugin directory since the last look, and says what became of it, by file. A new binary is started beside
// what runs, and takes requests once it has described and configured itself well; what it replaces finishes what is in flight. One that fails in any
// of that is refused, and leaves everything as it is. Run does the same by itself; this doesn't wait for a file to stop changing.
//
// The error is for a directory or a list of trusted plugins that can't be read: nothing has changed then.
func (h *Host) Reload(ctx context.Context) ([]core.PluginChange, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h.reloading.Lock()
	defer h.reloading.Unlock()
	h.mu.Lock()
	closed := h.closed
	h.endReload = cancel
	h.mu.Unlock()
	if closed {
		return nil, errors.New("the daemon is stopping")
	}
	return h.reload(ctx)
}

// reload is Reload. The lock for reloading is held.
func (h *Host) reload(ctx context.Context) ([]core.PluginChange, error) {
	seen := snapshotOf(h.config.Dir) // before the look at it: what changes meanwhile is found by the next one
	files, others, err := scan(h.config.Dir)
	if err != nil {
		return nil, err
	}
	listed, err := readSums(h.config.Dir)
	if err != nil {
		return nil, err
	}
	h.applied = seen

	r := &reload{Host: h, runs: h.binaries()}
	r.skip(others)
	var changed []string
	for _, file := range files {
		if r.isNew(file, seen, listed) {
			changed = append(changed, file)
		}
	}
	for _, file := range r.gone(files, others) {
		r.note(h.remove(file))
	}
	r.adoptAll(ctx, r.meetAll(ctx, changed, listed))
	if ctx.Err() != nil {
		h.applied = nil
		return r.changes, ctx.Err()
	}
	h.mu.Lock()
	h.skipped = r.skipped
	wake := h.publishNow()
	h.mu.Unlock()
	callAll(wake)
	slices.SortFunc(r.changes, func(a, b core.PluginChange) int { return cmp.Compare(a.File, b.File) })
	return r.changes, nil
}

// reload is one look at the plugin directory, under way.
type reload struct {
	*Host
	runs    map[string]*binary // by file
	skipped []skipped
	changes []core.PluginChange
}

// binaries lists what the workers run, by file.
func (h *Host) binaries() map[string]*binary {
	h.mu.Lock()
	defer h.mu.Unlock()
	runs := make(map[string]*binary)
	for _, w := range h.workers {
		runs[w.file] = w.binary
	}
	return runs
}

func (r *reload) note(c core.PluginChange) {
	r.tell(c)
	r.changes = append(r.changes, c)
}

// skip notes the files that may not run. Where one runs in an earlier version, that goes on, and says so.
func (r *reload) skip(others []skipped) {
	for _, s := range others {
		if r.runs[s.file] != nil {
			r.refuse(s.file, "", "it "+s.why)
			continue
		}
		r.skipped = append(r.skipped, s)
	}
}

// isNew reports whether a file is to be run that doesn't run so far. That of what runs which is no more trusted is no reason to end it: it was when it
// was started.
func (r *reload) isNew(file string, seen snapshot, listed sums) bool {
	b := r.runs[file]
	if b == nil || b.seen != seen[filepath.Base(file)] {
		return true
	}
	if err := b.verify(listed); err != nil {
		r.refuse(file, "", "it "+err.Error())
		return false
	}
	r.mark(file, "")
	return false
}

// gone lists the files that run and are not in the directory any more.
func (r *reload) gone(files []string, others []skipped) (gone []string) {
	for file := range r.runs {
		there := slices.Contains(files, file) || slices.ContainsFunc(others, func(s skipped) bool { return s.file == file })
		if _, err := os.Lstat(file); !there && errors.Is(err, fs.ErrNotExist) {
			gone = append(gone, file)
		}
	}
	slices.Sort(gone)
	return gone
}

// candidate is a file that is to run from now on, started for a first look.
type candidate struct {
	file string
	*worker
	err error // why it may not run, or doesn't describe itself
}

// meetAll launches the plugins of files, all at once.
func (r *reload) meetAll(ctx context.Context, files []string, listed sums) []*candidate {
	candidates := make([]*candidate, len(files))
	var launches sync.WaitGroup
	for i, file := range files {
		candidates[i] = &candidate{file: file}
		launches.Go(func() { r.meetOne(ctx, candidates[i], listed) })
	}
	launches.Wait()
	return candidates
}

func (r *reload) meetOne(ctx context.Context, c *candidate, listed sums) {
	b, err := openBinary(c.file, listed)
	if err != nil {
		c.err = fmt.Errorf("it %w", err)
		return
	}
	c.worker = newWorker(b, r.config)
	p, d, err := r.open(ctx, b, "")
	if err != nil {
		c.err = err
		return
	}
	c.process = p
	c.become(d, share{})
}

// adoptAll takes the candidates over, one after the other, and those that clash with others once more when one of them has made room.
func (r *reload) adoptAll(ctx context.Context, candidates []*candidate) {
	for progress := true; progress; {
		progress = false
		var clashing []*candidate
		for _, c := range candidates {
			err := r.adopt(ctx, c)
			if errors.As(err, new(*clashError)) {
				c.err = err
				clashing = append(clashing, c)
				continue
			}
			progress = progress || err == nil
			if err != nil {
				r.giveUp(ctx, c, err)
			}
		}
		candidates = clashing
	}
	for _, c := range candidates {
		r.giveUp(ctx, c, c.err)
	}
}

// clashError is why a plugin can't run beside the others.
type clashError struct{ error }

// adopt takes a candidate over: started, or in place of what ran from the file before.
func (r *reload) adopt(ctx context.Context, c *candidate) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if c.worker == nil || c.err != nil && !errors.As(c.err, new(*clashError)) {
		return c.err
	}
	known, _ := c.identity()
	p, err := r.planWith(c.file, known)
	if err != nil {
		return &clashError{err}
	}
	fresh := append([]*worker{c.worker}, c.spread(known, p.shares[known.Name], r.config)...)
	if err := r.beginAll(ctx, fresh); err != nil {
		killAll(fresh[1:])
		return err
	}
	change := core.PluginChange{File: c.file, Name: known.Name, Change: core.PluginStarted}
	if p, why := c.gate.current(); p == nil {
		change.Reason = why
	}
	if r.runs[c.file] != nil {
		change.Change = core.PluginReplaced
	}
	if err := r.install(c.file, fresh); err != nil {
		killAll(fresh[1:])
		return err
	}
	r.note(change)
	return nil
}

// planWith plans for what runs, with one file that describes itself so instead of what it runs now.
func (h *Host) planWith(file string, d *description) (plan, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	offers, _ := offersOf(h.workers)
	offers = slices.DeleteFunc(offers, func(o offer) bool { return o.file == file })
	return makePlan(h.config, append(offers, offer{file: file, description: d}))
}

// beginAll brings new workers into service, which nobody knows so far. Where another version runs, each must run as well; else what needs no more than
// time or a configuration is left to supervision, as at the start.
func (r *reload) beginAll(ctx context.Context, fresh []*worker) error {
	problems := make([]error, len(fresh))
	var starts sync.WaitGroup
	for i, w := range fresh {
		starts.Go(func() { problems[i] = r.begin(ctx, w) })
	}
	starts.Wait()
	if err := errors.Join(problems...); err != nil || !r.replaces(fresh[0].file) {
		return err
	}
	for _, w := range fresh {
		if p, why := w.gate.current(); p == nil {
			return errors.New(why)
		}
	}
	return nil
}

// replaces reports whether something runs from that file that has ever worked.
func (r *reload) replaces(file string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.workers, func(w *worker) bool {
		known, _ := w.identity()
		return w.file == file && known != nil
	})
}

// giveUp leaves a candidate out. A file that never ran and describes nothing is one to try again, as at the start.
func (r *reload) giveUp(ctx context.Context, c *candidate, err error) {
	if ctx.Err() != nil {
		c.discard()
		return
	}
	if errors.Is(err, syscall.ETXTBSY) { // who writes it isn't done: what it will be then may look the same
		r.applied = nil
	}
	name := ""
	if c.worker != nil {
		if known, _ := c.identity(); known != nil {
			name = known.Name
		} else if !r.replaces(c.file) {
			c.failed(0, err, r.log)
			if installed := r.install(c.file, []*worker{c.worker}); installed == nil {
				r.changes = append(r.changes, core.PluginChange{File: c.file, Change: core.PluginRefused, Reason: err.Error()})
				return
			}
		}
	}
	c.discard()
	if r.runs[c.file] == nil {
		r.skipped = append(r.skipped, skipped{file: c.file, why: "is not used: " + err.Error(), plugin: true})
	}
	r.refuse(c.file, name, err.Error())
}

// discard ends what was started of a candidate.
func (c *candidate) discard() {
	if c.worker != nil {
		c.kill()
		c.binary.close()
	}
}

// refuse notes that a file isn't used, also beside what runs in its place.
func (r *reload) refuse(file, name, why string) {
	if r.mark(file, why) {
		r.note(core.PluginChange{File: file, Name: name, Change: core.PluginRefused, Reason: why})
	}
}

// mark notes why a file isn't what runs, and reports whether that is new.
func (r *reload) mark(file, why string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	said := false
	for _, w := range r.workers {
		if w.file == file {
			w.mu.Lock()
			said = said || w.update == why
			w.update = why
			w.mu.Unlock()
		}
	}
	return !said
}
