package main

import (
	"os"
	"testing"

	"github.com/postrider/postrider/sdk"
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

func start(t testing.TB) *sdktest.Plugin {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return sdktest.Launch(t, executable, asPlugin+"=1")
}

// launch starts the plugin, configured, with this machine allowed as a receiver unless allow says otherwise.
func launch(t *testing.T, configuration string, allow ...string) *sdktest.Plugin {
	t.Helper()
	p := start(t)
	if err := p.Configure(t.Context(), configuration, allow...); err != nil {
		t.Fatal(err)
	}
	return p
}

// notify makes one attempt, which the notifier must have a word on.
func notify(t *testing.T, p *sdktest.Plugin, d sdk.Delivery) sdk.Outcome {
	t.Helper()
	outcome, err := p.Notify(t.Context(), d)
	if err != nil {
		t.Error(err)
	}
	return outcome
}
