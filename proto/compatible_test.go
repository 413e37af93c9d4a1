package proto_test

import (
	"os"
	"strings"
	"testing"

	"github.com/postrider/postrider/proto/internal/outline"
	"github.com/postrider/postrider/proto/pluginv1"
)

func TestPluginsInTheFieldGoOnWorking(t *testing.T) {
	recorded, err := os.ReadFile("testdata/protocol.golden")
	if err != nil {
		t.Fatal(err)
	}
	before, after := strings.Split(string(recorded), "\n"), outline.Of(pluginv1.File_plugin_proto)
	if len(before) < 50 {
		t.Fatalf("testdata/protocol.golden has %d lines: it records nothing", len(before))
	}
	for _, line := range outline.Missing(before, after) {
		t.Errorf("gone or changed: %s", line)
	}
	for _, line := range outline.Missing(after, before) {
		t.Logf("new: %s", line)
	}
	if t.Failed() {
		t.Log("plugins that are installed already would break: leave it as it is and add beside it, or begin version 2 of the protocol")
	}
}
