package sdk

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/postrider/postrider/sdk/internal/garbage"
	"github.com/postrider/postrider/sdk/internal/wire"
)

// ServeResolver is the whole main function of a resolver. It returns, or ends the process, when the daemon is done with it. Started by
// hand, in a shell, it prints what the plugin is and how to use it.
func ServeResolver(name, version string, options ...Option) {
	serve(NewResolver(name, version, options...))
}

// ServeNotifier is the whole main function of a notifier. It returns, or ends the process, when the daemon is done with it. Started by
// hand, in a shell, it prints what the plugin is and how to use it.
func ServeNotifier(name, version string, n Notifier, options ...Option) {
	serve(NewNotifier(name, version, n, options...))
}

func serve(p *Plugin, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if os.Getenv(wire.CookieKey) != wire.CookieValue {
		p.introduce(os.Stdout)
		os.Exit(0)
	}
	go followParent(os.Getppid())
	garbage.Bound()

	// go-plugin replaces os.Stderr by a pipe that the daemon reads as plain text; log lines go to the original.
	stderr := os.Stderr
	s := &server{plugin: p, logger: newLogger(stderr, parseLevel(os.Getenv(wire.LogLevelVariable)))}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  plugin.HandshakeConfig{MagicCookieKey: wire.CookieKey, MagicCookieValue: wire.CookieValue},
		VersionedPlugins: map[int]plugin.PluginSet{wire.ProtocolVersion: {wire.PluginName: &served{server: s}}},
		GRPCServer:       newGRPCServer,
		Logger:           hclog.New(&hclog.LoggerOptions{Level: hclog.Error, Output: stderr, JSONFormat: true}),
	})
}

// served shows a server to go-plugin.
type served struct {
	plugin.NetRPCUnsupportedPlugin
	server *server
}

// GRPCServer registers the plugin's services.
func (s *served) GRPCServer(_ *plugin.GRPCBroker, g *grpc.Server) error {
	s.server.register(g)
	return nil
}

// GRPCClient is for hosts, which this end is not.
func (s *served) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, fmt.Errorf("plugin %s is served here, not used", s.server.plugin.name)
}

// ServeOn speaks the plugin's protocol on l until ctx ends, without the handshake and the encryption of a plugin process. Package sdktest
// uses it to test a plugin inside of the test's process. It closes l.
func (p *Plugin) ServeOn(ctx context.Context, l net.Listener) error {
	s := &server{plugin: p, logger: newLogger(os.Stderr, parseLevel("warn"))}
	g := newGRPCServer([]grpc.ServerOption{grpc.WaitForHandlers(true)})
	s.register(g)
	stop := context.AfterFunc(ctx, g.Stop)
	defer stop()
	return g.Serve(l)
}
