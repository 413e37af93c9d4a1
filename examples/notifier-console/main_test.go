package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.yaml.in/yaml/v3"

	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/host"
	"github.com/postrider/postrider/sdk/sdktest"
)

// asPlugin makes the test's own executable the plugin, so that the tests cross a real process and the real protocol.
const asPlugin = "TEST_RUNS_AS_PLUGIN"

func TestMain(m *testing.M) {
	if os.Getenv(asPlugin) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestThePluginPassesTheChecksOfEveryNotifier(t *testing.T) {
	sdktest.CheckNotifier(t, sdktest.NotifierCheck{
		Start:    func(t testing.TB) *sdktest.Plugin { return sdktest.Launch(t, executable(t), asPlugin+"=1") },
		Delivery: sdk.Delivery{URL: "https://example.com/orders"},
	})
}

func executable(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// daemonLog is what the daemon would log. It announces each line.
type daemonLog struct {
	mu    sync.Mutex
	text  bytes.Buffer
	lines chan string
}

func (l *daemonLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	for {
		line, err := l.text.ReadString('\n')
		if err != nil {
			l.text.WriteString(line) // not a whole one yet
			return len(p), nil
		}
		l.lines <- line
	}
}

func TestADeliveryIsALineOfTheDaemonsLog(t *testing.T) {
	log := &daemonLog{lines: make(chan string, 100)}
	p, err := host.Launch(t.Context(), host.Config{
		Path: executable(t), Env: []string{asPlugin + "=1"}, Logger: hclog.New(&hclog.LoggerOptions{Output: log, Level: hclog.Info}),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := p.Configure(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}

	outcome, err := p.Notify(t.Context(), sdk.Delivery{
		ID: "dlv_1", Attempt: 3, Event: "sales.order.created", Time: time.Date(2026, 1, 31, 9, 30, 0, 0, time.UTC),
		Payload: json.RawMessage("{\n  \"entity_id\": 1\n}"), URL: "https://example.com/orders", Token: "a secret", Envelope: "standard",
	})
	if want := sdk.Delivered(); err != nil || outcome != want {
		t.Errorf("got %+v (%v), want %+v", outcome, err, want)
	}
	want := `dlv_1 attempt 3 to https://example.com/orders: ` +
		`{"type":"sales.order.created","timestamp":"2026-01-31T09:30:00.000Z","data":{"entity_id":1}}`
	for {
		select {
		case line := <-log.lines:
			if strings.Contains(line, "a secret") {
				t.Errorf("the token is in the log: %s", line)
			}
			if strings.Contains(line, want) {
				return
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no line of the log has %s", want)
		}
	}
}

func TestTheSampleNamesThisPlugin(t *testing.T) {
	content, err := os.ReadFile("postrider.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var sample struct {
		Notifiers map[string]struct{ Plugin string } `yaml:"notifiers"`
	}
	if err := yaml.Unmarshal(content, &sample); err != nil {
		t.Fatal(err)
	}
	if got := sample.Notifiers["default"].Plugin; got != "console" {
		t.Errorf("the sample's notifier is %q, want console", got)
	}
}
