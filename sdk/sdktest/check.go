package sdktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/host"
)

// patience is how long a plugin may take to notice that it was cancelled.
const patience = 10 * time.Second

// Call is one call of a service that must succeed.
type Call struct {
	Class     string
	Method    string
	Arguments string // a JSON object
}

// ResolverCheck is what [CheckResolver] needs to know.
type ResolverCheck struct {
	// Start starts the plugin, in one of this package's ways.
	Start func(t testing.TB) *Plugin

	// Configuration is one that the plugin accepts, a JSON object; "": none.
	Configuration string

	// Calls must succeed: one at least, better one for every service.
	Calls []Call
}

// CheckResolver checks what every resolver must do: describe itself; refuse, by name, arguments and configuration keys that are unknown,
// missing or of another type; answer many calls at once; end calls that are cancelled or out of time; survive a request that is too
// large.
func CheckResolver(t *testing.T, c ResolverCheck) {
	t.Helper()
	if len(c.Calls) == 0 {
		t.Fatal("CheckResolver needs a call that succeeds")
	}
	t.Run("describes itself", func(t *testing.T) {
		p := c.Start(t)
		checkDescription(t, p.Description(), host.RoleResolver)
		if err := p.Configure(t.Context(), c.Configuration); err != nil { // which may bring services
			t.Fatal(err)
		}
		d := p.Description()
		checkServices(t, d.Services)
		for _, call := range c.Calls {
			if _, ok := serviceOf(d, call); !ok {
				t.Errorf("it doesn't describe %s::%s, which it is called with here", call.Class, call.Method)
			}
		}
	})
	t.Run("refuses a bad configuration", func(t *testing.T) { checkConfiguration(t, c.Start(t), c.Configuration) })
	for _, call := range c.Calls {
		t.Run(call.Class+"::"+call.Method, func(t *testing.T) {
			p := configured(t, c.Start, c.Configuration)
			t.Run("answers", func(t *testing.T) { checkAnswer(t, p, call) })
			t.Run("refuses arguments that don't fit", func(t *testing.T) { checkArguments(t, p, call) })
			t.Run("answers many at once", func(t *testing.T) {
				checkMany(t, p, func() error {
					_, err := p.Resolve(t.Context(), call.Class, call.Method, call.Arguments)
					return err
				})
			})
			t.Run("ends in time", func(t *testing.T) {
				checkEnds(t, p, func(ctx context.Context) { p.Resolve(ctx, call.Class, call.Method, call.Arguments) }) //nolint:errcheck // any end will do
				checkAnswer(t, p, call)
			})
			t.Run("survives what is too large", func(t *testing.T) {
				large := `{"large":"` + strings.Repeat("x", sdk.MaxPayload) + `"}`
				if _, err := p.Resolve(t.Context(), call.Class, call.Method, large); !errors.Is(err, host.ErrTooLarge) {
					t.Errorf("arguments of over 4 MiB: got %v, want host.ErrTooLarge", err)
				}
				checkAnswer(t, p, call)
			})
		})
	}
}

// NotifierCheck is what [CheckNotifier] needs to know.
type NotifierCheck struct {
	// Start starts the plugin, in one of this package's ways.
	Start func(t testing.TB) *Plugin

	// Configuration is one that the plugin accepts, a JSON object; "": none.
	Configuration string

	// Delivery must be delivered. What it leaves out, [Plugin.Notify] fills in.
	Delivery sdk.Delivery
}

// CheckNotifier checks what every notifier must do: describe itself; refuse configuration keys and settings that it doesn't know, by
// name; deliver in every envelope, and many at once; end attempts that are cancelled or out of time; survive a payload that is too
// large.
func CheckNotifier(t *testing.T, c NotifierCheck) {
	t.Helper()
	t.Run("describes itself", func(t *testing.T) { checkDescription(t, c.Start(t).Description(), host.RoleNotifier) })
	t.Run("refuses a bad configuration", func(t *testing.T) { checkConfiguration(t, c.Start(t), c.Configuration) })
	p := configured(t, c.Start, c.Configuration)
	deliver := func(t *testing.T, d sdk.Delivery) {
		t.Helper()
		outcome, err := p.Notify(t.Context(), d)
		if err != nil || outcome.Status != sdk.StatusDelivered {
			t.Errorf("got %+v, %v, want it delivered", outcome, err)
		}
	}
	for _, envelope := range []string{"standard", "cloudevents", "raw"} {
		t.Run("delivers in the envelope "+envelope, func(t *testing.T) {
			d := c.Delivery
			d.Envelope = envelope
			deliver(t, d)
		})
	}
	t.Run("refuses settings that it doesn't know", func(t *testing.T) {
		d := c.Delivery
		d.Settings = json.RawMessage(with(string(d.Settings), unknown, `1`))
		_, err := p.Notify(t.Context(), d)
		if failure := new(host.PluginError); !errors.As(err, &failure) || !failure.Permanent || !strings.Contains(err.Error(), unknown) {
			t.Errorf("got %v, want a permanent error that names %q", err, unknown)
		}
	})
	t.Run("delivers many at once", func(t *testing.T) {
		checkMany(t, p, func() error {
			outcome, err := p.Notify(t.Context(), c.Delivery)
			if err == nil && outcome.Status != sdk.StatusDelivered {
				err = fmt.Errorf("not delivered: %+v", outcome)
			}
			return err
		})
	})
	t.Run("ends in time", func(t *testing.T) {
		checkEnds(t, p, func(ctx context.Context) { p.Notify(ctx, c.Delivery) }) //nolint:errcheck // any end will do
		deliver(t, c.Delivery)
	})
	t.Run("survives what is too large", func(t *testing.T) {
		d := c.Delivery
		d.Payload = json.RawMessage(`"` + strings.Repeat("x", sdk.MaxPayload) + `"`)
		if _, err := p.Notify(t.Context(), d); !errors.Is(err, host.ErrTooLarge) {
			t.Errorf("a payload of over 4 MiB: got %v, want host.ErrTooLarge", err)
		}
		deliver(t, c.Delivery)
	})
}

func configured(t testing.TB, start func(testing.TB) *Plugin, configuration string) *Plugin {
	t.Helper()
	p := start(t)
	if err := p.Configure(t.Context(), configuration); err != nil {
		t.Fatal(err)
	}
	if err := p.Health(t.Context()); err != nil {
		t.Errorf("health: %v", err)
	}
	return p
}

func checkAnswer(t *testing.T, p *Plugin, call Call) {
	t.Helper()
	payload, err := p.Resolve(t.Context(), call.Class, call.Method, call.Arguments)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid([]byte(payload)) {
		t.Errorf("the payload is not valid JSON: %.200s", payload)
	}
}

// checkMany makes four times as many calls as may be in flight, up to 256, at once.
func checkMany(t *testing.T, p *Plugin, call func() error) {
	t.Helper()
	var group sync.WaitGroup
	for range min(4*p.Description().MaxInFlight, 256) {
		group.Go(func() {
			if err := call(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// checkEnds makes calls that are cancelled, or out of time, at once or in their midst, and waits until none of them occupies the plugin.
func checkEnds(t *testing.T, p *Plugin, call func(context.Context)) {
	t.Helper()
	for _, after := range []time.Duration{0, 100 * time.Microsecond, time.Millisecond, 5 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		call(ctx)
		cancel()
		ctx, cancel = context.WithCancel(t.Context())
		stop := time.AfterFunc(after, cancel)
		call(ctx)
		stop.Stop()
		cancel()
	}
	deadline := time.Now().Add(patience)
	for p.process.InFlight() > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%d calls go on %v after they were cancelled: end them when their context ends", p.process.InFlight(), patience)
		}
		time.Sleep(time.Millisecond)
	}
}
