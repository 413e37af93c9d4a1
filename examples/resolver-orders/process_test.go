package main

import (
	"context"
	"encoding/json"
	"os"
	"testing"
	"time"

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

// launchSelf starts the plugin of this folder, configured.
func launchSelf(t *testing.T, configuration string) *host.Process {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := launch(t, host.Config{Path: executable, Env: []string{asPlugin}})
	if err := p.Configure(t.Context(), json.RawMessage(configuration), nil); err != nil {
		t.Fatal(err)
	}
	return p
}

func launch(t *testing.T, c host.Config) *host.Process {
	t.Helper()
	p, err := host.Launch(t.Context(), c)
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
