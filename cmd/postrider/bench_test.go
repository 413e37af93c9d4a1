package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/cmd/postrider/internal/bench"
	"github.com/postrider/postrider/cmd/postrider/internal/client"
	"github.com/postrider/postrider/cmd/postrider/internal/sandbox"
	"github.com/postrider/postrider/core/httpapi"
	"github.com/postrider/postrider/core/rabbitmq/brokertest"
)

// measured runs bench and returns its JSON.
func measured(t *testing.T, temporary string, args ...string) benchDocument {
	t.Helper()
	r := process(t, temporary, append([]string{"bench", "--json"}, args...)...)
	if r.status != exitOK {
		t.Fatalf("exit status %d: %s", r.status, r.stderr)
	}
	var got benchDocument
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		t.Fatalf("%v in %s", err, r.stdout)
	}
	return got
}

func figure(t *testing.T, of benchDocument, name string) float64 {
	t.Helper()
	for _, f := range of.Figures {
		if f.Name == name {
			return f.Value
		}
	}
	t.Errorf("%s has no figure %q: %+v", of.Scenario, name, of.Figures)
	return 0
}

// Each scenario runs with a daemon of its own, smaller than by default. What its figures are is the machine's business; that nothing is lost, and that
// they are there, and no nonsense, is the project's.
func TestEveryScenarioOfBenchMeasuresAndLosesNothing(t *testing.T) {
	small := strings.Fields("--events 2000 --rate 100 --duration 500ms --backlog 2000")
	small = slices.Clip(small) // it is appended to, by many at a time
	expected := map[string]struct {
		flags      string
		deliveries int // of all phases
		figures    []string
	}{
		"burst":      {"", 2000 + 2000 + 50, []string{"ratio", "delivered", "published", "raw POST", "at 100/s: p99", "CPU per event", "memory"}},
		"batches":    {"", 2000 + 2400, []string{"ratio", "delivered"}}, // in each of 8 turns, whole batches
		"rate":       {"", 50, []string{"at 100/s: p50", "at 100/s: p99"}},
		"fan-out":    {"--subscribers 40", 4*40 + 4*40, []string{"ratio", "delivered", "CPU per delivery"}},
		"slow":       {"--slow-share 0.2", 200 + 200, []string{"p99 of the healthy", "p50 of the healthy", "one hangs: p99"}},
		"failing":    {"", 125 + 125, []string{"p99 of the healthy", "one fails: p99"}},
		"neighbours": {"--subscribers 10", 200 + 200, []string{"p99 of the healthy", "two are ill: p99"}},
		"piled-up":   {"", 250 + 250 + 250, []string{"p99 of the healthy, it hangs", "p99 of the healthy, it answers 500", "right behind them"}},
		"resolver":   {"", 2000 + 2000 + 50, []string{"with / without", "delivered, resolved", "resolved, at 100/s: p99"}},
		"retries":    {"--events 50", 50, []string{"off the schedule: p50", "off the schedule: worst"}},
		"cold-start": {"", 1, []string{"start to first delivery", "start to ready"}},
		"idle":       {"", 0, []string{"memory in all"}},
		"many":       {"--subscribers 2000", 2 + 2*5, []string{"start to first delivery", "memory", "matching"}},
		"backlog":    {"", 2000 + 2000, []string{"drained / empty", "filled", "drained", "memory at most"}},
	}
	for _, s := range bench.Scenarios() {
		want, ok := expected[s.Name]
		if !ok {
			t.Errorf("say here what to expect of scenario %s", s.Name)
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			temporary := shortTempDir(t)
			args := append(small, strings.Fields(want.flags)...)
			got := measured(t, temporary, append(args, "--scenario", s.Name)...)
			if got.Lost != 0 || got.Duplicated != 0 {
				t.Errorf("%d lost, %d duplicated", got.Lost, got.Duplicated)
			}
			deliveries := 0
			for _, p := range got.Phases {
				deliveries += p.Deliveries
				if p.Latency.P50 <= 0 || p.Latency.P99 < p.Latency.P50 || p.PerSecond <= 0 {
					t.Errorf("phase %+v", p)
				}
			}
			if deliveries != want.deliveries {
				t.Errorf("got %d deliveries, want %d", deliveries, want.deliveries)
			}
			for _, name := range want.figures {
				if value := figure(t, got, name); value <= 0 {
					t.Errorf("%s: got %g", name, value)
				}
			}
			if got.Machine.Cores < 1 || got.Machine.CPU == "" || got.Machine.Sync <= 0 {
				t.Errorf("the machine is not described: %+v", got.Machine)
			}
			nothingLeft(t, temporary)
		})
	}
}

func TestBenchWithoutAScenarioHasItsRatioAtTheTop(t *testing.T) {
	temporary := shortTempDir(t)
	r := process(t, temporary, "bench", "--events", "800", "--rate", "0", "--json")
	var got map[string]any
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		t.Fatalf("%v: %s%s", err, r.stdout, r.stderr)
	}
	if ratio, ok := got["ratio"].(float64); !ok || ratio <= 0 || ratio > 2 || got["scenario"] != "burst" {
		t.Errorf("got ratio %v of %v", got["ratio"], got["scenario"])
	}
}

func TestBenchPrintsTextAndMarkdownAndDraws(t *testing.T) {
	temporary := shortTempDir(t)
	r := process(t, temporary, "bench", "--scenario", "burst", "--events", "800", "--rate", "100", "--duration", "300ms", "--runs", "2", "--svg", "b.svg")
	contains(t, r.stdout, "burst: deliveries against", "ratio", "deliveries per raw POST", "SPREAD", "LATENCY", "at 100/s", "0 deliveries lost")
	picture, err := os.ReadFile(filepath.Join(temporary, "b.svg"))
	if err != nil {
		t.Fatalf("%v: %s", err, r.stderr)
	}
	contains(t, string(picture), "<svg", "raw POST", "at 100/s", "</svg>")

	r = process(t, temporary, "bench", "--scenario", "rate,cold-start", "--rate", "100", "--duration", "300ms", "--markdown")
	contains(t, r.stdout, "| scenario | what |", "| `rate` | at 100/s: p50 |", "| `cold-start` | start to first delivery |", " cores, ")
}

// A daemon that runs is left as it was: running, and without the subscribers.
func TestBenchMeasuresADaemonThatRuns(t *testing.T) {
	program, temporary := executable(t), shortTempDir(t)
	d, err := sandbox.Start(t.Context(), sandbox.Config{
		Executable: program, Parent: temporary, Listen: "127.0.0.1:0", LogLevel: "warn", Webhooks: "webhooks: {stock.changed: {}, order.changed: {}}\n",
		Plugins: []string{filepath.Join(filepath.Dir(program), "plugins", "notifier-http")},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	}()
	where := []string{"--url", d.URL(), "--token", d.Token(), "--events", "500", "--duration", "300ms"}
	got := measured(t, temporary, append(where, "--event", "stock.changed,order.changed", "--scenario", "slow")...)
	if got.Lost != 0 || figure(t, got, "p99 of the healthy") <= 0 {
		t.Errorf("got %+v", got)
	}
	if got := measured(t, temporary, append(where, "--event", "stock.changed")...); figure(t, got, "ratio") <= 0 || figure(t, got, "CPU per event") <= 0 {
		t.Errorf("burst: got %+v", got)
	}

	api, err := client.New(client.Config{URL: d.URL(), Token: d.Token()})
	if err != nil {
		t.Fatal(err)
	}
	var left httpapi.Page[httpapi.Subscriber]
	if err := api.Call(context.Background(), client.Request{Method: http.MethodGet, Path: []string{"v1", "subscribers"}}, &left); err != nil {
		t.Fatal(err)
	}
	if len(left.Items) != 0 {
		t.Errorf("%d subscribers were left behind", len(left.Items))
	}

	r := process(t, temporary, append([]string{"bench", "--event", "stock.changed", "--scenario", "slow"}, where...)...)
	contains(t, r.stderr, "2 webhooks without a service are needed, and 1 named")
	r = process(t, temporary, append([]string{"bench", "--scenario", "cold-start"}, where...)...)
	contains(t, r.stderr, "leave out --url")
}

// A bench at work is told to end, or killed: daemon, plugins and the process that publishes end with it.
func TestNoProcessOfBenchOutlivesIt(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells which processes there are, and ends a daemon with the one that started it")
	}
	for name, end := range map[string]func(pid int) error{
		"killed": func(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) },
		"Ctrl-C": func(pid int) error { return syscall.Kill(-pid, syscall.SIGINT) }, // which reaches the whole group
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			temporary := shortTempDir(t)
			c := exec.Command(executable(t), "bench", "--scenario", "rate", "--events", "1", "--rate", "20", "--duration", "1h")
			c.Dir, c.Env = temporary, append(os.Environ(), "TMPDIR="+temporary)
			c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			var stderr syncBuffer
			c.Stderr = &stderr
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			defer syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
			eventually := func(what string, holds func() bool) {
				t.Helper()
				for deadline := time.Now().Add(60 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatalf("%s: not within a minute; it said: %s", what, stderr.String())
					}
				}
			}
			eventually("it publishes", func() bool { return strings.Contains(stderr.String(), "at 20/s") })
			if !slices.ContainsFunc(processesOf(t, temporary), publishes) {
				t.Fatal("no process publishes for it")
			}
			if err := end(c.Process.Pid); err != nil {
				t.Fatal(err)
			}
			_ = c.Wait() // it fails, as it was to
			eventually("its processes are gone", func() bool { return len(processesOf(t, temporary)) == 0 })
			if name == "Ctrl-C" {
				nothingLeft(t, temporary)
				if !strings.HasSuffix(stderr.String(), "at 20/s\npostrider: interrupted\n") {
					t.Errorf("it said: %s", stderr.String())
				}
			}
		})
	}
}

func publishes(pid string) bool {
	command, err := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
	return err == nil && bytes.Contains(command, []byte(bench.PublisherCommand))
}

func TestBenchPublishesOverAMQPAndLeavesNothingOnTheBroker(t *testing.T) {
	b := brokertest.Start(t, brokertest.Config{})
	temporary := shortTempDir(t)
	got := measured(t, temporary, "--queue", b.URL(), "--events", "2000", "--rate", "100", "--duration", "500ms", "--batch", "10")
	if got.Ratio <= 0 || got.Lost != 0 || got.Duplicated != 0 {
		t.Errorf("got %+v", got)
	}
	nothingLeft(t, temporary)
	if queues := strings.TrimSpace(b.Ctl(t, "list_queues", "name")); queues != "name" && queues != "" {
		t.Errorf("queues are left: %s", queues)
	}
	if exchanges := b.Ctl(t, "list_exchanges", "name"); strings.Contains(exchanges, "bench") {
		t.Errorf("exchanges are left: %s", exchanges)
	}
}
