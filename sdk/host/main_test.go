package host_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/postrider/postrider/sdk/host"
)

// subject is the built plugin of testdata/subject.
var subject string

// TestMain builds the plugin that the tests launch. Started again by a test with HOST_OF, it is a daemon: see TestAPluginDiesWithItsDaemon.
func TestMain(m *testing.M) {
	if path := os.Getenv("HOST_OF"); path != "" {
		beDaemon(path)
	}
	if versions := os.Getenv(offers); versions != "" {
		bePlugin(versions)
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "host")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	subject = filepath.Join(dir, "subject")
	if out, err := exec.Command("go", "build", "-o", subject, "./testdata/subject").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the test's plugin: %v\n%s", err, out)
		return 1
	}
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// beDaemon launches the plugin, prints its process id, and waits to be killed.
func beDaemon(path string) {
	p, err := host.Launch(context.Background(), host.Config{Path: path})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(p.PID())
	select {}
}

// launch starts the subject in one of its roles and configures it.
func launch(t testing.TB, role string) *host.Process {
	t.Helper()
	p, _ := launchLogged(t, role)
	return p
}

func launchLogged(t testing.TB, role string) (*host.Process, *logBuffer) {
	t.Helper()
	logs := new(logBuffer)
	p, err := host.Launch(t.Context(), host.Config{
		Path:      subject,
		SocketDir: socketDir(t),
		Env:       []string{"SUBJECT=" + role, "PATH=" + os.Getenv("PATH")},
		Logger:    hclog.New(&hclog.LoggerOptions{Output: logs, Level: hclog.Info, DisableTime: true}),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, p) })
	if err := p.Configure(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	return p, logs
}

func stop(t testing.TB, p *host.Process) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()     // cut off what is in flight
	p.Close(ctx) //nolint:errcheck // tests that care for it close it themselves
	if running(p.PID()) {
		t.Errorf("process %d still runs after Close", p.PID())
	}
}

// socketDir returns a directory whose path is short enough for sockets, unlike those of t.TempDir.
func socketDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sock")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%d files are left in the socket directory, such as %s", len(left), left[0])
		}
		os.RemoveAll(dir)
	})
	return dir
}

// running reports whether a process exists and is no zombie.
func running(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// freeze stops a process, and returns once it has stopped: its threads may go on for a moment after the signal.
func freeze(t testing.TB, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the process has stopped", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err == nil && strings.Contains(string(stat), ") T ")
	})
}

// eventually waits for a condition that nothing announces.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("waited 10 s in vain: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// logBuffer keeps log lines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) waitFor(t testing.TB, line string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%q in the log", line), func() bool { return strings.Contains(l.String(), line) })
}
