// Package plugintest runs the tests of a plugin that is a program of this repository against the plugin as a process, through the real protocol. A
// plugin's tests call [Main] from their TestMain.
package plugintest

import (
	"encoding/json"
	"os"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/sdktest"
)

// asPlugin in the environment makes the test's own executable the plugin.
const asPlugin = "TEST_RUNS_AS_PLUGIN"

// Main runs the tests, or the plugin's main, where the tests have started it.
func Main(m *testing.M, main func()) {
	if os.Getenv(asPlugin) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// Start starts the plugin.
func Start(t testing.TB) *sdktest.Plugin {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return sdktest.Launch(t, executable, asPlugin+"=1")
}

// Launch starts the plugin, configured, with this machine allowed to be dialled unless allow says otherwise.
func Launch(t *testing.T, configuration string, allow ...string) *sdktest.Plugin {
	t.Helper()
	p := Start(t)
	if err := p.Configure(t.Context(), configuration, allow...); err != nil {
		t.Fatal(err)
	}
	return p
}

// Notify makes one attempt, which the notifier must have a word on.
func Notify(t *testing.T, p *sdktest.Plugin, d sdk.Delivery) sdk.Outcome {
	t.Helper()
	outcome, err := p.Notify(t.Context(), d)
	if err != nil {
		t.Error(err)
	}
	return outcome
}

// Samples returns the configurations that the plugin's sample, postrider.yaml, has for notifier names, as JSON. All of them must be of the plugin called so.
func Samples(t *testing.T, plugin string) map[string]string {
	t.Helper()
	content, err := os.ReadFile("postrider.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var sample struct {
		Notifiers map[string]struct {
			Plugin string `yaml:"plugin"`
			Config any    `yaml:"config"`
		} `yaml:"notifiers"`
	}
	if err := yaml.Unmarshal(content, &sample); err != nil {
		t.Fatal(err)
	}
	if len(sample.Notifiers) == 0 {
		t.Fatal("the sample configures no notifier")
	}
	configurations := make(map[string]string)
	for name, n := range sample.Notifiers {
		raw, err := json.Marshal(n.Config)
		if err != nil {
			t.Fatal(err)
		}
		if n.Plugin != plugin {
			t.Errorf("notifiers.%s: it is of the plugin %q, want %q", name, n.Plugin, plugin)
		}
		configurations[name] = string(raw)
	}
	return configurations
}
