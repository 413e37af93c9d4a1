package daemon_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/postrider/postrider/core/config"
	"github.com/postrider/postrider/core/daemon"
)

// BenchmarkDeliver is the path of one event from publish to receipt, in one process but for the plugin, so that -cpuprofile and -memprofile show
// where the daemon's time goes:
//
//	go test -run '^$' -bench Deliver -benchtime 20000x -cpuprofile cpu.out ./core/daemon
//
// `postrider bench` is the one that measures.
func BenchmarkDeliver(b *testing.B) {
	dir := b.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "plugins", "notifier-http"), "github.com/postrider/postrider/plugins/notifier-http")
	if output, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, output)
	}
	webhooks := filepath.Join(dir, "webhooks.yaml")
	if err := os.WriteFile(webhooks, []byte("webhooks: {bench.event: {}}\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	c, err := config.Load("", nil, map[string]string{
		"listen": "127.0.0.1:0", "data_dir": filepath.Join(dir, "data"), "plugin_dir": filepath.Join(dir, "plugins"),
		"webhooks": webhooks, "egress.allow": "127.0.0.1",
	})
	if err != nil {
		b.Fatal(err)
	}
	d, err := daemon.New(c, hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr}))
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	}()
	<-d.Ready()

	var received atomic.Int64
	all := make(chan struct{})
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if received.Add(1) == int64(b.N) {
			close(all)
		}
	}))
	defer receiver.Close()
	token, err := os.ReadFile(filepath.Join(dir, "data", daemon.TokenFile))
	if err != nil {
		b.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	post := func(path, body string) error {
		request, err := http.NewRequest("POST", "http://"+d.Addr()+path, strings.NewReader(body))
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+string(bytes.TrimSpace(token)))
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		said, err := io.ReadAll(answer.Body)
		if answer.StatusCode >= 300 {
			return fmt.Errorf("%d %s", answer.StatusCode, said)
		}
		return err
	}
	if err := post("/v1/subscribers", fmt.Sprintf(`{"event":"bench.event","url":%q}`, receiver.URL)); err != nil {
		b.Fatal(err)
	}

	body := fmt.Sprintf(`{"event":"bench.event","arguments":{"text":%q}}`, strings.Repeat("x", 1000))
	var left atomic.Int64
	left.Store(int64(b.N))
	var publishers sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range 64 {
		publishers.Go(func() {
			for left.Add(-1) >= 0 {
				if err := post("/v1/events", body); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	publishers.Wait()
	if !b.Failed() {
		<-all
	}
	b.StopTimer()
}
