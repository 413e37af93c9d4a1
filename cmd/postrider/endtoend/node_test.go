package endtoend

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// notifierNode returns the plugin in JavaScript.
func notifierNode(t *testing.T) string {
	t.Helper()
	folder, err := filepath.Abs("../../../examples/notifier-node")
	if err != nil {
		t.Fatal(err)
	}
	_, err = exec.LookPath("node")
	if err == nil {
		_, err = os.Stat(filepath.Join(folder, "node_modules"))
	}
	switch {
	case err == nil:
	case os.Getenv("SKIP_SERVICES") == "1":
		t.Skipf("not run, as SKIP_SERVICES=1 allows: %v", err)
	default:
		t.Fatalf("%v: `make test` installs it where it may; else install Node.js and run npm ci in examples/notifier-node, or set SKIP_SERVICES=1 to leave it out", err)
	}
	return filepath.Join(folder, "notifier.js")
}

func TestAPluginInAnotherLanguageDelivers(t *testing.T) {
	t.Parallel()
	script := notifierNode(t)
	in := install(t, "notifiers: {default: {plugin: node}}", "plugins: {node: {config: {user_agent: my shop}}}")
	in.ownPlugins("resolver-orders")
	in.write("wrapper", "#!/bin/sh\nexec node "+script+"\n") // as its README says
	in.installPlugin(filepath.Join(in.dir, "wrapper"), "notifier-node")
	d := in.serve()
	r := receive(t, func(n int, _ received) int { return []int{500, 200}[min(n, 2)-1] })
	d.subscribe("sales.order.created", r.URL)
	in.postrider("publish", "sales.order.created", "--args", `{"id":1}`)
	eventually(t, "the delivery came a second time", func() bool { return len(r.all()) == 2 })
	first, second := r.all()[0], r.all()[1]
	if first.ID == "" || first.ID != second.ID || second.Attempt != "2" || second.Header.Get("User-Agent") != "my shop" ||
		!strings.HasPrefix(string(second.Body), `{"type":"sales.order.created","timestamp":"`) || !strings.Contains(string(second.Body), `"entity_id": 1`) {
		t.Errorf("got %+v\nand %+v: %s", first, second, second.Body)
	}
	eventually(t, "it is delivered", func() bool { return strings.Contains(in.postrider("delivery", "list"), "delivered") })
	d.stop()
}

func TestAPluginInAnotherLanguagePassesPluginTest(t *testing.T) {
	t.Parallel()
	script := notifierNode(t)
	if out := install(t).postrider("plugin", "test", script); !strings.Contains(out, "16 passed, 0 failed, 0 skipped.") {
		t.Errorf("got\n%s", out)
	}
}
