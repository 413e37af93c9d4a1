package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
	"github.com/postrider/postrider/cmd/postrider/internal/receiver"
	"github.com/postrider/postrider/cmd/postrider/internal/sandbox"
	"github.com/postrider/postrider/core/httpapi"
)

// What the demo shows is the example of the README: an order is created, and its receiver gets it whole.
const (
	demoEvent     = "sales.order.created"
	demoArguments = `{"id":1}`
	demoWebhooks  = `webhooks:
  sales.order.created:
    service: {class: 'Magento\Sales\Api\OrderRepositoryInterface', method: get}
`
	demoListen  = "127.0.0.1:8075"
	demoTimeout = 20 * time.Second // for the one delivery
)

func (a *app) demo() *cobra.Command {
	c := &cobra.Command{
		Use:   "demo",
		Short: "See an order become a webhook",
		Long: `See an order become a webhook: a daemon of its own with temporary data, a receiver, one subscriber, one published order, its
delivery. Then the daemon stays, to be tried out from another terminal, until Ctrl-C. Nothing of it is left behind.`,
		Example: `  postrider demo
  postrider demo --once`,
		Args: takes(),
	}
	asJSON := jsonFlag(c)
	listen := c.Flags().String("listen", "", "the daemon's `host:port` (default "+demoListen+", or any free port where that is taken)")
	once := c.Flags().Bool("once", false, "end after the delivery")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *listen == "" {
			*listen = demoAddress()
		}
		d := &demo{app: a, json: *asJSON, listen: *listen, received: make(chan receiver.Received, 1)}
		return d.run(c.Context(), *once)
	}
	return c
}

// demoAddress returns the daemon's usual address, or any, where another program has that.
func demoAddress() string {
	l, err := net.Listen("tcp", demoListen)
	if err != nil {
		return "127.0.0.1:0"
	}
	l.Close()
	return demoListen
}

// demo is one run of the command.
type demo struct {
	app      *app
	json     bool
	listen   string
	received chan receiver.Received // the first delivery, and no other
	taken    atomic.Bool            // it is in received, or was
	daemon   *sandbox.Daemon
	client   *client.Client
}

// demoResult is what --json prints.
type demoResult struct {
	URL        string                      `json:"url"`
	DataDir    string                      `json:"data_dir"`
	TokenFile  string                      `json:"token_file"`
	Receiver   string                      `json:"receiver"`
	Subscriber httpapi.ReferenceSubscriber `json:"subscriber"`
	Event      httpapi.Published           `json:"event"`
	DeliveryID string                      `json:"delivery_id"`
	Body       json.RawMessage             `json:"body"`
	Millis     float64                     `json:"milliseconds"` // from the publish to the receipt
}

func (d *demo) run(ctx context.Context, once bool) (err error) {
	plugins, err := demoPlugins(filepath.Dir(d.app.executable))
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("start the receiver: %w", err)
	}
	receiverCtx, stopReceiver := context.WithCancel(context.WithoutCancel(ctx)) // it outlives the daemon, which drains into it
	defer stopReceiver()
	go func() { _ = serveUntil(receiverCtx, listener, receiver.New(receiver.Config{Show: d.take})) }()

	d.daemon, err = sandbox.Start(ctx, sandbox.Config{
		Executable: d.app.executable, Listen: d.listen, Webhooks: demoWebhooks, Plugins: plugins, LogLevel: "warn", Log: d.app.stderr,
	})
	if err != nil {
		return fmt.Errorf("start the daemon: %w", err)
	}
	defer func() { err = errors.Join(err, d.daemon.Stop()) }()
	if d.client, err = client.New(client.Config{URL: d.daemon.URL(), Token: d.daemon.Token()}); err != nil {
		return err
	}
	d.sayf("%s\n", d.app.bold("An order becomes a webhook"))
	d.step("daemon", "%s, with %s in %s", d.daemon.URL(), count(len(plugins), "plugin"), filepath.Join(d.daemon.Dir(), "plugins"))

	result, err := d.deliver(ctx, "http://"+listener.Addr().String()+"/orders")
	if err != nil {
		return err
	}
	if d.json {
		if err := d.app.printJSON(result); err != nil {
			return err
		}
	}
	if once {
		return nil
	}
	d.nextSteps()
	select {
	case <-ctx.Done():
		d.sayf("\nStopping: the daemon finishes what it is doing; its data goes with it.")
		return nil
	case <-d.daemon.Exited():
		return fmt.Errorf("the daemon ended by itself; the last it said:\n%s", d.daemon.Log())
	}
}

// deliver subscribes the receiver over the reference route, publishes one order, and waits until it has arrived.
func (d *demo) deliver(ctx context.Context, recipient string) (demoResult, error) {
	event, notifier := demoEvent, "default"
	result := demoResult{
		URL: d.daemon.URL(), DataDir: d.daemon.DataDir(), TokenFile: d.daemon.TokenFile(), Receiver: recipient,
	}
	subscription := httpapi.ReferenceRequest{Webhook: &httpapi.ReferenceFields{EventName: &event, RecipientURL: &recipient, Metadata: &notifier}}
	r := client.Request{Method: http.MethodPost, Path: []string{"rest", "V1", "webhook"}, Body: subscription}
	if err := d.client.Call(ctx, r, &result.Subscriber); err != nil {
		return result, fmt.Errorf("subscribe the receiver: %w", err)
	}
	d.step("subscriber", "POST /rest/V1/webhook: number %d wants %s at %s", result.Subscriber.SubscriptionID, event, recipient)

	published := time.Now()
	r = client.Request{
		Method: http.MethodPost, Path: []string{"v1", "events"}, Body: httpapi.Event{Event: event, Arguments: json.RawMessage(demoArguments)},
	}
	if err := d.client.Call(ctx, r, &result.Event); err != nil {
		return result, fmt.Errorf("publish an order: %w", err)
	}
	d.step("event", "POST /v1/events: %s %s is on disk as %s", event, demoArguments, result.Event.ID)

	select {
	case got := <-d.received:
		took := got.Time.Sub(published)
		result.DeliveryID, result.Millis = got.ID, float64(took.Microseconds())/1000
		if json.Valid(got.Body) {
			result.Body = got.Body
		}
		d.step("delivery", "received %s after the publish:", milliseconds(result.Millis))
		if !d.json {
			d.app.showReceived(got)
		}
		return result, nil
	case <-time.After(demoTimeout):
		return result, fmt.Errorf("the order was not delivered within %s; the daemon said:\n%s", demoTimeout, d.daemon.Log())
	case <-d.daemon.Exited():
		return result, fmt.Errorf("the daemon ended by itself; the last it said:\n%s", d.daemon.Log())
	case <-ctx.Done():
		return result, ctx.Err()
	}
}

// take hands the first delivery to deliver and shows the others.
func (d *demo) take(got receiver.Received) {
	switch {
	case d.taken.CompareAndSwap(false, true):
		d.received <- got // has room for one
	case !d.json:
		d.app.showReceived(got)
	}
}

func (d *demo) sayf(format string, args ...any) {
	if !d.json {
		d.app.sayf(format, args...)
	}
}

func (d *demo) step(what, format string, args ...any) {
	d.sayf("%s %s  %s", d.app.green("✓"), fmt.Sprintf("%-10s", what), fmt.Sprintf(format, args...))
}

func (d *demo) nextSteps() {
	postrider := shortest(d.app.executable)
	d.sayf(`
The daemon stays at %s until Ctrl-C. Its token is in %s.
What this receiver gets from now on is shown here. In another terminal:

  export POSTRIDER_DATA_DIR=%s
  %s publish %s --args '{"id":2}'
  %s delivery list

To see retries, 1, 4 and 9 seconds apart, let a second receiver fail three times (in a third terminal):

  %s listen --fail-first 3
  %s subscriber add %s http://%s/
  %s publish %s --args '{"id":3}'`,
		d.daemon.URL(), d.daemon.TokenFile(), quote(d.daemon.DataDir()),
		postrider, demoEvent, postrider, postrider, postrider, demoEvent, defaultListenAddress, postrider, demoEvent)
}

// demoPlugins returns the plugins of the demo, as `make build` put them beside the executable. What else is there is not the demo's: a user's
// own plugins may want a configuration, or be the examples under other names.
func demoPlugins(bin string) ([]string, error) {
	files := []string{
		filepath.Join(bin, "plugins", "notifier-http"),
		filepath.Join(bin, "examples", "resolver-orders"),
		filepath.Join(bin, "examples", "notifier-console"),
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
			return nil, fmt.Errorf("the plugin %s is not there: `make build` puts it beside the executable", file)
		}
	}
	return files, nil
}

// shortest returns how to call a program from the working directory: its relative path where that is shorter, quoted for the shell.
func shortest(path string) string {
	if wd, err := os.Getwd(); err == nil {
		if relative, err := filepath.Rel(wd, path); err == nil && len(relative) < len(path) {
			if !strings.ContainsRune(relative, filepath.Separator) {
				relative = "." + string(filepath.Separator) + relative
			}
			path = relative
		}
	}
	return quote(path)
}

// quote makes a path one word of a shell command.
func quote(path string) string {
	if strings.ContainsAny(path, " \t\n'\"\\$`&;|<>()*?[]#~!{}") {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}
