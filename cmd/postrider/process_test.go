package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// These tests run the real thing: built binaries, plugin processes, a daemon, HTTP on the loopback interface.

// binaries is what these tests run, laid out as `make build` does it. It is built when the first of them asks, and removed by TestMain.
var binaries struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	status := m.Run()
	if binaries.dir != "" {
		os.RemoveAll(binaries.dir)
	}
	os.Exit(status)
}

func buildBinaries() {
	if binaries.dir, binaries.err = os.MkdirTemp("", "postrider-built-"); binaries.err != nil {
		return
	}
	for folder, packages := range map[string][]string{
		"":         {"."},
		"plugins":  {"../../plugins/notifier-http"},
		"examples": {"../../examples/resolver-orders", "../../examples/notifier-console"},
		"subject":  {"../../sdk/conformance/testdata/subject"},
	} {
		target := filepath.Join(binaries.dir, folder) + string(filepath.Separator)
		build := exec.Command("go", append([]string{"build", "-o", target}, packages...)...)
		if output, err := build.CombinedOutput(); err != nil {
			binaries.err = fmt.Errorf("build %s: %w\n%s", packages, err, output)
			return
		}
	}
}

// executable returns the built postrider.
func executable(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and starts real processes")
	}
	binaries.once.Do(buildBinaries)
	if binaries.err != nil {
		t.Fatal(binaries.err)
	}
	return filepath.Join(binaries.dir, "postrider")
}

// process runs a command line as a process of its own, to its end.
func process(t *testing.T, temporary string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, executable(t), args...)
	c.Dir = temporary
	c.Env = append(os.Environ(), "TMPDIR="+temporary)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{c.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// nothingLeft fails the test where a command left files behind in its temporary directory.
func nothingLeft(t *testing.T, temporary string) {
	t.Helper()
	left, err := os.ReadDir(temporary)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		t.Errorf("%s was left behind", entry.Name())
	}
}

func TestDemoDeliversAnOrderAndCleansUp(t *testing.T) {
	temporary := shortTempDir(t)
	r := process(t, temporary, "demo", "--once", "--json", "--listen", "127.0.0.1:0")
	if r.status != exitOK {
		t.Fatalf("exit status %d: %s", r.status, r.stderr)
	}
	var got demoResult
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		t.Fatalf("%v in %s", err, r.stdout)
	}
	contains(t, string(got.Body), `"type": "sales.order.created"`, `"entity_id": 1`)
	if !strings.HasPrefix(got.DeliveryID, "dlv_") || !strings.HasPrefix(got.Event.ID, "evt_") || !got.Subscriber.Status {
		t.Errorf("got %+v", got)
	}
	nothingLeft(t, temporary)
}

func TestTheDemoStaysUntilCtrlCAndEverythingOfItGoesWithIt(t *testing.T) {
	program, temporary := executable(t), shortTempDir(t)
	c := exec.Command(program, "demo", "--listen", "127.0.0.1:0")
	c.Dir, c.Env = temporary, append(os.Environ(), "TMPDIR="+temporary)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as a shell gives each job a group, which Ctrl-C reaches as a whole
	var screen, stderr syncBuffer
	c.Stdout, c.Stderr = &screen, &stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	defer syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
	shows := func(text string) {
		t.Helper()
		for deadline := time.Now().Add(60 * time.Second); !strings.Contains(screen.String(), text); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s is not on the screen:\n%s%s", text, screen.String(), stderr.String())
			}
		}
	}
	shows("listen --fail-first 3")
	contains(t, screen.String(), `"type": "sales.order.created"`, `"entity_id": 1`, "until Ctrl-C")

	// What it says to do next, as it stands there.
	_, next, _ := strings.Cut(screen.String(), "  export POSTRIDER_DATA_DIR=")
	next, _, _ = strings.Cut(next, "\n\n")
	try := exec.Command("sh", "-euc", "export POSTRIDER_DATA_DIR="+next)
	try.Dir = temporary
	if output, err := try.CombinedOutput(); err != nil || !bytes.Contains(output, []byte("sales.order.created")) {
		t.Fatalf("what the demo says to do next: %v\n%s\n%s", err, try.Args[2], output)
	}
	shows(`"entity_id": 2`)

	if runtime.GOOS == "linux" && len(processesOf(t, temporary)) < 3 {
		t.Error("the demo's daemon and its plugins are not found among the processes")
	}
	if err := syscall.Kill(-c.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil || stderr.String() != "" {
			t.Errorf("after Ctrl-C it ended with %v; it said: %s", err, stderr.String())
		}
	case <-time.After(60 * time.Second):
		t.Fatalf("it does not end at Ctrl-C:\n%s", screen.String())
	}
	contains(t, screen.String(), "Stopping")
	if left := processesOf(t, temporary); len(left) > 0 {
		t.Errorf("the processes %v were left behind", left)
	}
	nothingLeft(t, temporary)
}

// processesOf returns the processes, where the system tells, that have a directory in their environment: as their place for temporary files, or for sockets.
func processesOf(t *testing.T, dir string) (found []string) {
	t.Helper()
	environments, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range environments {
		if content, err := os.ReadFile(path); err == nil && bytes.Contains(content, []byte("="+dir)) { // an error: it has just ended
			found = append(found, filepath.Base(filepath.Dir(path)))
		}
	}
	return found
}

// syncBuffer is what a process has said so far.
type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestServeRunsUntilItIsToldToStopAndLeavesASoundDatabase(t *testing.T) {
	program, dir := executable(t), shortTempDir(t)
	data := filepath.Join(dir, "data")
	c := exec.Command(program, "serve", "--data-dir", data, "--listen", "127.0.0.1:0")
	c.Dir = dir
	stderr, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Process.Kill()
	log := make(chan string, 1)
	go func() {
		var b strings.Builder
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			b.WriteString(lines.Text() + "\n")
		}
		log <- b.String()
	}()
	awaitFile(t, filepath.Join(data, "address"))

	contains(t, process(t, dir, "plugin", "list", "--data-dir", data).stdout, "http", "notifier", "running")
	held := process(t, dir, "db", "check", "--data-dir", data)
	if held.status != exitError {
		t.Errorf("db check beside a daemon: got exit status %d, want %d", held.status, exitError)
	}
	contains(t, held.stderr, "a daemon uses the database: stop it")

	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	said := <-log
	if err := c.Wait(); err != nil {
		t.Fatalf("serve ended with %v; it said:\n%s", err, said)
	}
	if strings.Contains(said, "prt_") {
		t.Error("the admin token is in the log")
	}
	contains(t, process(t, dir, "db", "check", "--data-dir", data).stdout, "is sound")
	contains(t, process(t, dir, "db", "stats", "--data-dir", data).stdout, "subscribers", "dead letters")
	contains(t, process(t, dir, "plugin", "list", "--data-dir", data).stderr, "no daemon is running")
}

func TestWebhookCheckNeedsNoDaemon(t *testing.T) {
	dir := shortTempDir(t)
	write := func(content string) {
		if err := os.WriteFile(filepath.Join(dir, "webhooks.yaml"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	examples := filepath.Join(filepath.Dir(executable(t)), "examples")
	write("webhooks:\n  stock.item.changed: {}\n  sales.order.created:\n    service: {class: 'Magento\\Sales\\Api\\OrderRepositoryInterface', method: get}\n")
	r := process(t, dir, "webhook", "check", "--plugin-dir", examples)
	if r.status != exitOK {
		t.Errorf("exit status %d: %s", r.status, r.stderr)
	}
	contains(t, r.stdout, "ok (orders)", "the arguments are the payload")

	write("webhooks:\n  sales.order.created:\n    service: {class: 'Nobody', method: get}\n")
	r = process(t, dir, "webhook", "check", "--plugin-dir", examples)
	if r.status != exitError {
		t.Errorf("a service that nobody offers: got exit status %d, want %d", r.status, exitError)
	}
	contains(t, r.stdout, "no resolver offers it")
	contains(t, r.stderr, "1 webhook could not work")
}

// shortTempDir is a temporary directory whose path leaves room for a socket's name: t.TempDir holds the whole name of the test.
func shortTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// awaitFile returns when the file is there.
func awaitFile(t *testing.T, path string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		if _, err := os.Stat(path); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s did not appear", path)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
