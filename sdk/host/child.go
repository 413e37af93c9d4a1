package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin"

	"github.com/postrider/postrider/sdk/internal/wire"
)

// outputGrace is how long the output of a dead plugin is waited for: a process that it started, and that left its group, may hold the
// pipes open.
const outputGrace = time.Second

// child is the plugin's process. To go-plugin it is a runner.Runner; go-plugin's own would leave the processes that a plugin starts alive,
// pass the daemon's standard input on, and notice a plugin's death only when all of its children have closed their output.
type child struct {
	path      string
	opened    *os.File // what is run; nil: what lies at path
	limits    Limits
	socketDir string
	env       []string
	output    *output
	cmd       *exec.Cmd

	stdout, stderr *os.File // our ends of its pipes
	readers        sync.WaitGroup
	exited         chan struct{} // closed when it has exited and was waited for
	started        bool          // set before anybody else can see it

	mu     sync.Mutex
	alive  bool // its process id is its own
	killed bool // also before it lives
}

func newChild(c Config, socketDir string) *child {
	return &child{
		path:      c.Path,
		opened:    c.Executable,
		limits:    c.Limits,
		socketDir: socketDir,
		env:       append(environment(c), wire.LogLevelVariable+"="+c.Logger.GetLevel().String()),
		output:    newOutput(c.Logger, c.Path, c.Hide),
		exited:    make(chan struct{}),
	}
}

// environment returns the plugin's environment, with what its limits add.
func environment(c Config) []string {
	env := slices.Clone(c.Env)
	if c.Limits.User != nil {
		env = append(env, "HOME="+c.Limits.User.Home)
	}
	if c.Limits.Memory > 0 {
		env = append(env, "GOMEMLIMIT="+strconv.FormatInt(c.Limits.Memory, 10))
	}
	return env
}

// prepare takes over the environment of the handshake.
func (c *child) prepare(env []string) {
	c.env = append(c.env, env...)
	c.env = append(c.env, plugin.EnvUnixSocketDir+"="+c.socketDir) // later ones win
}

// Start starts the process. A thread is kept for it as long as it lives: the kernel kills the plugin when the thread that started it ends
// (PR_SET_PDEATHSIG), and Go ends threads as it likes unless they are locked.
func (c *child) Start(context.Context) error {
	stdout, childStdout, err := os.Pipe()
	if err != nil {
		return err
	}
	stderr, childStderr, err := os.Pipe()
	if err != nil {
		stdout.Close()
		childStdout.Close()
		return err
	}
	c.stdout, c.stderr = stdout, stderr
	c.cmd = command(c.path, c.opened)
	c.cmd.Env = c.env
	c.cmd.Stdout, c.cmd.Stderr = childStdout, childStderr
	c.cmd.SysProcAttr = processAttributes()
	if user := c.limits.User; user != nil {
		c.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(user.ID), Gid: uint32(user.Group)}
	}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.begin()
		started <- err
		if err == nil {
			c.await()
		}
	}()
	err = <-started
	childStdout.Close()
	childStderr.Close()
	if err != nil {
		stdout.Close()
		stderr.Close()
		return err
	}
	c.started = true
	c.readers.Go(func() { c.output.readStdout(stdout) })
	c.readers.Go(func() { c.output.readStderr(stderr) })
	return nil
}

// begin starts the process; one that was killed before doesn't live long.
func (c *child) begin() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.cmd.Start(); err != nil {
		return err
	}
	c.alive = true
	if c.limits.Files > 0 {
		if err := limitFiles(c.cmd.Process.Pid, c.limits.Files); err != nil {
			c.killed = true
			why := fmt.Sprintf("its open files can't be limited: %v", err)
			if errors.Is(err, syscall.EPERM) {
				why += "; give the daemon CAP_SYS_RESOURCE, or limit the files of plugins alone that run as the daemon's own user"
			}
			c.output.remember(why)
		}
	}
	if c.killed {
		c.signal(syscall.SIGKILL)
	}
	return nil
}

// await waits for the end of the process and ends what it leaves behind.
func (c *child) await() {
	awaitExit(c.cmd.Process.Pid) // it is still there for the kernel, so that its group can't be another one's
	c.mu.Lock()
	c.signal(syscall.SIGKILL)
	c.cmd.Wait() //nolint:errcheck // its ProcessState says it
	c.alive = false
	c.mu.Unlock()
	deadline := time.Now().Add(outputGrace)
	c.stdout.SetReadDeadline(deadline) //nolint:errcheck // pipes have deadlines
	c.stderr.SetReadDeadline(deadline) //nolint:errcheck
	close(c.exited)
}

// signal signals the process group. The caller holds c.mu.
func (c *child) signal(s syscall.Signal) {
	if c.alive {
		syscall.Kill(-c.cmd.Process.Pid, s) //nolint:errcheck // a group that is gone needs no signal
	}
}

func (c *child) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.killed = true
	c.signal(syscall.SIGKILL)
}

func (c *child) terminate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signal(syscall.SIGTERM)
}

// wait waits for the end of the process and of its output, and removes its socket. It returns at once if it was never started.
func (c *child) wait() {
	if !c.started {
		return
	}
	<-c.exited
	c.readers.Wait()
	c.stdout.Close()
	c.stderr.Close()
	if socket := c.output.socket(); strings.HasPrefix(socket, c.socketDir) {
		os.Remove(socket) // a killed plugin doesn't do it
	}
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// reason says how the process ended, as an error. The child has been waited for.
func (c *child) reason(verb string) error {
	return errors.New(c.ending(verb))
}

func (c *child) ending(verb string) string {
	s := fmt.Sprintf("%s (%v)", verb, c.cmd.ProcessState)
	if words := c.output.lastWords(); words != "" {
		s += "; the last it said: " + words
	}
	return s
}

// silence says what there is to know of a plugin that did not answer in time. The child has been waited for.
func (c *child) silence() string {
	if !c.started {
		return "it was not even started"
	}
	if words := c.output.lastWords(); words != "" {
		return "the last it said: " + words
	}
	return "it is no Postrider plugin, or does something long before sdk.ServeResolver or sdk.ServeNotifier"
}

// diagnose says why the start failed with err. The child has been waited for.
func (c *child) diagnose(err error) string {
	var describe describeError
	if errors.As(err, &describe) {
		return describe.Error()
	}
	if !c.started {
		if errors.Is(err, syscall.ENOEXEC) {
			return "is not a program that this machine can run: build it for " + runtime.GOOS + "/" + runtime.GOARCH
		}
		if errors.Is(err, syscall.EACCES) && c.limits.User != nil {
			return fmt.Sprintf("can't be launched by user %d, whom it is to run as: chmod o+rx %s", c.limits.User.ID, c.path)
		}
		return fmt.Sprintf("can't be launched: %v", err)
	}
	line, there := c.output.handshake()
	parts := strings.Split(line, "|")
	switch {
	case !there:
		return c.ending("exits at once, without the handshake of a Postrider plugin")
	case len(parts) < 4 || parts[0] != "1":
		return fmt.Sprintf("prints %q where a Postrider plugin prints its handshake: it is no plugin, or it prints something before "+
			"sdk.ServeResolver or sdk.ServeNotifier", shorten(line, 120))
	case parts[1] != strconv.Itoa(wire.ProtocolVersion):
		return fmt.Sprintf("speaks version %s of the plugin protocol, and this daemon version %d: %s", shorten(parts[1], 20), wire.ProtocolVersion, otherVersion(parts[1]))
	case len(parts) < 5 || parts[4] != "grpc":
		return "speaks net/rpc, not gRPC: it is a go-plugin plugin for another program"
	}
	return fmt.Sprintf("shakes hands, but can't be connected to: %v", err)
}

// otherVersion says what to do about a plugin whose protocol has another version.
func otherVersion(version string) string {
	if v, err := strconv.Atoi(version); err == nil && v > wire.ProtocolVersion {
		return "update Postrider, or install the release of the plugin that was made for this one"
	}
	return "update the plugin, or build it with this daemon's SDK"
}

// What follows is for go-plugin.

// Wait waits until the process has exited.
func (c *child) Wait(context.Context) error {
	<-c.exited
	if c.cmd.ProcessState.Success() {
		return nil
	}
	return c.reason("exited")
}

// Kill kills the process group.
func (c *child) Kill(context.Context) error {
	c.kill()
	return nil
}

// Stdout has the handshake line alone; what else the plugin prints is logged.
func (c *child) Stdout() io.ReadCloser { return c.output.handshakeReader }

// Stderr has nothing: logging what the plugin says is our work. (go-plugin's own reader panics on a line like {"@message":1}.)
func (c *child) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name returns the path of the file.
func (c *child) Name() string { return c.path }

// ID returns the process id; "" before there is a process.
func (c *child) ID() string {
	if !c.started {
		return ""
	}
	return strconv.Itoa(c.pid())
}

// Diagnose returns nothing: diagnose does it.
func (c *child) Diagnose(context.Context) string { return "" }

// PluginToHost returns the address as it is.
func (c *child) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

// HostToPlugin returns the address as it is.
func (c *child) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
