package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"

	"github.com/postrider/postrider/sdk/internal/wire"
)

// MaxSocketDir is the longest path of [Config].SocketDir, in bytes. It leaves room for "/plugin1234567890" in the 107 bytes that a Unix socket's
// path may have (unix(7)).
const MaxSocketDir = 107 - len("/plugin") - 12

// Launch starts the plugin, in a process group of its own, shakes hands (AutoMTLS), asks it what it is and opens its stream. When ctx ends
// before that, the process is killed. What is wrong with the file is a [*LaunchError].
func Launch(ctx context.Context, c Config) (*Process, error) {
	c = c.withDefaults()
	if err := checkFile(c); err != nil {
		return nil, err
	}
	socketDir, removeSocketDir, err := socketDir(c)
	if err != nil {
		return nil, err
	}
	ch := newChild(c, socketDir)
	client := newClient(c, socketDir, ch)
	streamCtx, endStream := context.WithCancel(context.WithoutCancel(ctx))
	release := func() {
		endStream()
		ch.kill()
		ch.wait()
		client.Kill() // lets go of the connection and of go-plugin's goroutines; there is nothing left to kill
		removeSocketDir()
	}
	p := &Process{
		config:    c,
		done:      make(chan struct{}),
		kill:      ch.kill,
		terminate: ch.terminate,
	}
	run, err := start(ctx, streamCtx, p, client, ch)
	if err != nil {
		release()
		return nil, err
	}
	p.pid = ch.pid()
	ch.output.named(p.description.Name)
	go func() {
		stop := context.AfterFunc(streamCtx, ch.kill)
		defer stop()
		go func() { // a process that is gone ends its stream, even if a child of its own holds the socket
			<-ch.exited
			endStream()
		}()
		run() // until the stream breaks: a plugin without its stream is of no use, even if it lives
		release()
		p.finish(ch.reason("ended"))
	}()
	return p, nil
}

// start runs what may hang (the handshake, the first calls) and kills the process when its time is over, which lets everything that
// hangs return.
func start(ctx, streamCtx context.Context, p *Process, client *plugin.Client, ch *child) (func(), error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.config.StartTimeout, errStartTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, ch.kill)
	defer stop()
	run, err := handshake(ctx, streamCtx, p, client)
	if err == nil {
		return run, nil
	}
	ch.kill()
	ch.wait()
	switch {
	case errors.Is(context.Cause(ctx), errStartTimeout):
		return nil, &LaunchError{Path: p.config.Path, What: fmt.Sprintf("does not answer within %v of its start: %s", p.config.StartTimeout, ch.silence())}
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	return nil, &LaunchError{Path: p.config.Path, What: ch.diagnose(err), cause: err}
}

var errStartTimeout = errors.New("the plugin's time to start is over")

// describeError is an error of a plugin that has shaken hands.
type describeError struct{ error }

func handshake(ctx, streamCtx context.Context, p *Process, client *plugin.Client) (func(), error) {
	if _, err := client.Start(); err != nil {
		return nil, err
	}
	protocol, err := client.Client()
	if err != nil {
		return nil, err
	}
	run, err := p.begin(ctx, streamCtx, protocol.(*plugin.GRPCClient).Conn)
	if err != nil {
		return nil, describeError{err}
	}
	return run, nil
}

func newClient(c Config, socketDir string, ch *child) *plugin.Client {
	return plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  plugin.HandshakeConfig{MagicCookieKey: wire.CookieKey, MagicCookieValue: wire.CookieValue},
		VersionedPlugins: map[int]plugin.PluginSet{wire.ProtocolVersion: {}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,                         // the daemon's environment may hold passwords
		StartTimeout:     c.StartTimeout + time.Second, // ours ends first
		GRPCDialOptions:  append(dialOptions(), c.DialOptions...),
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: socketDir},
		Logger:           hclog.NewNullLogger(), // what it would say, our errors say
		SyncStdout:       ch.output.prints(),
		SyncStderr:       ch.output.prints(),
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, dir string) (runner.Runner, error) {
			os.Remove(dir) // go-plugin's own directory for sockets, whose longer path we don't use
			ch.prepare(cmd.Env)
			return ch, nil
		},
	})
}

// checkFile says why a file can't be a plugin, before the kernel says it in fewer words.
func checkFile(c Config) error {
	path := c.Path
	info, err := stat(c)
	switch {
	case err != nil:
		return &LaunchError{Path: path, What: fmt.Sprintf("can't be launched: %v", errors.Unwrap(err))}
	case info.IsDir():
		return &LaunchError{Path: path, What: "is a directory: a plugin is an executable file"}
	case !info.Mode().IsRegular():
		return &LaunchError{Path: path, What: "is not a regular file: a plugin is an executable file"}
	case info.Mode()&0o111 == 0:
		return &LaunchError{Path: path, What: "is not executable: run chmod +x on it if it is a plugin"}
	}
	return nil
}

func stat(c Config) (os.FileInfo, error) {
	if c.Executable != nil {
		return c.Executable.Stat()
	}
	return os.Stat(c.Path)
}

// socketDir returns the directory for the plugin's socket, and what removes it if it is temporary. A plugin that runs as somebody else has a temporary
// one of its own: it may not so much as reach the daemon's.
func socketDir(c Config) (string, func(), error) {
	dir := c.SocketDir
	if dir == "" || c.Limits.User != nil {
		temporary, err := os.MkdirTemp("", "postrider")
		if err != nil {
			return "", nil, fmt.Errorf("make a directory for the plugin's socket: %w", err)
		}
		remove := func() { os.RemoveAll(temporary) }
		if user := c.Limits.User; user != nil {
			if err := os.Chown(temporary, user.ID, user.Group); err != nil {
				remove()
				return "", nil, fmt.Errorf("give the directory for the plugin's socket to its user: %w", err)
			}
		}
		return temporary, remove, nil
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return "", nil, err
	}
	if len(absolute) > MaxSocketDir {
		return "", nil, fmt.Errorf("the socket directory %s has a path of %d characters: Unix sockets allow %d, so choose a shorter one",
			absolute, len(absolute), MaxSocketDir)
	}
	return absolute, func() {}, nil
}
