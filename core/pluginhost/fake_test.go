package pluginhost

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/host"
)

// fake is a plugin process that does what its test says. Functions that are nil answer at once that all is well.
type fake struct {
	describes host.Description
	brings    []host.Service // by its configuration
	notify    func(ctx context.Context, d sdk.Delivery) (sdk.Outcome, error)
	resolve   func(ctx context.Context, r host.Resolution) ([]byte, error)
	configure func(configuration json.RawMessage) error
	health    func(ctx context.Context) error

	configured bool
	once       sync.Once
	done       chan struct{}
}

func (f *fake) Description() host.Description {
	d := f.describes
	if f.configured {
		d.Services = slices.Concat(d.Services, f.brings)
	}
	return d
}
func (f *fake) Done() <-chan struct{}       { return f.done }
func (f *fake) Err() error                  { return errors.New("signal: killed") }
func (f *fake) PID() int                    { return 42 }
func (f *fake) Memory() (int64, error)      { return 10 << 20, nil }
func (f *fake) Kill()                       { f.once.Do(func() { close(f.done) }) }
func (f *fake) Close(context.Context) error { f.Kill(); return nil }

func (f *fake) Configure(_ context.Context, configuration json.RawMessage, _ []string) error {
	f.configured = true
	if f.configure == nil {
		return nil
	}
	return f.configure(configuration)
}

func (f *fake) Health(ctx context.Context) error {
	if f.health == nil {
		return nil
	}
	return f.health(ctx)
}

func (f *fake) Notify(ctx context.Context, d sdk.Delivery) (sdk.Outcome, error) {
	if f.notify == nil {
		return sdk.Delivered(), nil
	}
	return f.notify(ctx, d)
}

func (f *fake) Resolve(ctx context.Context, r host.Resolution) ([]byte, error) {
	if f.resolve == nil {
		return []byte("{}"), nil
	}
	return f.resolve(ctx, r)
}

// lives answers like the real process does: err once answer is closed, ErrCrashed if the process dies before, the context's error if that ends.
func (f *fake) lives(ctx context.Context, answer <-chan struct{}) error {
	select {
	case <-answer:
		return nil
	case <-f.done:
		return host.ErrCrashed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fakes starts a fake for each file of a plugin directory, and remembers the latest.
type fakes struct {
	make map[string]func() (*fake, error) // by file name

	mu      sync.Mutex
	starts  map[string]int
	current map[string]*fake
}

func (f *fakes) launch(_ context.Context, b *binary, _ host.Limits) (process, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := filepath.Base(b.path)
	f.starts[name]++
	p, err := f.make[name]()
	if err != nil {
		return nil, err
	}
	p.done = make(chan struct{})
	f.current[name] = p
	return p, nil
}

func (f *fakes) latest(name string) *fake {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.current[name]
}

func (f *fakes) started(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.starts[name]
}

// always makes the same process at every start.
func always(f *fake) func() (*fake, error) {
	return func() (*fake, error) {
		return &fake{describes: f.describes, brings: f.brings, notify: f.notify, resolve: f.resolve, configure: f.configure, health: f.health}, nil
	}
}

func notifier(name string) host.Description {
	return host.Description{Name: name, Version: "1.0.0", Role: "notifier", MaxInFlight: 4, ConfigSchema: json.RawMessage(`{}`)}
}

func resolver(name, class, method string) host.Description {
	return host.Description{Name: name, Version: "1.0.0", Role: "resolver", MaxInFlight: 4, ConfigSchema: json.RawMessage(`{}`), Services: []host.Service{{
		Class: class, Method: method,
		Arguments: json.RawMessage(`{"type":"object","properties":{"id":{"type":"integer"}},"required":["id"],"additionalProperties":false}`),
	}}}
}

// newFakeHost makes a Host whose plugin directory holds the files of make, started as fakes.
func newFakeHost(t *testing.T, c Config, make_ map[string]func() (*fake, error)) (*Host, *fakes) {
	t.Helper()
	c.Dir, c.SocketDir = t.TempDir(), shortTempDir(t)
	for name := range make_ {
		if err := os.WriteFile(filepath.Join(c.Dir, name), []byte("x"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	f := &fakes{make: make_, starts: make(map[string]int), current: make(map[string]*fake)}
	h.launch = f.launch
	return h, f
}

// shortTempDir is a directory whose path leaves room for a socket's name.
func shortTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// running starts h and runs it until the test ends.
func running(t *testing.T, h *Host) {
	t.Helper()
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := h.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

func status(t *testing.T, h *Host, name string) core.PluginStatus {
	t.Helper()
	for _, s := range h.Plugins() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no plugin %q in %+v", name, h.Plugins())
	return core.PluginStatus{}
}

func to(notifier, delivery string) core.Notification {
	return core.Notification{
		Delivery: core.DeliveryID(delivery), Attempt: 1, Envelope: core.EnvelopeRaw,
		Event:      core.Event{ID: "evt_1", Name: "a.b", Arguments: json.RawMessage("{}")},
		Subscriber: core.Subscriber{ID: 1, Notifier: notifier, URL: "https://example.com/"},
		Trace:      "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	}
}

// mustBeHeld returns err as the Held that it must be.
func mustBeHeld(t *testing.T, err error) *core.Held {
	t.Helper()
	var held *core.Held
	if !errors.As(err, &held) {
		t.Fatalf("got error %v, want a Held", err)
	}
	return held
}

// awake returns a channel that is closed when held wakes its holder.
func awake(held *core.Held) <-chan struct{} {
	woken := make(chan struct{})
	held.Notify(func() { close(woken) })
	return woken
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
