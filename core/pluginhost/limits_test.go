package pluginhost_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/pluginhost"
)

func TestWhatMakesAPluginUseMoreMemoryThanItMayIsGivenUpAndTheOthersArrive(t *testing.T) {
	c := configOf(t)
	install(t, c.Dir, "web", "notifier")
	c.Limits = map[string]pluginhost.Limits{"web": {Memory: 128 << 20}}
	h := start(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", find(t, h, "web").PID)); err != nil || !bytes.Contains(env, []byte("GOMEMLIMIT=")) {
		t.Errorf("GOMEMLIMIT is not in its environment: %q, %v", env, err)
	}
	reasons := make(chan string, 1)
	go func() {
		for ctx.Err() == nil {
			for _, s := range h.Plugins() {
				if strings.Contains(s.Reason, "more than the 128 MiB of plugins.web.memory") {
					reasons <- s.Reason
					return
				}
			}
			time.Sleep(time.Millisecond) // nothing announces it
		}
		reasons <- ""
	}()
	_, held, err := deliver(ctx, h, notification("web", "dlv_1", `"grow"`))
	if !errors.Is(err, core.ErrPermanent) || held == 0 {
		t.Errorf("got %v after %d holds, want it given up", err, held)
	}
	if reason := <-reasons; reason == "" {
		t.Error("no reason was shown for the end of the process")
	}
	if a, _, err := deliver(ctx, h, notification("web", "dlv_2", `"ok"`)); err != nil || a.Outcome != core.Delivered {
		t.Errorf("got %+v, %v, want it delivered", a, err)
	}
	if s := find(t, h, "web"); s.Memory < 1<<20 || s.Memory > 128<<20 || s.Errors == 0 || s.Requests < 2 || s.P99 == 0 || s.Since.IsZero() {
		t.Errorf("got %+v, want its memory, its requests, an error and latencies", s)
	}
}

func TestAPluginRunsAsItsUserWithItsFilesAndAStrangerAsNobody(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can choose a user")
	}
	c := configOf(t)
	install(t, c.Dir, "web", "notifier")
	install(t, c.Dir, "shop", "resolver")
	script(t, c.Dir, "stranger", "id -u >&2; exit 1")
	c.Limits = map[string]pluginhost.Limits{"web": {User: "daemon"}, "shop": {Files: 64}}
	h := start(t, c)
	web := find(t, h, "web")
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", web.PID))
	if err != nil {
		t.Fatalf("%v: %+v", err, h.Plugins())
	}
	if !strings.Contains(string(status), "Uid:\t1\t1\t1\t1\n") || !strings.Contains(string(status), "Gid:\t1\t1\t1\t1\n") || !strings.Contains(string(status), "Groups:\t \n") {
		t.Errorf("it runs with\n%s", status)
	}
	if limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", find(t, h, "shop").PID)); err != nil || !strings.Contains(strings.Join(strings.Fields(string(limits)), " "), "Max open files 64 64") {
		t.Errorf("its limits are\n%s%v", limits, err)
	}
	if a, err := h.Notify(t.Context(), notification("web", "dlv_1", `"ok"`)); err != nil || a.Outcome != core.Delivered {
		t.Errorf("got %+v, %v, want it delivered", a, err)
	}
	if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", find(t, h, "shop").PID)); err != nil || !strings.Contains(string(status), "Uid:\t0\t") {
		t.Errorf("a plugin without a user runs with\n%s", status)
	}
	if s := find(t, h, "stranger"); !strings.Contains(s.Reason, "the last it said: 65534") {
		t.Errorf("a file that has not said what it is: %s; want it run by nobody", s.Reason)
	}
}

func TestLimitsThatCannotBeKeptAreRefused(t *testing.T) {
	for want, limits := range map[string]pluginhost.Limits{
		`plugins.web.user: there is no user "no-such-user"`: {User: "no-such-user"},
	} {
		c := configOf(t)
		c.Limits = map[string]pluginhost.Limits{"web": limits}
		if _, err := pluginhost.New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// lockedLog collects log lines of several goroutines.
type lockedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestWhatAPluginSaysIsLoggedWithItsNameAndTheDeliveryAndWithoutSecrets(t *testing.T) {
	c := configOf(t)
	var log lockedLog
	c.Logger = hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Info})
	install(t, c.Dir, "web", "notifier")
	c.Plugins = map[string]json.RawMessage{"web": json.RawMessage(`{"greeting":"hunter2\"!"}`)}
	c.Secrets = []string{`hunter2"!`}
	h := start(t, c)
	telling := notification("web", "dlv_77", `"tell"`)
	telling.Trace = core.TraceOf(core.Event{ID: "evt_1"}, "dlv_77", 1)
	a, err := h.Notify(t.Context(), telling)
	if err != nil || a.Reason != "it is [secret]" {
		t.Errorf("got %+v, %v, want the reason without the secret", a, err)
	}
	for deadline := time.Now().Add(10 * time.Second); strings.Count(log.String(), "[secret]") < 2 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond) // until both lines have come
	}
	said := log.String()
	for _, want := range []string{"printed [secret]: plugin=web", "logged [secret]: plugin=web delivery=dlv_77 trace=" + telling.Trace.ID()} {
		if !strings.Contains(said, want) {
			t.Errorf("the log lacks %q:\n%s", want, said)
		}
	}
	if strings.Contains(said, "hunter2") {
		t.Errorf("the log has the secret:\n%s", said)
	}
}

func TestAConfigurationIsHeldAgainstItsSchemaWithAWordOnWhatWasMeant(t *testing.T) {
	c := configOf(t)
	install(t, c.Dir, "web", "notifier")
	install(t, c.Dir, "shop", "resolver")
	c.Plugins = map[string]json.RawMessage{"web": json.RawMessage(`{"greting":"hunter2"}`), "shop": json.RawMessage(`{"a":1}`)}
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
		`plugins.web.config: plugin web refuses its configuration: there is no key "greting"`, `did you mean "greeting"?`,
		`plugins.shop.config: plugin shop refuses its configuration: it takes no configuration`,
	} {
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v, want %q and no value", err, want)
		}
	}
}

func TestARequestThatHangsHangsNoOther(t *testing.T) {
	c := configOf(t)
	install(t, c.Dir, "web", "notifier")
	h := start(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	var hanging sync.WaitGroup
	for i := range 10 {
		hanging.Go(func() { h.Notify(ctx, notification("web", fmt.Sprint("dlv_hangs_", i), `"wait"`)) })
	}
	for find(t, h, "web").InFlight < 10 {
		time.Sleep(time.Millisecond) // nothing announces it
	}
	began := time.Now()
	for i := range 1000 {
		if a, err := h.Notify(t.Context(), notification("web", fmt.Sprint("dlv_", i), `"ok"`)); err != nil || a.Outcome != core.Delivered {
			t.Fatalf("got %+v, %v", a, err)
		}
	}
	t.Logf("1000 deliveries beside 10 that hang took %v", time.Since(began))
	cancel()
	hanging.Wait()
}
