package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/bench"
	"github.com/postrider/postrider/cmd/postrider/internal/client"
	"github.com/postrider/postrider/cmd/postrider/internal/sandbox"
	"github.com/postrider/postrider/core/httpapi"
)

const benchEvent = "bench.event.published"

func (a *app) bench() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure deliveries against a raw POST loop",
		Long: `Measure, in one run on this machine: a raw net/http POST loop against a receiver; events published over HTTP to a daemon and
delivered to that same receiver; and their latency at a steady rate. The ratio is deliveries per second over raw POSTs per second.

The daemon is one of its own, a real process with temporary data, unless --url names a running one. That one needs a
webhook without a service (--event), no other subscriber of it, and 127.0.0.1 among its egress.allow.`,
		Example: `  postrider bench
  postrider bench --events 200000 --batch 100 --json
  postrider bench --dir /mnt/data          measure the disk that counts`,
		Args: takes(),
	}
	asJSON := jsonFlag(c)
	var config bench.Config
	c.Flags().IntVar(&config.Events, "events", 40_000, "events of the load phase")
	c.Flags().IntVar(&config.Publishers, "publishers", 64, "publishers at a time")
	c.Flags().IntVar(&config.Size, "size", 1024, "`bytes` of one payload")
	c.Flags().IntVar(&config.Batch, "batch", 1, "events in one publish")
	c.Flags().IntVar(&config.Rate, "rate", 200, "events per second of the steady phase; 0 leaves it out")
	c.Flags().DurationVar(&config.Duration, "duration", 10*time.Second, "how long the steady phase lasts")
	address := c.Flags().String("url", "", "measure the running daemon at this `URL` instead of one of its own")
	token := c.Flags().String("token", "", "its API `token` (or POSTRIDER_TOKEN; default: the local data directory's)")
	event := c.Flags().String("event", benchEvent, "the webhook to publish on the daemon of --url, by `name`")
	parent := c.Flags().String("dir", "", "put the temporary data into this `directory` (default: the system's)")
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		if err := checkBench(config); err != nil {
			return err
		}
		ctx := c.Context()
		r, err := bench.NewReceiver()
		if err != nil {
			return err
		}
		defer r.Close()

		var daemon *client.Client
		config.Event = *event
		if *address != "" {
			daemon, err = a.connect(&connection{url: *address, token: *token})
		} else {
			config.Event = benchEvent
			var own *sandbox.Daemon
			if own, err = a.benchDaemon(ctx, *parent); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, own.Stop()) }()
			config.PID = own.PID()
			daemon, err = client.New(client.Config{URL: own.URL(), Token: own.Token()})
		}
		if err != nil {
			return err
		}
		config.URL, config.Token = daemon.URL(), daemon.Token()
		unsubscribe, err := subscribe(ctx, daemon, config.Event, r.URL())
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, unsubscribe()) }()

		progress := &progressLine{app: a}
		config.Progress = progress.show
		result, err := bench.Run(ctx, config, r)
		progress.end()
		if err != nil {
			return err
		}
		if *asJSON {
			err = a.printJSON(result)
		} else {
			a.printBench(result)
		}
		if err == nil && result.Lost > 0 {
			err = fmt.Errorf("%s lost: accepted, and not delivered", plural(result.Lost, "event was", "events were"))
		}
		return err
	}
	return c
}

func checkBench(c bench.Config) error {
	switch {
	case c.Events < 1 || c.Publishers < 1 || c.Batch < 1:
		return usagef("--events, --publishers and --batch are at least 1")
	case c.Events > 10_000_000:
		return usagef("--events %d: at most 10,000,000, because each one is remembered", c.Events)
	case c.Size < bench.MinSize:
		return usagef("--size %d: a payload of at least %d bytes holds its number", c.Size, bench.MinSize)
	case c.Rate < 0 || c.Rate > 100_000 || c.Duration < 0:
		return usagef("--rate is 0 to 100,000, and --duration not negative")
	}
	return nil
}

// benchDaemon starts a daemon with the one plugin that the measurement is about.
func (a *app) benchDaemon(ctx context.Context, parent string) (*sandbox.Daemon, error) {
	notifier := filepath.Join(filepath.Dir(a.executable), "plugins", "notifier-http")
	d, err := sandbox.Start(ctx, sandbox.Config{
		Executable: a.executable, Parent: parent, Listen: "127.0.0.1:0", LogLevel: "warn",
		Webhooks: "webhooks:\n  " + benchEvent + ": {}\n",
		Plugins:  []string{notifier},
	})
	if err != nil {
		return nil, fmt.Errorf("start a daemon to measure: %w", err)
	}
	return d, nil
}

// subscribe makes the receiver the subscriber of the event, until the returned function is called.
func subscribe(ctx context.Context, daemon *client.Client, event, recipient string) (unsubscribe func() error, err error) {
	var s httpapi.Subscriber
	fields := httpapi.SubscriberFields{Event: &event, URL: &recipient}
	if err := daemon.Call(ctx, client.Request{Method: http.MethodPost, Path: []string{"v1", "subscribers"}, Body: fields}, &s); err != nil {
		return nil, fmt.Errorf("subscribe the receiver: %w", err)
	}
	return func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return daemon.Call(ctx, client.Request{Method: http.MethodDelete, Path: subscriberPath(s.ID)}, nil)
	}, nil
}

// progressLine shows how far a measurement is: on a terminal in one line that is rewritten, else in one line per phase.
type progressLine struct {
	app   *app
	phase string
}

func (l *progressLine) show(p bench.Progress) {
	if !l.app.progress {
		if p.Phase != l.phase {
			fmt.Fprintf(l.app.stderr, "%s: %s\n", p.Phase, count(p.Total, "event"))
		}
		l.phase = p.Phase
		return
	}
	l.phase = p.Phase
	const width = 24
	done := min(width, p.Delivered*width/max(1, p.Total))
	fmt.Fprintf(l.app.stderr, "\r\x1b[K%-11s %s%s  %s of %s", p.Phase, strings.Repeat("━", done), strings.Repeat("─", width-done),
		thousands(p.Delivered), thousands(p.Total))
}

// end leaves no progress behind on a terminal.
func (l *progressLine) end() {
	if l.app.progress && l.phase != "" {
		fmt.Fprint(l.app.stderr, "\r\x1b[K")
	}
}

func (a *app) printBench(r bench.Result) {
	how := "one by one"
	if r.Batch > 1 {
		how = "in batches of " + thousands(r.Batch)
	}
	a.sayf("%s of %s each, published %s by %s, to one subscriber; %s\n", count(r.Load.Events, "event"), size(int64(r.Size)), how,
		count(r.Publishers, "publisher"), count(r.CPUs, "CPU"))
	row := func(name, value, note string) {
		if note != "" {
			note = "   " + a.dim(note)
		}
		a.sayf("%-14s %12s%s", name, value, note)
	}
	perSecond := func(f float64) string { return thousands(int(f+0.5)) + "/s" }
	row("raw POST", perSecond(r.Raw.PerSecond), "net/http to the same receiver, as many at a time")
	row("published", perSecond(r.Load.PublishedPerSecond), "each on disk before its 202")
	row("delivered", perSecond(r.Load.DeliveredPerSecond), fmt.Sprintf("from the first publish to the last receipt: %.1f s", r.Load.Seconds))
	a.sayf("%-14s %s   %s", "ratio", a.bold(fmt.Sprintf("%12.2f", r.Ratio)), a.dim("deliveries per raw POST"))
	a.sayf("")
	t := table{header: []string{"LATENCY", "P50", "P90", "P99", "MAX", ""}}
	latency := func(name string, l bench.Latency, note string) {
		t.add(name, milliseconds(l.P50), milliseconds(l.P90), milliseconds(l.P99), milliseconds(l.Max), note)
	}
	latency("raw POST", r.Raw.Latency, "there and back")
	latency("under load", r.Load.Latency, "publish to receipt")
	if r.Steady != nil {
		latency(fmt.Sprintf("at %d/s", r.Steady.Rate), r.Steady.Latency, "publish, counted from when it was meant to begin, to receipt")
	}
	a.print(t)
	a.sayf("")
	if u := r.Usage; u != nil {
		row("CPU per event", fmt.Sprintf("%.3f ms", u.DaemonCPU+u.PluginsCPU),
			fmt.Sprintf("daemon %.3f, plugin %.3f", u.DaemonCPU, u.PluginsCPU))
		row("memory", size(u.Daemon.Anonymous+u.Plugins.Anonymous), fmt.Sprintf("daemon %s, plugin %s; with mapped files %s",
			size(u.Daemon.Anonymous), size(u.Plugins.Anonymous), size(u.Daemon.Resident+u.Plugins.Resident)))
	}
	row("lost", thousands(r.Lost), "")
	row("duplicated", thousands(r.Duplicated), "")
}
