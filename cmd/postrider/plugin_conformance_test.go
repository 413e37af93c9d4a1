package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// built returns a built plugin; kind is "plugins" or "examples".
func built(t *testing.T, kind, name string) string {
	t.Helper()
	return filepath.Join(filepath.Dir(executable(t)), kind, name)
}

// subject returns the plugin of package conformance's tests that breaks the rule it is called by.
func subject(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	content, err := os.ReadFile(built(t, "subject", "subject"))
	if err == nil {
		err = os.WriteFile(path, content, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPluginTestSaysOfEachCheckWhatCameOfIt(t *testing.T) {
	t.Parallel()
	dir := shortTempDir(t)
	r := process(t, dir, "plugin", "test", built(t, "examples", "resolver-orders"),
		"--call", `Magento\Sales\Api\OrderRepositoryInterface::get {"id": 1}`)
	if r.status != exitOK {
		t.Errorf("exit status %d: %s", r.status, r.stderr)
	}
	contains(t, r.stdout, "orders 1.0.0, a resolver", "passed    answers with a payload", "skipped   holds nobody up", "15 passed, 0 failed, 1 skipped.")
	nothingLeft(t, dir)
}

func TestPluginTestFailsAPluginThatBreaksARuleAndSaysWhatToDo(t *testing.T) {
	t.Parallel()
	path := subject(t, "notifier-gullible")
	r := process(t, shortTempDir(t), "plugin", "test", path)
	if r.status != exitError {
		t.Errorf("got exit status %d, want %d", r.status, exitError)
	}
	contains(t, r.stdout, "FAILED    refuses a bad configuration", "- it accepts the configuration []", "What to do: Check the configuration against the schema",
		"passed    holds nobody up")
	contains(t, r.stderr, "subject fails 1 check that every plugin must pass")

	r = process(t, shortTempDir(t), "plugin", "test", path, "--json")
	var report conformanceReport
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || r.status != exitError {
		t.Fatalf("exit status %d, %v in %s", r.status, err, r.stdout)
	}
	if report.Name != "subject" || report.Role != "notifier" || report.Failed != 1 || report.Passed+report.Skipped+1 != len(report.Checks) || report.Passed < 14 {
		t.Errorf("got %+v", report)
	}
	for _, c := range report.Checks {
		if failed := c.Name == "refuses a bad configuration"; failed != (c.Verdict == "failed") || failed != (c.Advice != "") || failed != (len(c.Problems) > 0) || c.Rule == "" {
			t.Errorf("got %+v", c)
		}
	}
}

func TestPluginTestConfiguresThePluginAsADaemonWould(t *testing.T) {
	t.Parallel()
	orders, dir := built(t, "examples", "resolver-orders"), shortTempDir(t)
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	call := `Magento\Sales\Api\OrderRepositoryInterface::get {"id": 4711}`
	file := write("orders.json", `[{"entity_id": 4711}]`)
	config := write("shop.yaml", "plugins:\n  orders: {config: {file: "+file+"}}\n")
	if r := process(t, dir, "plugin", "test", orders, "--config", config, "--call", call); r.status != exitOK {
		t.Errorf("exit status %d: %s%s", r.status, r.stdout, r.stderr)
	}
	r := process(t, dir, "plugin", "test", orders, "--call", call) // without it, that order isn't there
	contains(t, r.stdout, "FAILED    answers with a payload", "no order 4711 in the example's own list")

	write("postrider.yaml", "plugins:\n  orders: {config: {fiel: x}}\n") // the one of the working directory
	contains(t, process(t, dir, "plugin", "test", orders).stderr, `there is no key "fiel"`, "--config FILE, where plugins.orders.config says it")
}

func TestPluginTestSaysWhatIsWrongWithItsArguments(t *testing.T) {
	t.Parallel()
	orders, console := built(t, "examples", "resolver-orders"), built(t, "examples", "notifier-console")
	text := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(text, []byte("no plugin"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{text}, exitError, "notes.txt is not executable: run chmod +x"},
		{[]string{executable(t)}, exitError, "where a Postrider plugin prints its handshake"},
		{[]string{}, exitUsage, "plugin test wants PATH"},
		{[]string{orders, "--call", "get"}, exitUsage, `--call "get" can't be read: it takes CLASS::METHOD`},
		{[]string{orders, "--call", "A::b {"}, exitUsage, "the arguments of A::b are not JSON"},
		{[]string{orders, "--call", "A::b"}, exitUsage, "orders offers no such service; `postrider plugin inspect"},
		{[]string{orders, "--recipient", "http://127.0.0.1/"}, exitUsage, "--recipient is for a notifier, and orders is a resolver"},
		{[]string{console, "--settings", "{"}, exitUsage, "--settings is not JSON"},
		{[]string{console, "--notifier", "mine"}, exitError, `the configuration has no notifier "mine" over the plugin "console"`},
	} {
		r := process(t, t.TempDir(), append([]string{"plugin", "test"}, test.args...)...)
		if r.status != test.status {
			t.Errorf("%q: got exit status %d, want %d", test.args, r.status, test.status)
		}
		contains(t, r.stderr, test.want)
	}
}
