// Package sandbox runs a daemon of its own in a temporary directory: a real process of the same executable, as a user would start it, with its
// own configuration, plugins and data. Nothing of it is left when [Daemon.Stop] returns.
package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/postrider/postrider/core/daemon"
)

// Config says what the daemon is to be.
type Config struct {
	Executable string         // the postrider to run
	Parent     string         // where the temporary directory goes; "": the system's place
	Listen     string         // host:port; port 0: any
	Webhooks   string         // the content of webhooks.yaml
	PluginDir  string         // used where it lies; "": the daemon's default, beside the executable
	Plugins    []string       // files to copy into a plugin directory of the daemon's own, instead of PluginDir
	Queue      map[string]any // the section "queue" of its configuration; nil: the embedded queue
	LogLevel   string         // of what goes to Log
	Log        io.Writer
}

// Daemon is a running daemon process. Its methods are safe for concurrent use.
type Daemon struct {
	executable string
	dir        string
	url        string
	token      string
	command    *exec.Cmd
	log        *tail
	exited     chan struct{} // closed when the process is gone; err is set before
	err        error
	stop       sync.Once
}

const (
	startLimit = 30 * time.Second // until it is ready to take events
	stopLimit  = 30 * time.Second // above the daemon's own drain deadline
	pollPause  = 2 * time.Millisecond
)

// Start starts a daemon and returns when it takes events. Cancelling ctx gives up the start; it does not stop a daemon that runs.
func Start(ctx context.Context, c Config) (_ *Daemon, err error) {
	d := &Daemon{executable: c.Executable, exited: make(chan struct{}), log: &tail{to: c.Log}}
	if d.dir, err = os.MkdirTemp(c.Parent, "postrider-"); err != nil {
		return nil, fmt.Errorf("make a temporary directory: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Stop())
		}
	}()
	if err := d.prepare(c); err != nil {
		return nil, err
	}
	if err := d.run(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

// Restart starts a daemon that was ended again, on the same data and with the same plugins, and returns when it takes events. Its URL and its process are
// others. Nobody else may use d meanwhile.
func (d *Daemon) Restart(ctx context.Context) error {
	d.exited, d.err = make(chan struct{}), nil
	return d.run(ctx)
}

// run starts the process and waits until it takes events.
func (d *Daemon) run(ctx context.Context) error {
	d.command = exec.Command(d.executable, "serve", "--config", d.ConfigFile())
	d.command.Env = ownEnvironment(os.Environ())
	d.command.Dir = d.dir
	d.command.Stdout, d.command.Stderr = d.log, d.log
	d.command.WaitDelay = time.Second // its plugins hold on to the pipe for a moment
	d.command.SysProcAttr = processAttributes()
	if err := d.launch(); err != nil {
		d.command = nil
		return fmt.Errorf("start %s: %w", d.executable, err)
	}
	return d.await(ctx)
}

// prepare fills the temporary directory.
func (d *Daemon) prepare(c Config) error {
	if len(c.Plugins) > 0 {
		c.PluginDir = filepath.Join(d.dir, "plugins")
		if err := os.Mkdir(c.PluginDir, 0o755); err != nil {
			return err
		}
		for _, file := range c.Plugins {
			if err := install(file, c.PluginDir); err != nil {
				return fmt.Errorf("copy the plugin %s: %w", file, err)
			}
		}
	}
	settings := map[string]any{
		"listen":   c.Listen,
		"data_dir": "data",
		"webhooks": []string{"webhooks.yaml"},
		"egress":   map[string]any{"allow": []string{"127.0.0.1"}},
		"log":      map[string]any{"level": c.LogLevel},
	}
	if c.Queue != nil {
		settings["queue"] = c.Queue
	}
	if c.PluginDir != "" {
		settings["plugin_dir"] = c.PluginDir
	}
	content, err := yaml.Marshal(settings)
	if err != nil {
		return err
	}
	if err := os.WriteFile(d.ConfigFile(), content, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(d.dir, "webhooks.yaml"), []byte(c.Webhooks), 0o600)
}

// install copies an executable: a plugin must be a regular file.
func install(file, dir string) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(filepath.Join(dir, filepath.Base(file)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// ownEnvironment leaves out what would configure this daemon as if it were the user's.
func ownEnvironment(environ []string) []string {
	var kept []string
	for _, entry := range environ {
		if !strings.HasPrefix(entry, "POSTRIDER_") {
			kept = append(kept, entry)
		}
	}
	return kept
}

// await returns when the daemon is ready.
func (d *Daemon) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("the daemon was not ready within %s:\n%s", startLimit, d.log))
	defer cancel()
	for {
		if d.ready(ctx) {
			return nil
		}
		select {
		case <-d.exited:
			return fmt.Errorf("the daemon ended at once (%w); it said:\n%s", d.err, d.log)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pollPause):
		}
	}
}

func (d *Daemon) ready(ctx context.Context) bool {
	address, err := os.ReadFile(filepath.Join(d.DataDir(), daemon.AddressFile))
	if err != nil {
		return false
	}
	token, err := os.ReadFile(d.TokenFile())
	if err != nil {
		return false
	}
	d.url, d.token = "http://"+strings.TrimSpace(string(address)), strings.TrimSpace(string(token))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url+"/readyz", nil)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// Stop ends the daemon, by force where it does not end by itself, and removes its directory. Stopping twice is fine.
func (d *Daemon) Stop() error {
	var failed error
	d.stop.Do(func() {
		failed = errors.Join(d.End(), os.RemoveAll(d.dir))
	})
	return failed
}

// End ends the daemon, by force where it does not end by itself, and keeps its directory. Ending one that has ended is fine.
func (d *Daemon) End() error {
	if d.command == nil {
		return nil
	}
	_ = d.command.Process.Signal(syscall.SIGTERM) // an error means that it is gone already
	select {
	case <-d.exited:
		return nil
	case <-time.After(stopLimit):
	}
	_ = d.command.Process.Kill()
	<-d.exited
	return fmt.Errorf("the daemon did not stop within %s and was killed; it said:\n%s", stopLimit, d.log)
}

// URL returns where its API is.
func (d *Daemon) URL() string { return d.url }

// Token returns its admin token.
func (d *Daemon) Token() string { return d.token }

// Dir returns its temporary directory.
func (d *Daemon) Dir() string { return d.dir }

// DataDir returns its data directory.
func (d *Daemon) DataDir() string { return filepath.Join(d.dir, "data") }

// TokenFile returns the file that holds its admin token.
func (d *Daemon) TokenFile() string { return filepath.Join(d.DataDir(), daemon.TokenFile) }

// ConfigFile returns its configuration file.
func (d *Daemon) ConfigFile() string { return filepath.Join(d.dir, "postrider.yaml") }

// PID returns its process id.
func (d *Daemon) PID() int { return d.command.Process.Pid }

// Exited is closed when the process is gone.
func (d *Daemon) Exited() <-chan struct{} { return d.exited }

// Log returns the last it said.
func (d *Daemon) Log() string { return d.log.String() }

// tail passes on what is written and keeps the end of it.
type tail struct {
	mu   sync.Mutex
	to   io.Writer // nil: nowhere
	kept []byte
}

const tailLength = 4 << 10 // bytes

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - tailLength; over > 0 {
		t.kept = append([]byte(nil), t.kept[over:]...)
	}
	if t.to != nil {
		return t.to.Write(p)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.kept))
}
