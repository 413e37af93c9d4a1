package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider/sdk/host"
)

// Start launches every plugin of the directory, all at once, and returns when each runs or has failed. A plugin that fails is a warning, and Run
// tries it again. What only the operator can mend is an error, with everything that is wrong: two plugins of one name, two offers of one service,
// a configuration that its plugin refuses or that belongs to no plugin. Nothing runs then.
func (h *Host) Start(ctx context.Context) error {
	h.reloading.Lock()
	defer h.reloading.Unlock()
	h.applied = snapshotOf(h.config.Dir) // before the look at it: what changes meanwhile is found by the next one
	files, others, err := scan(h.config.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		h.log.Warn("the plugin directory doesn't exist: there are no plugins", "dir", h.config.Dir)
	case err != nil:
		return err
	}
	listed, err := readSums(h.config.Dir)
	if err != nil {
		return err
	}
	binaries, others := openAll(files, listed, others)
	for _, s := range others {
		h.log.Warn("skip plugin file: it "+s.why, "file", s.file)
	}
	if err := wipeSockets(h.config.SocketDir); err != nil {
		return err
	}

	var workers []*worker
	var launches sync.WaitGroup
	for _, b := range binaries {
		w := newWorker(b, h.config)
		workers = append(workers, w)
		launches.Go(func() { h.meet(ctx, w) })
	}
	launches.Wait()
	err = ctx.Err()
	if err == nil {
		workers, err = h.arrange(ctx, workers, others)
	}
	if err != nil {
		killAll(workers)
		closeAll(binaries)
		return err
	}
	return nil
}

// openAll opens the files that may be run as plugins, and adds those that may not to others.
func openAll(files []string, listed sums, others []skipped) ([]*binary, []skipped) {
	var binaries []*binary
	for _, file := range files {
		b, err := openBinary(file, listed)
		if err != nil {
			others = append(others, skipped{file: file, why: err.Error(), plugin: true})
			continue
		}
		binaries = append(binaries, b)
	}
	return binaries, others
}

func closeAll(binaries []*binary) {
	for _, b := range binaries {
		b.close()
	}
}

// meet launches the plugin of a worker for the first time, to learn what it is.
func (h *Host) meet(ctx context.Context, w *worker) {
	p, d, err := h.open(ctx, w.binary, "")
	if err != nil {
		w.failed(0, err, h.log)
		return
	}
	w.process = p
	w.become(d, share{})
}

// open launches a plugin, within the limits of its name ("": it isn't known), and reads its description. Should that have another name, with other
// limits, it is launched once more.
func (h *Host) open(ctx context.Context, b *binary, name string) (process, *description, error) {
	p, d, err := h.openWithin(ctx, b, h.bounds.of(name))
	if err != nil || sameBounds(h.bounds.of(d.Name), h.bounds.of(name)) {
		return p, d, err
	}
	discard(p)
	p, again, err := h.openWithin(ctx, b, h.bounds.of(d.Name))
	if err != nil {
		return nil, nil, err
	}
	if again.Name != d.Name {
		discard(p)
		return nil, nil, fmt.Errorf("plugin file %s calls itself %q and then %q: a plugin must not change its name by itself", b.path, d.Name, again.Name)
	}
	return p, again, nil
}

func (h *Host) openWithin(ctx context.Context, b *binary, limits host.Limits) (process, *description, error) {
	ctx, cancel := context.WithTimeout(ctx, h.config.StartTimeout+time.Second) // launch keeps to its timeout itself; this is for when it doesn't
	defer cancel()
	p, err := h.launch(ctx, b, limits)
	if err != nil {
		return nil, nil, err
	}
	d, err := describe(p.Description())
	if err != nil {
		discard(p)
		return nil, nil, fmt.Errorf("plugin file %s: %w", b.path, err)
	}
	return p, d, nil
}

// arrange plans with what the workers have described, configures them, and lets requests through to them. It returns the workers of the plan.
func (h *Host) arrange(ctx context.Context, workers []*worker, others []skipped) ([]*worker, error) {
	offers, silent := offersOf(workers)
	silent = append(silent, mayBePlugins(others)...)
	p, err := makePlan(h.config, offers)
	missing := unclaimed(h.config, offers)
	if len(silent) == 0 {
		for _, name := range slices.Sorted(maps.Keys(missing)) {
			err = errors.Join(err, missing[name])
		}
	}
	if err != nil {
		return workers, err
	}
	for name, plugin := range p.absent {
		h.log.Warn(h.missing(name, plugin))
	}
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		h.log.Warn("no plugin has this name so far; it may be one that has not described itself, or may not run", "plugins", name)
	}
	for _, w := range workers[:len(workers):len(workers)] {
		if known, _ := w.identity(); known != nil {
			workers = append(workers, w.spread(known, p.shares[known.Name], h.config)...)
		}
	}

	problems := make([]error, len(workers))
	var starts sync.WaitGroup
	for i, w := range workers {
		starts.Go(func() { problems[i] = h.begin(ctx, w) })
	}
	starts.Wait()
	offers, _ = offersOf(workers) // some have more to offer now that they are configured
	if err := errors.Join(append(problems, serviceClashes(offers)...)...); err != nil {
		return workers, err
	}
	h.mu.Lock()
	h.workers, h.skipped = workers, others
	wake := h.publish(p.absent)
	h.mu.Unlock()
	callAll(wake)
	return workers, nil
}

// begin brings a worker that has its place in the plan into service. It returns an error for a written configuration that the plugin refuses;
// every other failure is left to Run.
func (h *Host) begin(ctx context.Context, w *worker) error {
	known, share := w.identity()
	if known == nil {
		return nil
	}
	err := h.first(ctx, w)
	var refusal *host.ConfigurationError
	if errors.As(err, &refusal) {
		if share.written {
			return fmt.Errorf("%s.config: %w", place(known.Name, share), refusal)
		}
		w.hopeless = true
		err = fmt.Errorf("it needs a configuration, %s.config: %w", place(known.Name, share), refusal)
	}
	if err != nil {
		w.failed(0, err, h.log)
	}
	return nil
}

// first serves with the process of a worker, and starts it where a sibling has the one that described itself.
func (h *Host) first(ctx context.Context, w *worker) error {
	if w.process == nil {
		known, _ := w.identity()
		p, d, err := h.open(ctx, w.binary, known.Name)
		if err != nil {
			return err
		}
		w.process = p
		if known.Name != d.Name || known.Role != d.Role {
			discard(p)
			return fmt.Errorf("it was the %s %q when it was started first, and then the %s %q: a plugin must not change its name or role by itself",
				known.Role, known.Name, d.Role, d.Name)
		}
	}
	return h.serve(ctx, w)
}

// place is where the configuration of a share stands in the daemon's.
func place(plugin string, s share) string {
	if s.label != "" {
		return "notifiers." + s.label
	}
	return "plugins." + plugin
}

// offersOf lists what the workers have described, and the files of those that haven't.
func offersOf(workers []*worker) (offers []offer, silent []string) {
	seen := make(map[*description]bool)
	for _, w := range workers {
		known, _ := w.identity()
		switch {
		case known == nil:
			silent = append(silent, w.file)
		case !seen[known]: // the workers of one plugin share one description
			seen[known] = true
			offers = append(offers, offer{file: w.file, description: known})
		}
	}
	return offers, silent
}

// mayBePlugins lists the skipped files that may be plugins.
func mayBePlugins(others []skipped) (files []string) {
	for _, s := range others {
		if s.plugin {
			files = append(files, s.file)
		}
	}
	return files
}

// publish swaps in a table of what the workers serve, and returns the wake calls of those who waited for it. The lock is held.
func (h *Host) publish(absent map[string]string) []func() {
	absent = maps.Clone(absent) // it may be that of a table, which is never changed
	for name, plugin := range h.removed {
		if _, claimed := absent[name]; !claimed {
			absent[name] = plugin
		}
	}
	h.table.Store(tableOf(h.workers, absent, mayBePlugins(h.skipped)))
	wake := h.waiting
	h.waiting = nil
	return wake
}

// MaxSocketDir is the longest path of [Config].SocketDir, in bytes.
const MaxSocketDir = host.MaxSocketDir

// wipeSockets makes the directory for sockets, ours alone, and removes sockets that a daemon left there which was killed.
func wipeSockets(dir string) error {
	if len(dir) > MaxSocketDir {
		return fmt.Errorf("the directory for plugin sockets, %s, has a name of %d bytes, and the system allows about %d: "+
			"choose a data_dir with a shorter path", dir, len(dir), MaxSocketDir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make directory for plugin sockets: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("keep others out of the directory for plugin sockets: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read directory for plugin sockets: %w", err)
	}
	for _, entry := range entries {
		if entry.Type()&fs.ModeSocket == 0 && !strings.HasPrefix(entry.Name(), "plugin") {
			continue // not of ours
		}
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			return fmt.Errorf("remove old plugin socket: %w", err)
		}
	}
	return nil
}

// discard ends a process that was never given work.
func discard(p process) {
	p.Kill()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = p.Close(ended) // it was killed: there is nothing left to fail
}
