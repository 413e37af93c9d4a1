package pluginhost_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/pluginhost"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// built holds the plugins of testdata, built once.
var built struct {
	sync.Once
	dir string
	err error
}

// plugin returns the path of a binary built from a folder of testdata.
func plugin(t testing.TB, folder string) string {
	t.Helper()
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "plugins"); built.err != nil {
			return
		}
		out, err := exec.Command("go", "build", "-o", built.dir+"/", "./testdata/notifier", "./testdata/resolver").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, folder)
}

// install puts a built plugin into dir under a name of its own. It is a hard link: a freshly written executable can't be run while another
// goroutine's fork still holds it open for writing.
func install(t testing.TB, dir, name, folder string) {
	t.Helper()
	if err := os.Link(plugin(t, folder), filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func script(t *testing.T, dir, name, body string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func configOf(t testing.TB) pluginhost.Config {
	t.Helper()
	sockets, err := os.MkdirTemp("", "pr") // t.TempDir's paths are too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(sockets) })
	return pluginhost.Config{Dir: t.TempDir(), SocketDir: filepath.Join(sockets, "s")}
}

// start runs a Host until the test ends.
func start(t testing.TB, c pluginhost.Config) *pluginhost.Host {
	t.Helper()
	h, err := pluginhost.New(c)
	if err != nil {
		t.Fatal(err)
	}
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
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := h.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return h
}

func find(t *testing.T, h *pluginhost.Host, name string) core.PluginStatus {
	t.Helper()
	for _, s := range h.Plugins() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no plugin %q in %+v", name, h.Plugins())
	return core.PluginStatus{}
}

// freeze stops a process, and returns once it has stopped: its threads may go on for a moment after the signal.
func freeze(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) { // nothing announces it
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("process %d does not stop: %s, %v", pid, stat, err)
		}
		if strings.Contains(string(stat), ") T ") {
			return
		}
	}
}

func notification(notifier, delivery, payload string) core.Notification {
	return core.Notification{
		Delivery: core.DeliveryID(delivery), Attempt: 1, Envelope: core.EnvelopeRaw, Payload: json.RawMessage(payload),
		Event:      core.Event{ID: "evt_1", Name: "a.b", Arguments: json.RawMessage("{}"), Accepted: time.Now()},
		Subscriber: core.Subscriber{ID: 1, Notifier: notifier, URL: "https://example.com/"},
	}
}

// deliver sends n until it isn't held any more.
func deliver(ctx context.Context, h *pluginhost.Host, n core.Notification) (core.Answer, int, error) {
	for held := 0; ; held++ {
		a, err := h.Notify(ctx, n)
		var wait *core.Held
		if !errors.As(err, &wait) {
			return a, held, err
		}
		woken := make(chan struct{})
		wait.Notify(func() { close(woken) })
		select {
		case <-woken:
		case <-ctx.Done():
			return a, held, fmt.Errorf("still held: %w", wait)
		}
	}
}

func TestBadFilesAreReportedAndTheGoodPluginsWork(t *testing.T) {
	c := configOf(t)
	c.StartTimeout = 3 * time.Second
	install(t, c.Dir, "web", "notifier")
	install(t, c.Dir, "shop", "resolver")
	script(t, c.Dir, "garbage", "echo '\x01\x02 what is this'; exec sleep 100")
	script(t, c.Dir, "exits", "exit 7")
	script(t, c.Dir, "mute", "exec sleep 100")
	script(t, c.Dir, "hello", "echo hello, world")
	script(t, c.Dir, "open", "exit 0")
	script(t, c.Dir, "no-exec", "exit 0")
	script(t, c.Dir, "README.md", "exit 0")
	for name, mode := range map[string]os.FileMode{"open": 0o777, "no-exec": 0o644} {
		if err := os.Chmod(filepath.Join(c.Dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(c.Dir, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	h := start(t, c)

	for name, state := range map[string]string{
		"garbage": "broken", "exits": "broken", "mute": "broken", "hello": "broken",
		"open": "skipped", "no-exec": "skipped", "folder": "skipped",
		"web": "running", "shop": "running",
	} {
		s := find(t, h, name)
		if s.State != state || (s.Reason == "") != (state == "running") {
			t.Errorf("%s: got state %q and reason %q, want %s", name, s.State, s.Reason, state)
		}
		t.Logf("%s: %s", name, s.Reason)
	}
	if got := len(h.Plugins()); got != 9 {
		t.Errorf("got %d plugins and files, want 9: README.md is neither", got)
	}
	if a, err := h.Notify(t.Context(), notification("web", "dlv_1", `"ok"`)); err != nil || a.Outcome != core.Delivered {
		t.Errorf("got %+v, %v, want it delivered", a, err)
	}
	services := h.Services()
	if len(services) != 2 || services[0].String() != "Size::of" || services[1].String() != "shop::get" || !services[0].Up {
		t.Errorf("got services %+v, want Size::of and shop::get, up", services)
	}
	payload, err := h.Resolve(t.Context(), core.Resolution{Service: services[1].Service, Arguments: json.RawMessage("{}"), Event: "evt_1"})
	if err != nil || string(payload) != `"shop"` {
		t.Errorf("got payload %s, %v", payload, err)
	}
}

func TestAPayloadOf6MiBIsTooLargeAndThePluginGoesOn(t *testing.T) {
	c := configOf(t)
	install(t, c.Dir, "shop", "resolver")
	h := start(t, c)
	size := core.Service{Class: "Size", Method: "of"}
	ask := func(bytes int) ([]byte, error) {
		return h.Resolve(t.Context(), core.Resolution{
			Service: size, Arguments: json.RawMessage(fmt.Sprintf(`{"bytes":%d}`, bytes)), Event: "evt_1",
		})
	}
	if _, err := ask(6 << 20); !errors.Is(err, core.ErrTooLarge) {
		t.Errorf("6 MiB: got %v, want ErrTooLarge", err)
	}
	if payload, err := ask(4 << 20); err != nil || len(payload) != 4<<20 {
		t.Errorf("4 MiB: got %d bytes, %v", len(payload), err)
	}
	if got := find(t, h, "shop").Restarts; got != 0 {
		t.Errorf("got %d restarts, want none", got)
	}
	if _, err := h.Resolve(t.Context(), core.Resolution{Service: size, Arguments: json.RawMessage(`{"bites":1}`), Event: "evt_1"}); !core.IsInvalid(err) {
		t.Errorf("wrong arguments: got %v, want an Invalid", err)
	}
	if err := h.CheckArguments(size, json.RawMessage(`{"bites":1}`)); !core.IsInvalid(err) {
		t.Errorf("wrong arguments, checked: got %v, want an Invalid", err)
	}
}

func TestDuplicatesAreRefusedWithTheirFiles(t *testing.T) {
	c := configOf(t)
	install(t, c.Dir, "web", "notifier")
	install(t, c.Dir, "web.old", "notifier")
	install(t, c.Dir, "shop", "resolver")
	install(t, c.Dir, "crm", "resolver")
	h, err := pluginhost.New(c)
	if err != nil {
		t.Fatal(err)
	}
	err = h.Start(t.Context())
	if err == nil {
		h.Close(t.Context())
		t.Fatal("got no error")
	}
	for _, want := range []string{
		fmt.Sprintf(`2 plugins call themselves "web": %s/web and %s/web.old`, c.Dir, c.Dir),
		fmt.Sprintf(`service Size::of is offered by 2 plugins: %s/crm and %s/shop`, c.Dir, c.Dir),
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the error:\n%v", want, err)
		}
	}
}

func TestNotifiersWithAConfigurationOfTheirOwnHaveAProcessOfTheirOwn(t *testing.T) {
	c := configOf(t)
	install(t, c.Dir, "web", "notifier")
	c.Plugins = map[string]json.RawMessage{"web": json.RawMessage(`{"greeting":"own"}`)}
	c.Notifiers = map[string]pluginhost.Notifier{
		"default": {Plugin: "web"},
		"loud":    {Plugin: "web", Config: json.RawMessage(`{"greeting":"LOUD"}`)},
	}
	h := start(t, c)
	for name, want := range map[string]string{"web": "own", "": "own", "loud": "LOUD"} {
		if a, err := h.Notify(t.Context(), notification(name, "dlv_1", `"ok"`)); err != nil || a.Excerpt != want {
			t.Errorf("notifier %q: got %+v, %v, want greeting %q", name, a, err, want)
		}
	}
	if got := h.Plugins(); len(got) != 2 || got[0].PID == got[1].PID || got[1].Config != "loud" {
		t.Errorf("got %+v, want two processes, the second for loud", got)
	}
}

func TestAConfigurationThatThePluginRefusesStopsTheStart(t *testing.T) {
	c := configOf(t)
	install(t, c.Dir, "web", "notifier")
	c.Notifiers = map[string]pluginhost.Notifier{"loud": {Plugin: "web", Config: json.RawMessage(`{"greting":"x"}`)}}
	h, err := pluginhost.New(c)
	if err != nil {
		t.Fatal(err)
	}
	err = h.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "notifiers.loud.config") || !strings.Contains(err.Error(), "greting") {
		t.Errorf("got %v, want an error that names notifiers.loud.config and the key", err)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAPanicIsAnErrorOfOneCall(t *testing.T) {
	c := configOf(t)
	install(t, c.Dir, "web", "notifier")
	h := start(t, c)
	_, err := h.Notify(t.Context(), notification("web", "dlv_1", `"panic"`))
	var held *core.Held
	if err == nil || errors.As(err, &held) || errors.Is(err, core.ErrPermanent) {
		t.Errorf("got %v, want an error that is tried again", err)
	}
	if s := find(t, h, "web"); s.State != "running" || s.Restarts != 0 {
		t.Errorf("got %+v, want it running, never restarted", s)
	}
}

func TestADeliveryThatCrashesThePluginEachTimeIsGivenUpAndTheOthersArrive(t *testing.T) {
	c := configOf(t)
	install(t, c.Dir, "web", "notifier")
	h := start(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	stop := make(chan struct{})
	var others sync.WaitGroup
	var delivered atomic.Int64
	for i := range 8 {
		others.Go(func() {
			for n := 0; !isClosed(stop); n++ {
				a, _, err := deliver(ctx, h, notification("web", fmt.Sprintf("dlv_%d_%d", i, n), `"linger"`))
				if err != nil || a.Outcome != core.Delivered {
					t.Errorf("delivery %d of %d: got %+v, %v", n, i, a, err)
					return
				}
				delivered.Add(1)
			}
		})
	}
	_, held, err := deliver(ctx, h, notification("web", "dlv_poison", `"crash"`))
	if !errors.Is(err, core.ErrPermanent) {
		t.Errorf("got %v, want ErrPermanent", err)
	}
	if held < 3 {
		t.Errorf("held %d times, want at least 3", held)
	}
	close(stop)
	others.Wait()
	if got := find(t, h, "web").Restarts; got != 1 {
		t.Errorf("got %d restarts, want 1: all other crashes are those of processes for suspects", got)
	}
	t.Logf("%d others were delivered meanwhile", delivered.Load())
}

// isClosed reports whether stop was closed.
func isClosed(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}

func TestAfterAKillTheOthersDontWaitForASlowReceiver(t *testing.T) {
	c := configOf(t)
	install(t, c.Dir, "web", "notifier")
	h := start(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	receiverIsBack := filepath.Join(t.TempDir(), "back")
	var slow, healthy sync.WaitGroup
	for i := range 20 {
		slow.Go(func() {
			a, held, err := deliver(ctx, h, notification("web", fmt.Sprint("dlv_slow_", i), `"until `+receiverIsBack+`"`))
			if err != nil || a.Outcome != core.Delivered || held == 0 {
				t.Errorf("slow delivery %d: got %+v, %v after %d holds, want it delivered after the kill", i, a, err, held)
			}
		})
	}
	for find(t, h, "web").InFlight < 20 {
		time.Sleep(time.Millisecond) // nothing announces it
	}
	killed := make(chan struct{})
	for i := range 8 {
		healthy.Go(func() {
			for n, after := 0, 0; after < 20; n++ {
				if isClosed(killed) {
					after++
				}
				a, _, err := deliver(ctx, h, notification("web", fmt.Sprintf("dlv_%d_%d", i, n), `"linger"`))
				if err != nil || a.Outcome != core.Delivered {
					t.Errorf("healthy delivery: got %+v, %v", a, err)
					return
				}
			}
		})
	}
	began := time.Now()
	if err := syscall.Kill(find(t, h, "web").PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	close(killed)
	for s := find(t, h, "web"); s.Restarts == 0 || s.State != "running"; s = find(t, h, "web") {
		time.Sleep(time.Millisecond) // nothing announces it
	}
	t.Logf("restarted after %v", time.Since(began))
	began = time.Now()
	for n := range 100 {
		if _, held, err := deliver(ctx, h, notification("web", fmt.Sprint("dlv_after_", n), `"ok"`)); err != nil || held > 0 {
			t.Errorf("delivery %d after the restart: got %v after %d holds, want none", n, err, held)
		}
	}
	t.Logf("100 deliveries after the restart took %v", time.Since(began))
	healthy.Wait() // those that were in flight at the kill included
	t.Logf("all healthy ones had their answer %v after the restart", time.Since(began))
	if err := os.WriteFile(receiverIsBack, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	slow.Wait()
}

func TestAPluginThatIsKilledUnderLoadLosesNothing(t *testing.T) {
	c := configOf(t)
	c.RestartDelay = 200 * time.Millisecond // ten doublings would make the test slow
	install(t, c.Dir, "web", "notifier")
	h := start(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), 80*time.Second)
	defer cancel()

	var delivered, held atomic.Int64
	stop := make(chan struct{})
	var work sync.WaitGroup
	for i := range 32 {
		work.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				a, waits, err := deliver(ctx, h, notification("web", fmt.Sprintf("dlv_%d_%d", i, n), `"linger"`))
				if err != nil || a.Outcome != core.Delivered {
					t.Errorf("got %+v, %v, want it delivered", a, err)
					return
				}
				delivered.Add(1)
				held.Add(int64(waits))
			}
		})
	}
	var down time.Duration
	for kill := range 10 {
		if _, _, err := deliver(ctx, h, notification("web", fmt.Sprintf("dlv_kill_%d", kill), `"ok"`)); err != nil {
			t.Fatal(err)
		}
		pid := find(t, h, "web").PID
		if pid == 0 {
			t.Fatal("a plugin that delivers has no process")
		}
		before := time.Now()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for find(t, h, "web").Restarts == kill { // each delivery is answered by the old process, or waits for the next
			if _, _, err := deliver(ctx, h, notification("web", fmt.Sprintf("dlv_after_%d", kill), `"ok"`)); err != nil {
				t.Fatal(err)
			}
		}
		down += time.Since(before)
	}
	close(stop)
	work.Wait()
	t.Logf("%d delivered through 10 kills, %d holds, %v from kill to restart on average", delivered.Load(), held.Load(), down/10)
}

func TestAStoppedPluginIsReplacedAndNothingIsBlamedOnTheReceiver(t *testing.T) {
	c := configOf(t)
	c.HealthInterval, c.HealthTimeout = 200*time.Millisecond, time.Second
	install(t, c.Dir, "web", "notifier")
	h := start(t, c)
	pid := find(t, h, "web").PID
	freeze(t, pid)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	a, held, err := deliver(ctx, h, notification("web", "dlv_1", `"ok"`))
	if err != nil || a.Outcome != core.Delivered || held == 0 {
		t.Errorf("got %+v, %v after %d holds, want it delivered after at least one", a, err, held)
	}
	for s := find(t, h, "web"); s.PID == pid || s.Restarts != 1; s = find(t, h, "web") {
		if ctx.Err() != nil {
			t.Fatalf("got %+v, want another process than %d", s, pid)
		}
		time.Sleep(time.Millisecond) // nothing announces it
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the stopped process is still there: %v", err)
	}
}

func TestCloseLeavesNoProcessBehind(t *testing.T) {
	c := configOf(t)
	install(t, c.Dir, "web", "notifier")
	install(t, c.Dir, "shop", "resolver")
	h := start(t, c)
	var pids []int
	for _, s := range h.Plugins() {
		pids = append(pids, s.PID)
	}
	waiting := make(chan error, 1)
	go func() {
		_, err := h.Notify(t.Context(), notification("web", "dlv_1", `"wait"`))
		waiting <- err
	}()
	for find(t, h, "web").InFlight == 0 { // until it is under way
		select {
		case err := <-waiting:
			t.Fatalf("got %v before Close", err)
		default:
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	started := time.Now()
	if err := h.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("Close took %v", took)
	}
	var held *core.Held
	if err := <-waiting; !errors.As(err, &held) {
		t.Errorf("what was in flight got %v, want a Held", err)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d is still there: %v", pid, err)
		}
	}
	if entries, err := os.ReadDir(c.SocketDir); err != nil || len(entries) > 0 {
		t.Errorf("the socket directory still holds %v, %v", entries, err)
	}
}

func TestCloseEndsTheProcessForSuspectsToo(t *testing.T) {
	c := configOf(t)
	install(t, c.Dir, "web", "notifier")
	h := start(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	delivery := make(chan error, 1)
	go func() {
		_, _, err := deliver(ctx, h, notification("web", "dlv_1", `"wait"`))
		delivery <- err
	}()
	inFlightIn := func(config string) (pid int) {
		for ctx.Err() == nil {
			for _, s := range h.Plugins() {
				if s.Config == config && s.InFlight > 0 {
					return s.PID
				}
			}
			time.Sleep(time.Millisecond) // nothing announces it
		}
		t.Fatalf("nothing is in flight in %q: %+v", config, h.Plugins())
		return 0
	}
	if err := syscall.Kill(inFlightIn(""), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	pid := inFlightIn("quarantine")
	closing, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	if err := h.Close(closing); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is still there: %v", pid, err)
	}
	cancel()
	if err := <-delivery; err == nil {
		t.Error("a delivery that never ends was delivered")
	}
	if got := h.Plugins(); len(got) != 1 {
		t.Errorf("got %+v, want one row", got)
	}
}

func TestAPluginDirectoryThatIsNotThereIsNoCrash(t *testing.T) {
	c := configOf(t)
	c.Dir = filepath.Join(c.Dir, "none")
	h := start(t, c)
	if got := h.Plugins(); len(got) != 0 {
		t.Errorf("got %+v, want none", got)
	}
}

func BenchmarkNotifyThroughARealPlugin(b *testing.B) {
	c := configOf(b)
	install(b, c.Dir, "web", "notifier")
	h := start(b, c)
	n := notification("web", "dlv_1", `"`+strings.Repeat("x", 1024)+`"`)
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := h.Notify(b.Context(), n); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func TestWhatRunsIsWhatWasTrustedEvenIfTheFileIsReplacedMeanwhile(t *testing.T) {
	c := configOf(t)
	install(t, c.Dir, "web", "notifier")
	if _, err := pluginhost.Trust(c.Dir); err != nil {
		t.Fatal(err)
	}
	h := start(t, c)
	script(t, c.Dir, ".evil", "touch "+filepath.Join(c.Dir, "evil.txt"))
	if err := os.Rename(filepath.Join(c.Dir, ".evil"), filepath.Join(c.Dir, "web")); err != nil {
		t.Fatal(err)
	}
	for restart := range 2 {
		if err := syscall.Kill(find(t, h, "web").PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for s := find(t, h, "web"); s.Restarts != restart+1 || s.State != "running"; s = find(t, h, "web") {
			time.Sleep(time.Millisecond) // nothing announces it
		}
	}
	if a, err := h.Notify(t.Context(), notification("web", "dlv_1", `"ok"`)); err != nil || a.Outcome != core.Delivered {
		t.Errorf("got %+v, %v, want it delivered", a, err)
	}
	for find(t, h, "web").Update == "" {
		time.Sleep(10 * time.Millisecond) // until somebody has looked at the directory
	}
	if s := find(t, h, "web"); !strings.Contains(s.Update, "is not the file that plugins.sum lists") {
		t.Errorf("got %+v, want a word on the file", s)
	}
	if _, err := os.Stat(filepath.Join(c.Dir, "evil.txt")); err == nil {
		t.Error("the other file was run")
	}
}

func TestAScriptIsRunFromWhatWasOpened(t *testing.T) {
	c := configOf(t)
	script(t, c.Dir, "web", "exec -a "+filepath.Join(c.Dir, "web")+" "+plugin(t, "notifier"))
	content, err := os.ReadFile(filepath.Join(c.Dir, "web"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.Dir, "web"), []byte(strings.Replace(string(content), "/bin/sh", "/bin/bash", 1)), 0o755); err != nil {
		t.Fatal(err)
	}
	h := start(t, c)
	if s := find(t, h, "web"); s.State != "running" {
		t.Errorf("got %+v, want it running", s)
	}
}

func TestWhatIsInFlightInARealProcessFinishesThereWhenAnotherTakesItsPlace(t *testing.T) {
	c := configOf(t)
	install(t, c.Dir, "web", "notifier")
	h := start(t, c)
	before := find(t, h, "web").PID
	receiverIsBack := filepath.Join(t.TempDir(), "back")
	var slow sync.WaitGroup
	for i := range 20 {
		slow.Go(func() {
			a, held, err := deliver(t.Context(), h, notification("web", fmt.Sprint("dlv_slow_", i), `"until `+receiverIsBack+`"`))
			if err != nil || a.Outcome != core.Delivered || held != 0 {
				t.Errorf("slow delivery %d: got %+v, %v after %d holds, want it delivered by the process that had it", i, a, err, held)
			}
		})
	}
	for find(t, h, "web").InFlight < 20 {
		time.Sleep(time.Millisecond) // nothing announces it
	}
	content, err := os.ReadFile(plugin(t, "notifier"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.Dir, ".new"), content, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(c.Dir, ".new"), filepath.Join(c.Dir, "web")); err != nil {
		t.Fatal(err)
	}
	for find(t, h, "web").PID == before || find(t, h, "web").State != "running" {
		if _, err := h.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, held, err := deliver(t.Context(), h, notification("web", "dlv_1", `"ok"`)); err != nil || held != 0 {
		t.Errorf("got %v after %d holds, want it delivered at once", err, held)
	}
	if got := find(t, h, "web"); got.InFlight != 20 || got.Restarts != 0 {
		t.Errorf("got %+v, want 20 in flight in the process before, and no restart", got)
	}
	if err := os.WriteFile(receiverIsBack, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	slow.Wait()
	for syscall.Kill(before, 0) == nil {
		time.Sleep(time.Millisecond) // until it has ended
	}
}
