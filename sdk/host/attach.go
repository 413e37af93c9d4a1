package host

import (
	"context"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/postrider/postrider/sdk/internal/wire"
)

// dialOptions are the limits of the host's end, and how it writes messages.
func dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(wire.MaxMessage), grpc.MaxCallSendMsgSize(wire.MaxMessage), grpc.ForceCodecV2(wire.NewCodec())),
		grpc.WithInitialWindowSize(wire.Window),
		grpc.WithInitialConnWindowSize(wire.ConnWindow),
	}
}

// Attach connects to a plugin that is served already, without handshake and encryption, by [sdk.Plugin.ServeOn]: in a test. Nobody's
// process is ended by Close or Kill, only the connection. Config's Path, SocketDir and Env mean nothing here.
func Attach(ctx context.Context, c Config, network, address string) (*Process, error) {
	c = c.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, c.StartTimeout)
	defer cancel()
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	options := append(dialOptions(), grpc.WithContextDialer(dial), grpc.WithTransportCredentials(insecure.NewCredentials()))
	options = append(options, c.DialOptions...)
	conn, err := grpc.NewClient("passthrough:///plugin", options...)
	if err != nil {
		return nil, err
	}
	streamCtx, end := context.WithCancel(context.WithoutCancel(ctx))
	p := &Process{config: c, done: make(chan struct{}), kill: end, terminate: end}
	run, err := p.begin(ctx, streamCtx, conn)
	if err != nil {
		end()
		conn.Close()
		return nil, fmt.Errorf("the plugin at %s %w", address, err)
	}
	go func() {
		run()
		end()
		conn.Close()
		p.finish(fmt.Errorf("the connection to the plugin at %s broke", address))
	}()
	return p, nil
}
