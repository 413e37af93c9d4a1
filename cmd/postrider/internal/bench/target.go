package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
	"github.com/postrider/postrider/cmd/postrider/internal/sandbox"
	"github.com/postrider/postrider/core/daemon"
	"github.com/postrider/postrider/core/httpapi"
)

// need is what a scenario wants of a daemon.
type need struct {
	webhooks int      // without a service
	resolved bool     // one more, behind those: its service is offered by a resolver, which returns the arguments
	plugins  []string // beside the HTTP notifier: their files, below the executable's directory
}

// target is the daemon that is measured.
type target struct {
	webhooks []string
	events   destination     // where they are published
	pid      int             // 0: not on this machine, or not to be told
	broker   *broker         // of our own daemon's queue; nil: that is the embedded one
	own      *sandbox.Daemon // nil: it was running before, and goes on
	api      *client.Client
	made     []int64 // subscribers, to be deleted from a daemon that goes on
}

// notifierFile is the plugin that every daemon of bench has.
const notifierFile = "plugins/notifier-http"

func newTarget(ctx context.Context, s Settings, n need) (*target, error) {
	if s.URL != "" {
		return runningTarget(ctx, s, n)
	}
	d := &target{broker: newBroker(s.Queue)}
	var definitions strings.Builder
	definitions.WriteString("webhooks:\n")
	for i := range n.webhooks {
		d.webhooks = append(d.webhooks, fmt.Sprintf("bench.event.n%d", i+1))
		fmt.Fprintf(&definitions, "  %s: {}\n", d.webhooks[i])
	}
	dir := filepath.Dir(s.Executable)
	plugins := []string{filepath.Join(dir, notifierFile)}
	for _, file := range n.plugins {
		plugins = append(plugins, filepath.Join(dir, file))
	}
	if n.resolved {
		d.webhooks = append(d.webhooks, "bench.event.resolved")
		fmt.Fprintf(&definitions, "  bench.event.resolved: {service: {class: %s, method: %s}}\n", echoClass, echoMethod)
		file, remove, err := resolverFile(s)
		if err != nil {
			return nil, err
		}
		defer remove()
		plugins = append(plugins, file)
	}
	for _, file := range plugins {
		if _, err := os.Stat(file); err != nil {
			return nil, fmt.Errorf("the plugin %s is not there: `make build` puts it beside the executable", file)
		}
	}
	var err error
	d.own, err = sandbox.Start(ctx, sandbox.Config{
		Executable: s.Executable, Parent: s.Dir, Listen: "127.0.0.1:0", LogLevel: "error", Webhooks: definitions.String(), Plugins: plugins,
		Queue: d.broker.settings(),
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start a daemon to measure: %w", err), d.broker.remove())
	}
	if err := d.attach(); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// attach finds the way to a daemon of our own, which is another one after each start.
func (d *target) attach() (err error) {
	d.pid = d.own.PID()
	d.events = eventsAt(d.own.URL(), d.own.Token())
	if d.broker != nil {
		d.events = destination{Broker: *d.broker}
	}
	d.api, err = client.New(client.Config{URL: d.own.URL(), Token: d.own.Token()})
	return err
}

func runningTarget(ctx context.Context, s Settings, n need) (*target, error) {
	if len(s.Webhooks) < n.webhooks {
		return nil, fmt.Errorf("%d webhooks without a service are needed, and %d named: --event a.b,c.d,… names those of the running daemon",
			n.webhooks, len(s.Webhooks))
	}
	api, err := client.New(client.Config{URL: s.URL, Token: s.Token})
	if err != nil {
		return nil, err
	}
	d := &target{webhooks: s.Webhooks[:n.webhooks], events: eventsAt(s.URL, s.Token), api: api}
	d.pid, err = d.findProcess(ctx)
	return d, err
}

// eventsAt is where a daemon takes events over HTTP.
func eventsAt(url, token string) destination {
	return destination{URL: url + "/v1/events", Token: token, Accepted: http.StatusAccepted}
}

// findProcess returns the process of a daemon on this machine: it is the parent of its plugins.
func (d *target) findProcess(ctx context.Context) (int, error) {
	var plugins httpapi.Page[httpapi.Plugin]
	if err := d.api.Call(ctx, client.Request{Method: http.MethodGet, Path: []string{"v1", "plugins"}}, &plugins); err != nil {
		return 0, err
	}
	address, err := url.Parse(d.api.URL())
	if err != nil || !isLoopback(address.Hostname()) {
		return 0, err
	}
	for _, p := range plugins.Items {
		if p.PID != 0 {
			return parentOf(p.PID), nil
		}
	}
	return 0, nil
}

func isLoopback(host string) bool { return host == "localhost" || net.ParseIP(host).IsLoopback() }

// close undoes what was done to the daemon: its subscribers are deleted, or it ends, if it is our own.
func (d *target) close() error {
	if d.own != nil {
		return errors.Join(d.own.Stop(), d.broker.remove())
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var errs []error
	for _, id := range d.made {
		r := client.Request{Method: http.MethodDelete, Path: []string{"v1", "subscribers", strconv.FormatInt(id, 10)}}
		errs = append(errs, d.api.Call(ctx, r, nil))
	}
	return errors.Join(errs...)
}

// subscription makes an endpoint the subscriber of a webhook.
type subscription struct {
	webhook  string
	endpoint *endpoint
	retry    string // its schedule, in JSON; "": the daemon's
}

// subscribers at a time: their creations share what they have to wait for.
const subscribers = 64

// subscribe makes subscribers.
func (d *target) subscribe(ctx context.Context, all ...subscription) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	var makers sync.WaitGroup
	work := make(chan subscription)
	for range min(subscribers, len(all)) {
		makers.Go(func() {
			for s := range work {
				id, err := d.create(ctx, s)
				if err != nil {
					cancel(fmt.Errorf("subscribe the receiver to %s: %w", s.webhook, err))
					continue
				}
				mu.Lock()
				d.made = append(d.made, id)
				mu.Unlock()
			}
		})
	}
	for _, s := range all {
		if ctx.Err() != nil {
			break
		}
		work <- s
	}
	close(work)
	makers.Wait()
	return context.Cause(ctx)
}

func (d *target) create(ctx context.Context, s subscription) (int64, error) {
	var created httpapi.Subscriber
	fields := httpapi.SubscriberFields{Event: &s.webhook, URL: &s.endpoint.url}
	if s.retry != "" {
		fields.Retry = json.RawMessage(s.retry)
	}
	err := d.api.Call(ctx, client.Request{Method: http.MethodPost, Path: []string{"v1", "subscribers"}, Body: fields}, &created)
	return created.ID, err
}

// databaseSize returns what the file of our own daemon takes of the disk, in bytes; 0 where there is none.
func (d *target) databaseSize() int64 {
	if d.own == nil {
		return 0
	}
	info, err := os.Stat(d.databaseFile())
	if err != nil {
		return 0
	}
	return onDisk(info)
}

func (d *target) databaseFile() string { return filepath.Join(d.own.DataDir(), daemon.DatabaseFile) }

// restart ends our own daemon and starts it again on the same data. It returns when the new process was started, once that takes events.
func (d *target) restart(ctx context.Context) (began int64, err error) {
	if err := d.own.End(); err != nil {
		return began, err
	}
	began = now()
	if err := d.own.Restart(ctx); err != nil {
		return began, err
	}
	return began, d.attach()
}
