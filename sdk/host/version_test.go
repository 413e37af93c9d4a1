package host_test

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/postrider/postrider/proto/pluginv1"
	"github.com/postrider/postrider/sdk/host"
	"github.com/postrider/postrider/sdk/internal/wire"
)

// offers makes the test's own executable a plugin that speaks these versions of the protocol: see TestMain.
const offers = "PLUGIN_OFFERS"

// bePlugin serves a notifier of the name "v1" in version 1, "v2" in version 2, and so on.
func bePlugin(versions string) {
	sets := make(map[int]plugin.PluginSet)
	for text := range strings.SplitSeq(versions, ",") {
		version, err := strconv.Atoi(text)
		if err != nil {
			panic(err)
		}
		sets[version] = plugin.PluginSet{wire.PluginName: &versioned{name: "v" + text}}
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  plugin.HandshakeConfig{MagicCookieKey: wire.CookieKey, MagicCookieValue: wire.CookieValue},
		VersionedPlugins: sets,
		GRPCServer:       plugin.DefaultGRPCServer,
	})
}

type versioned struct {
	plugin.NetRPCUnsupportedPlugin
	pluginv1.UnimplementedPluginServer
	pluginv1.UnimplementedNotifierServer
	name string
}

func (v *versioned) GRPCServer(_ *plugin.GRPCBroker, g *grpc.Server) error {
	pluginv1.RegisterPluginServer(g, v)
	pluginv1.RegisterNotifierServer(g, v)
	return nil
}

func (v *versioned) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("a plugin is no host")
}

func (v *versioned) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	return &pluginv1.DescribeResponse{Name: v.name, Version: "1.0.0", Role: pluginv1.Role_ROLE_NOTIFIER, MaxInFlight: 1}, nil
}

func (v *versioned) Notify(stream grpc.BidiStreamingServer[pluginv1.NotifyRequests, pluginv1.NotifyAnswers]) error {
	<-stream.Context().Done()
	return nil
}

func launchOffering(t *testing.T, versions string) (*host.Process, error) {
	t.Helper()
	return host.Launch(t.Context(), host.Config{Path: os.Args[0], SocketDir: socketDir(t), Env: []string{offers + "=" + versions}})
}

func TestAPluginThatAlsoSpeaksALaterVersionRunsInOurs(t *testing.T) {
	for _, versions := range []string{"1", "1,2", "2,1", "0,1,7"} {
		p, err := launchOffering(t, versions)
		if err != nil {
			t.Errorf("a plugin that offers %s: %v", versions, err)
			continue
		}
		if name := p.Description().Name; name != "v1" {
			t.Errorf("a plugin that offers %s runs as %s, want v1", versions, name)
		}
		stop(t, p)
	}
}

func TestAPluginOfAnotherVersionIsRefusedWithWhatToDo(t *testing.T) {
	for versions, want := range map[string]string{
		"2":   "speaks version 2 of the plugin protocol, and this daemon version 1: update Postrider, or install the release of the plugin that was made for this one",
		"2,3": "speaks version 2 of the plugin protocol, and this daemon version 1: update Postrider",
		"0":   "speaks version 0 of the plugin protocol, and this daemon version 1: update the plugin, or build it with this daemon's SDK",
	} {
		p, err := launchOffering(t, versions)
		if err == nil {
			stop(t, p)
		}
		wantLaunchError(t, err, os.Args[0], want)
	}
}
