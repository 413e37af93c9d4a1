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
	files, others, err := scan(h.config.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		h.log.Warn("the plugin directory doesn't exist: there are no plugins", "dir", h.config.Dir)
	case err != nil:
		return err
	}
	for _, s := range others {
		h.log.Warn("skip plugin file: it "+s.why, "file", s.file)
	}
	if err := wipeSockets(h.config.SocketDir); err != nil {
		return err
	}

	workers := make([]*worker, len(files))
	var launches sync.WaitGroup
	for i, file := range files {
		workers[i] = newWorker(file, h.config)
		launches.Go(func() { h.meet(ctx, workers[i]) })
	}
	launches.Wait()
	err = ctx.Err()
	if err == nil {
		workers, err = h.arrange(ctx, workers)
	}
	if err != nil {
		for _, w := range workers {
			w.kill()
		}
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.skipped = others
	return nil
}

// meet launches the plugin of a worker for the first time, to learn what it is.
func (h *Host) meet(ctx context.Context, w *worker) {
	p, d, err := h.open(ctx, w.file)
	if err != nil {
		w.failed(0, err, h.log)
		return
	}
	w.process = p
	w.become(d, share{})
}

// open launches the plugin in file and reads its description.
func (h *Host) open(ctx context.Context, file string) (process, *description, error) {
	ctx, cancel := context.WithTimeout(ctx, h.config.StartTimeout+time.Second) // launch keeps to its timeout itself; this is for when it doesn't
	defer cancel()
	p, err := h.launch(ctx, file)
	if err != nil {
		return nil, nil, err
	}
	d, err := describe(p.Description())
	if err != nil {
		discard(p)
		return nil, nil, fmt.Errorf("plugin file %s: %w", file, err)
	}
	return p, d, nil
}

// arrange plans with what the workers have described, configures them, and lets requests through to them. It returns the workers of the plan.
func (h *Host) arrange(ctx context.Context, workers []*worker) ([]*worker, error) {
	offers, silent := offersOf(workers)
	p, err := makePlan(h.config, offers, silent)
	if err != nil {
		return workers, err
	}
	for name, plugin := range p.absent {
		h.log.Warn(h.missing(name, plugin))
	}
	if len(silent) > 0 {
		for _, name := range unclaimed(h.config, p) {
			h.log.Warn("no plugin has this name so far; it may be one that has not described itself", "plugins", name)
		}
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
	h.workers = workers
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
	start := h.serve
	if w.process == nil { // its sibling has the process that described itself
		start = h.restart
	}
	err := start(ctx, w)
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

// unclaimed lists the configured names that no plugin has, sorted.
func unclaimed(c Config, p plan) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(c.Plugins)) {
		if p.shares[name] == nil {
			names = append(names, name)
		}
	}
	return names
}

// publish swaps in a table of what the workers serve, and returns the wake calls of those who waited for it. The lock is held.
func (h *Host) publish(absent map[string]string) []func() {
	h.table.Store(tableOf(h.workers, absent))
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
