// Package notifiernode tests the plugin of this folder, which is written in JavaScript.
package notifiernode

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/sdktest"
)

// needsNode fails the test where Node.js, or what the plugin stands on, is not installed; where that is allowed, it is skipped.
func needsNode(t *testing.T) {
	t.Helper()
	_, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat("node_modules")
	}
	switch {
	case err == nil:
	case os.Getenv("SKIP_SERVICES") == "1":
		t.Skipf("not run, as SKIP_SERVICES=1 allows: %v", err)
	default:
		t.Fatalf("%v: `make test` installs it where it may; else install Node.js and run npm ci in examples/notifier-node, or set SKIP_SERVICES=1 to leave it out", err)
	}
}

func TestThePluginPassesItsOwnTests(t *testing.T) {
	needsNode(t)
	if out, err := exec.CommandContext(t.Context(), "node", "--test").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestThePluginPassesTheChecksOfEveryNotifier(t *testing.T) {
	needsNode(t)
	path, err := filepath.Abs("notifier.js")
	if err != nil {
		t.Fatal(err)
	}
	sdktest.CheckNotifier(t, sdktest.NotifierCheck{
		Start:         func(t testing.TB) *sdktest.Plugin { return sdktest.Launch(t, path) },
		Configuration: `{"user_agent":"my shop"}`,
		Delivery:      sdk.Delivery{},
	})
}

func TestTheSampleIsAccepted(t *testing.T) {
	needsNode(t)
	content, err := os.ReadFile("postrider.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var sample struct {
		Plugins map[string]struct {
			Config map[string]string `yaml:"config"`
		} `yaml:"plugins"`
	}
	if err := yaml.Unmarshal(content, &sample); err != nil {
		t.Fatal(err)
	}
	agent := sample.Plugins["node"].Config["user_agent"]
	if agent == "" || len(sample.Plugins["node"].Config) != 1 {
		t.Fatalf("the sample doesn't show the one key that there is: %+v", sample)
	}
	path, err := filepath.Abs("notifier.js")
	if err != nil {
		t.Fatal(err)
	}
	if err := sdktest.Launch(t, path).Configure(t.Context(), `{"user_agent":"`+agent+`"}`); err != nil {
		t.Error(err)
	}
}
