package pluginhost

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/host"
)

// Config is what a [Host] must know. Zero durations stand for the defaults.
type Config struct {
	Dir         string                     // the plugin directory
	SocketDir   string                     // for the plugins' sockets: made with mode 0700, wiped at start
	Plugins     map[string]json.RawMessage // configurations, by the plugins' described names
	Limits      map[string]Limits          // of the plugins' processes, by the same names
	Secrets     []string                   // that stand in configurations: what plugins say is shown and logged without them
	Notifiers   map[string]Notifier        // what a subscriber's metadata may name, besides the notifiers' own names
	EgressAllow []string                   // what plugins may reach in the operator's own network
	Logger      hclog.Logger

	StartTimeout     time.Duration // for a plugin to start and describe itself: 10 s
	ConfigureTimeout time.Duration // for a plugin to take its configuration: 10 s
	HealthInterval   time.Duration // between two health checks: 5 s
	HealthTimeout    time.Duration // for the answer to one; two unanswered ones in a row are the end of the process: 5 s
	RestartDelay     time.Duration // the longest between a crash and the restart; the first is 100 ms, and each doubles: 30 s
	WatchInterval    time.Duration // between two looks at the plugin directory; what has changed must be the same in two of them: 1 s
	DrainTimeout     time.Duration // for a process that was replaced to finish what is in flight: 1 min
}

// Notifier is a name that subscribers may give, for a plugin with a configuration.
type Notifier struct {
	Plugin string          // described name of the notifier plugin
	Config json.RawMessage // nil: the plugin's own, and its process
}

// Host runs the plugins of one directory. Its methods may be called from many goroutines at once: first Start, then Run beside everything else,
// then Close.
type Host struct {
	config Config
	egress *sdk.Egress
	log    hclog.Logger
	launch launcher
	bounds bounds
	hide   func(string) string // replaces secrets

	table atomic.Pointer[table]

	reloading sync.Mutex // held by Start and by one Reload at a time; taken before mu
	applied   snapshot   // of the plugin directory at the last of them

	mu        sync.Mutex // held to change what follows and the table
	workers   []*worker
	skipped   []skipped
	removed   map[string]string // notifier names whose plugin was taken away since the start, and that plugin
	waiting   []func()          // who waits for the table to change
	closed    bool
	attendTo  func(*worker) // does nothing while Run doesn't run
	endRun    context.CancelFunc
	endReload context.CancelFunc

	watchers sync.WaitGroup // one per supervised worker, and that of the directory
	drains   sync.WaitGroup // of processes that were replaced
	cut      chan struct{}  // closed when they may take no longer
}

// New prepares a Host; Start launches the plugins.
func New(c Config) (*Host, error) {
	egress, err := sdk.NewEgress(c.EgressAllow)
	if err != nil {
		return nil, fmt.Errorf("egress.allow: %w", err)
	}
	bounds, err := newBounds(c.Limits)
	if err != nil {
		return nil, err
	}
	c.StartTimeout = cmp.Or(c.StartTimeout, 10*time.Second)
	c.ConfigureTimeout = cmp.Or(c.ConfigureTimeout, 10*time.Second)
	c.HealthInterval = cmp.Or(c.HealthInterval, 5*time.Second)
	c.HealthTimeout = cmp.Or(c.HealthTimeout, 5*time.Second)
	c.RestartDelay = cmp.Or(c.RestartDelay, 30*time.Second)
	c.WatchInterval = cmp.Or(c.WatchInterval, time.Second)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, time.Minute)
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	h := &Host{
		config: c, egress: egress, log: c.Logger.Named("plugins"), removed: make(map[string]string), cut: make(chan struct{}),
		attendTo: func(*worker) {}, bounds: bounds, hide: newHide(c.Secrets),
	}
	h.launch = h.launchFile
	h.table.Store(tableOf(nil, nil, nil))
	return h, nil
}

func (h *Host) launchFile(ctx context.Context, b *binary, limits host.Limits) (process, error) {
	p, err := host.Launch(ctx, host.Config{
		Path: b.path, Executable: b.file, Limits: limits, Hide: h.hide,
		SocketDir: h.config.SocketDir, Env: Environment(), Logger: h.log, StartTimeout: h.config.StartTimeout,
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// inherited is all that a plugin gets of the daemon's environment, which may hold passwords: where to find programs, temporary space, the time
// zone and root certificates. No proxies: what a plugin may reach is checked where it dials.
var inherited = []string{"PATH", "HOME", "TMPDIR", "TZ", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR"}

// Environment is what a plugin gets of this process's environment.
func Environment() []string {
	var env []string
	for _, name := range inherited {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// Run supervises the plugins until ctx ends: restarts those that crash, ends those that are stuck, and reloads when the plugin directory changes.
// Afterwards they go on serving, but none is restarted any more, until Close, which ends Run as well.
func (h *Host) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.endRun = cancel
	h.attendTo = func(w *worker) { h.attend(ctx, w) }
	for _, w := range h.workers {
		h.attend(ctx, w)
	}
	h.watchers.Go(func() { h.watchDirectory(ctx) })
	h.mu.Unlock()
	<-ctx.Done()
	h.mu.Lock()
	h.attendTo = func(*worker) {}
	h.mu.Unlock()
	h.watchers.Wait()
	return nil
}

// Close ends all plugins: it takes no more requests (they are held), waits for those in flight until ctx ends, then stops the processes,
// if need be by force. Closing twice is fine.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	twice := h.closed
	h.closed, h.attendTo = true, func(*worker) {}
	if h.endRun != nil {
		h.endRun()
	}
	if h.endReload != nil {
		h.endReload()
	}
	h.mu.Unlock()
	h.watchers.Wait()
	h.reloading.Lock() // from here on there are no new workers, and nobody else touches their processes
	defer h.reloading.Unlock()

	h.mu.Lock()
	workers := slices.Clone(h.workers)
	h.mu.Unlock()
	if !twice {
		stop := context.AfterFunc(ctx, func() { close(h.cut) })
		defer stop()
	}
	var closers sync.WaitGroup
	for _, w := range workers {
		for _, w := range append(w.quarantine.wards(), w) {
			closers.Go(func() { w.end(ctx, h.log) })
		}
	}
	closers.Wait()
	h.drains.Wait()
	for _, w := range workers {
		w.binary.close()
	}
	return nil
}

// Services lists what the resolvers offer, sorted.
func (h *Host) Services() []core.OfferedService { return h.table.Load().offered() }

// Plugins tells an operator how every plugin process is, those of quarantines while there are any, and which notifiers and files of the plugin
// directory are none, and why.
func (h *Host) Plugins() []core.PluginStatus {
	h.mu.Lock()
	workers, others := slices.Clone(h.workers), h.skipped
	h.mu.Unlock()
	var list []core.PluginStatus
	for _, w := range workers {
		list = append(list, w.status())
		for _, ward := range w.quarantine.wards() {
			if s := ward.status(); s.State != stateStopped {
				list = append(list, s)
			}
		}
	}
	for name, plugin := range h.table.Load().absent {
		list = append(list, core.PluginStatus{
			Name: plugin, Config: name, Role: core.RoleNotifier, State: stateBroken, Reason: h.missing(name, plugin),
		})
	}
	for _, s := range others {
		list = append(list, core.PluginStatus{Name: fileName(s.file), File: s.file, State: stateSkipped, Reason: "it " + s.why})
	}
	slices.SortFunc(list, func(a, b core.PluginStatus) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Config, b.Config), cmp.Compare(a.File, b.File))
	})
	return list
}

func (h *Host) missing(name, plugin string) string {
	return fmt.Sprintf("notifier %q needs a plugin called %q, and none in %s calls itself that: put it there",
		name, plugin, h.config.Dir)
}
