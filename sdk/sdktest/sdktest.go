// Package sdktest tests plugins through the real protocol: what a test calls crosses gRPC, with the schemas, limits, deadlines and
// cancellations that the daemon has.
//
// A resolver, or a notifier, made of the same options as in main:
//
//	func TestGet(t *testing.T) {
//		p := sdktest.Resolver(t, options()...)
//		payload, err := p.Resolve(t.Context(), `Magento\Sales\Api\OrderRepositoryInterface`, "get", `{"id":1}`)
//		…
//	}
//
// runs inside of the test's process, so that breakpoints and coverage work. [Launch] runs a built binary as the daemon does. The
// checks that every plugin must pass are [CheckResolver] and [CheckNotifier].
package sdktest

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/conformance"
	"github.com/postrider/postrider/sdk/host"
)

// loopback is an egress.allow that lets a plugin reach the servers of [net/http/httptest]. It is what a plugin under test may reach, unless
// Configure says otherwise.
var loopback = []string{"127.0.0.0/8", "::1"}

// Plugin is a plugin under test. It ends with its test.
type Plugin struct {
	plugin     *conformance.Plugin
	mu         sync.Mutex
	configured bool
}

// Resolver serves a resolver inside of the test's process. The options are those that main gives to [sdk.ServeResolver].
func Resolver(t testing.TB, options ...sdk.Option) *Plugin {
	t.Helper()
	p, err := sdk.NewResolver("tested", "0", options...)
	if err != nil {
		t.Fatal(err)
	}
	return Serve(t, p)
}

// Notifier serves a notifier inside of the test's process. Its arguments are those that main gives to [sdk.ServeNotifier].
func Notifier(t testing.TB, n sdk.Notifier, options ...sdk.Option) *Plugin {
	t.Helper()
	p, err := sdk.NewNotifier("tested", "0", n, options...)
	if err != nil {
		t.Fatal(err)
	}
	return Serve(t, p)
}

// Serve serves a plugin inside of the test's process.
func Serve(t testing.TB, p *sdk.Plugin) *Plugin {
	t.Helper()
	dir, err := os.MkdirTemp("", "sdktest") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "plugin"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- p.ServeOn(ctx, l) }()
	plugin, err := conformance.Attach(t.Context(), host.Config{Logger: logger(t)}, "unix", l.Addr().String())
	if err != nil {
		stop()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		plugin.Process.Kill()
		<-plugin.Process.Done()
		stop()
		if err := <-served; err != nil {
			t.Errorf("serve the plugin: %v", err)
		}
		os.RemoveAll(dir)
	})
	return &Plugin{plugin: plugin}
}

// Launch runs a built plugin as the daemon does: as a process of its own, with handshake and encryption, and nothing in its environment
// but PATH and env ("KEY=value").
func Launch(t testing.TB, path string, env ...string) *Plugin {
	t.Helper()
	plugin, err := conformance.Launch(t.Context(), host.Config{
		Path:   path,
		Env:    append([]string{"PATH=" + os.Getenv("PATH")}, env...),
		Logger: logger(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		plugin.Process.Close(ctx) //nolint:errcheck // what a test leaves in flight is its affair
	})
	return &Plugin{plugin: plugin}
}

// logger passes the plugin's log lines on to the test's.
func logger(t testing.TB) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Output: t.Output(), Level: hclog.Debug, DisableTime: true})
}

// Description returns what the plugin says of itself.
func (p *Plugin) Description() host.Description { return p.plugin.Process.Description() }

// Configure gives the plugin a configuration, a JSON object, and what it may reach; if no egressAllow is given, that is the loopback
// addresses. A refusal is a [*host.ConfigurationError]. Where no test calls it before the first Resolve or Notify, the plugin gets none.
func (p *Plugin) Configure(ctx context.Context, configuration string, egressAllow ...string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.configure(ctx, configuration, egressAllow)
}

func (p *Plugin) configure(ctx context.Context, configuration string, egressAllow []string) error {
	if len(egressAllow) == 0 {
		egressAllow = loopback
	}
	if err := p.plugin.Process.Configure(ctx, json.RawMessage(configuration), egressAllow); err != nil {
		return err
	}
	p.configured = true
	return nil
}

// ready configures the plugin if no test did.
func (p *Plugin) ready(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.configured {
		return nil
	}
	return p.configure(ctx, "", nil)
}

// Resolve calls a service with its named arguments, a JSON object, and returns the payload's JSON. The plugin's own errors are
// [*host.PluginError].
func (p *Plugin) Resolve(ctx context.Context, class, method, arguments string) (string, error) {
	if err := p.ready(ctx); err != nil {
		return "", err
	}
	payload, err := p.plugin.Process.Resolve(ctx, host.Resolution{Class: class, Method: method, Arguments: json.RawMessage(arguments), EventID: "evt_test"})
	return string(payload), err
}

// Notify makes one attempt of a delivery. Where d leaves out an ID, Attempt, Event, EventID, Time, Payload, Subscriber or Envelope, it gets
// one.
func (p *Plugin) Notify(ctx context.Context, d sdk.Delivery) (sdk.Outcome, error) {
	if err := p.ready(ctx); err != nil {
		return sdk.Outcome{}, err
	}
	return p.plugin.Process.Notify(ctx, conformance.Complete(d))
}

// Memory is what a launched plugin holds in memory now, in bytes: see [host.Process.Memory].
func (p *Plugin) Memory() (int64, error) { return p.plugin.Process.Memory() }

// Health asks the plugin for its health, which is nil when it can work.
func (p *Plugin) Health(ctx context.Context) error {
	if err := p.ready(ctx); err != nil {
		return err
	}
	return p.plugin.Process.Health(ctx)
}
