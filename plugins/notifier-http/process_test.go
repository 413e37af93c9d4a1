package main

import (
	"context"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/host"
)

// asPlugin makes the test's own executable the plugin, so that the tests cross a real process and the real protocol.
const asPlugin = "TEST_RUNS_AS_PLUGIN=1"

func TestMain(m *testing.M) {
	if os.Getenv("TEST_RUNS_AS_PLUGIN") == "1" {
		main()
		return
	}
	os.Exit(m.Run())
}

// launch starts the plugin, configured, with this machine allowed as a receiver.
func launch(t *testing.T, configuration string) *host.Process {
	t.Helper()
	return launchAllowing(t, configuration, "127.0.0.1")
}

func launchAllowing(t *testing.T, configuration string, allow ...string) *host.Process {
	t.Helper()
	p := start(t)
	if err := p.Configure(t.Context(), json.RawMessage(configuration), allow); err != nil {
		t.Fatal(err)
	}
	return p
}

// configure starts the plugin and returns what it says to the configuration.
func configure(t *testing.T, configuration string) error {
	t.Helper()
	return start(t).Configure(t.Context(), json.RawMessage(configuration), nil)
}

func start(t *testing.T) *host.Process {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := host.Launch(t.Context(), host.Config{Path: executable, Env: []string{asPlugin}})
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
	return p
}

// notify makes one attempt, which the notifier must have a word on.
func notify(t *testing.T, p *host.Process, d sdk.Delivery) sdk.Outcome {
	t.Helper()
	outcome, err := p.Notify(t.Context(), d)
	if err != nil {
		t.Error(err)
	}
	return outcome
}
