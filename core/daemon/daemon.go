// Package daemon wires the parts of Postrider into one process: a configuration goes in, a daemon that runs until it is told to stop comes
// out.
//
// [New] opens what an operator can have got wrong: data directory, definitions, store, address. [Daemon.Run] starts the plugins, the engine and
// the API, and stops them in the order that loses nothing: no more requests, then no more work, then no more plugins, then the file.
package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/bolt"
	"github.com/postrider/postrider/core/config"
	"github.com/postrider/postrider/core/definition"
	"github.com/postrider/postrider/core/dispatch"
	"github.com/postrider/postrider/core/httpapi"
	"github.com/postrider/postrider/core/pluginhost"
	"github.com/postrider/postrider/core/rabbitmq"
)

// requestDrain bounds how long requests that are being answered may go on when the daemon stops.
const requestDrain = 5 * time.Second

// drainMargin is how much longer than its requests a plugin process may live that was replaced.
const drainMargin = 5 * time.Second

// Daemon is one Postrider. Make one with [New], then Run it once.
type Daemon struct {
	config   config.Config
	log      hclog.Logger
	webhooks catalog
	db       *bolt.DB
	queue    core.Queue      // db, or broker
	broker   *rabbitmq.Queue // nil: the queue is in db
	plugins  *pluginhost.Host
	engine   *dispatch.Engine
	server   *http.Server
	listener net.Listener

	removeSockets func()
	ready         chan struct{}
	consuming     atomic.Bool
	closing       sync.Once
	closed        error
}

// New opens everything that an operator can have got wrong, and starts nothing yet. Its errors say what to do. Close frees what it opened.
func New(c config.Config, log hclog.Logger) (_ *Daemon, err error) {
	d := &Daemon{config: c, log: log, ready: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	webhooks, err := definition.Load(c.Webhooks...)
	if err != nil {
		return nil, err
	}
	d.webhooks = webhooks
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	d.db, err = bolt.Open(bolt.Config{
		Path: filepath.Join(c.DataDir, DatabaseFile), Logger: log.Named("bolt"), DrainTimeout: c.Timeouts.Drain,
		Retention: c.Store.Retention, Reserve: c.Store.Reserve, MaxSize: c.Store.MaxSize,
	})
	if err != nil {
		return nil, err
	}
	d.queue = d.db
	if !c.Queue.IsEmbedded() {
		if d.broker, err = openBroker(c, d.db, log); err != nil {
			return nil, err
		}
		d.queue = d.broker
	}
	token, err := adminToken(c.DataDir)
	if err != nil {
		return nil, err
	}
	sockets, removeSockets, err := socketDir(c.DataDir)
	if err != nil {
		return nil, err
	}
	d.removeSockets = removeSockets
	if d.plugins, err = newPlugins(c, sockets, log); err != nil {
		return nil, err
	}
	d.engine = dispatch.New(dispatch.Config{
		Queue: d.queue, Log: d.db, Subscribers: d.db, Plugins: d.plugins, Webhooks: webhooks, Logger: log,
		Retry: c.Retry, Envelope: c.Envelope, LaneConcurrency: c.Lanes.Concurrency, MaxAge: c.Lanes.MaxAge,
		AttemptTimeout: c.Timeouts.Attempt, ResolveTimeout: c.Timeouts.Resolve,
	})
	handler := httpapi.New(httpapi.Config{
		Token: token, BodyLimit: c.Limits.Body, BacklogLimit: c.Limits.Backlog,
		Queue: d.queue, Subscribers: d.db, Log: d.db, DeadLetters: d.db, Replayer: d.engine,
		Catalog: d.webhooks, Plugins: d.plugins, Backups: d.db, Paused: d.engine.Paused, Unready: d.unready, Logger: log.Named("api"),
	})
	if d.listener, err = net.Listen("tcp", c.Listen); err != nil {
		return nil, fmt.Errorf("listen for the API: %w: another daemon may be running; `listen` in the configuration, or --listen, chooses "+
			"another address", err)
	}
	d.server = httpapi.NewServer(c.Listen, handler, log.Named("api"))
	return d, nil
}

func newPlugins(c config.Config, sockets string, log hclog.Logger) (*pluginhost.Host, error) {
	configured := pluginhost.Config{
		Dir: c.PluginDir, SocketDir: sockets, EgressAllow: c.Egress.Allow, Logger: log,
		DrainTimeout: max(c.Timeouts.Attempt, c.Timeouts.Resolve) + drainMargin, // by then, whoever asked has given up
		Plugins:      make(map[string]json.RawMessage), Limits: make(map[string]pluginhost.Limits), Notifiers: make(map[string]pluginhost.Notifier),
	}
	for name, p := range c.Plugins {
		limits := pluginhost.Limits{User: p.User, Memory: p.Memory, Files: p.Files}
		configured.Limits[name] = limits
		if p.Config != nil || limits == (pluginhost.Limits{}) {
			configured.Plugins[name] = p.Config
		}
		configured.Secrets = append(configured.Secrets, p.Filled...)
	}
	for name, n := range c.Notifiers {
		configured.Secrets = append(configured.Secrets, n.Filled...)
		configured.Notifiers[name] = pluginhost.Notifier{Plugin: n.Plugin, Config: n.Config}
	}
	return pluginhost.New(configured)
}

// Addr returns the address that the API listens on, host:port.
func (d *Daemon) Addr() string { return d.listener.Addr().String() }

// Ready is closed once the plugins are started and the API answers. A broker that can't be reached then is told by /readyz.
func (d *Daemon) Ready() <-chan struct{} { return d.ready }

// ReloadPlugins takes over what has changed in the plugin directory, and logs what became of it.
func (d *Daemon) ReloadPlugins(ctx context.Context) error {
	_, err := d.plugins.Reload(ctx)
	return err
}

// Run works until ctx ends, then stops without losing anything and closes the daemon. It returns an error when the daemon could not start, or
// cannot go on: its queue failed, or its API.
func (d *Daemon) Run(ctx context.Context) error {
	err := d.run(ctx)
	return errors.Join(err, d.Close())
}

func (d *Daemon) run(ctx context.Context) error {
	if err := d.plugins.Start(ctx); err != nil {
		return err
	}
	for _, w := range httpapi.WebhookStates(d.webhooks.Webhooks(), d.plugins.Services()) {
		if w.State != httpapi.WebhookOK {
			d.log.Warn("events of this webhook wait: no resolver that runs offers its service", "webhook", w.Name,
				"service", w.Service.Class+"::"+w.Service.Method, "source", w.Source, "state", w.State)
		}
	}

	supervising, unsupervise := context.WithCancel(context.WithoutCancel(ctx))
	working, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer unsupervise()
	defer stopWork()
	supervised, worked, served := make(chan error, 1), make(chan error, 1), make(chan error, 1)
	go func() { supervised <- d.plugins.Run(supervising) }()
	go func() {
		d.consuming.Store(true)
		err := d.engine.Run(working)
		d.consuming.Store(false)
		worked <- err
	}()
	go func() { served <- d.server.Serve(d.listener) }()
	if err := writeAddress(d.config.DataDir, d.Addr()); err != nil {
		d.log.Warn("commands on this machine will need --url", "error", err)
	}
	d.log.Info("started", "address", d.Addr(), "webhooks", len(d.webhooks), "data_dir", d.config.DataDir, "queue", d.config.Queue.String())
	close(d.ready)

	var failures []error
	select {
	case <-ctx.Done():
		d.log.Info("stopping: finishing what is under way")
	case err := <-d.db.Failed():
		failures = append(failures, err)
	case err := <-served:
		failures = append(failures, fmt.Errorf("serve the API: %w", err))
	case err := <-worked:
		worked <- err
		failures = append(failures, errors.New("the queue ended"))
	}

	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestDrain)
	defer cancel()
	if err := d.server.Shutdown(drain); err != nil {
		d.log.Warn("requests were cut off", "error", err)
	}
	stopWork()
	failures = append(failures, <-worked)
	unsupervise()
	failures = append(failures, <-supervised)
	return errors.Join(failures...)
}

// unready says why the daemon can't do its work now. A plugin that is down is none of its reasons: what it is needed for waits, and everything
// else goes on.
func (d *Daemon) unready() []string {
	if !d.consuming.Load() {
		return []string{"the queue is not being consumed"}
	}
	if d.broker != nil {
		return d.broker.Unready()
	}
	return nil
}

// Close frees everything that New opened. Closing twice is fine.
func (d *Daemon) Close() error {
	d.closing.Do(func() {
		var errs []error
		if d.listener != nil {
			if err := d.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
			removeAddress(d.config.DataDir)
		}
		if d.plugins != nil {
			stopping, cancel := context.WithTimeout(context.Background(), d.config.Timeouts.Drain)
			defer cancel()
			errs = append(errs, d.plugins.Close(stopping))
		}
		if d.removeSockets != nil {
			d.removeSockets()
		}
		if d.broker != nil {
			errs = append(errs, d.broker.Close())
		}
		if d.db != nil {
			errs = append(errs, d.db.Close())
		}
		d.closed = errors.Join(errs...)
	})
	return d.closed
}
