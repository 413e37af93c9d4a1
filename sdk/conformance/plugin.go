package conformance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	"github.com/postrider/postrider/proto/pluginv1"
	"github.com/postrider/postrider/sdk/host"
)

// stopGrace is how long a plugin may take to end after SIGTERM. (The daemon gives it a second; machines that run tests are busy.)
const stopGrace = 3 * time.Second

// Plugin is a running plugin whose messages the checks can see.
type Plugin struct {
	Process      *host.Process
	conversation *conversation
	patience     time.Duration
}

// prompt is how soon the plugin must notice that nobody waits any more.
func (p *Plugin) prompt() time.Duration { return p.patience / 2 }

// Launch starts a plugin as [host.Launch] does.
func Launch(ctx context.Context, c host.Config) (*Plugin, error) {
	talk := newConversation()
	c.StopGrace = stopGrace
	process, err := host.Launch(ctx, talk.watch(c))
	if err != nil {
		return nil, err
	}
	return &Plugin{Process: process, conversation: talk}, nil
}

// Attach connects to a plugin as [host.Attach] does.
func Attach(ctx context.Context, c host.Config, network, address string) (*Plugin, error) {
	talk := newConversation()
	process, err := host.Attach(ctx, talk.watch(c), network, address)
	if err != nil {
		return nil, err
	}
	return &Plugin{Process: process, conversation: talk}, nil
}

// watch makes the conversation see what crosses the connection.
func (c *conversation) watch(config host.Config) host.Config {
	stream := func(ctx context.Context, d *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, o ...grpc.CallOption) (grpc.ClientStream, error) {
		s, err := open(ctx, d, conn, method, o...)
		if err != nil || method != pluginv1.Resolver_Resolve_FullMethodName && method != pluginv1.Notifier_Notify_FullMethodName {
			return s, err
		}
		return c.join(s), nil
	}
	unary := func(ctx context.Context, method string, q, a any, conn *grpc.ClientConn, call grpc.UnaryInvoker, o ...grpc.CallOption) error {
		var other peer.Peer
		err := call(ctx, method, q, a, conn, append(o, grpc.Peer(&other))...)
		if other.Addr != nil {
			c.address.Store(other.Addr)
		}
		return err
	}
	config.DialOptions = append(config.DialOptions, grpc.WithChainStreamInterceptor(stream), grpc.WithChainUnaryInterceptor(unary))
	return config
}

// pending is a request that was asked.
type pending struct {
	id     uint64
	answer chan answer
}

// ask sends requests in one message.
func (p *Plugin) ask(requests ...request) ([]pending, error) { return p.send(requests, false) }

// askAndCancel sends requests, and the cancellation of all of them, in one message.
func (p *Plugin) askAndCancel(requests ...request) ([]pending, error) { return p.send(requests, true) }

func (p *Plugin) send(requests []request, cancelled bool) ([]pending, error) {
	asked, err := p.conversation.send(p.Process.Description().Role, requests, cancelled)
	if err != nil {
		return nil, p.broken(fmt.Errorf("a message of %d requests can't be sent: %w", len(requests), err))
	}
	return asked, nil
}

// cancel says that nobody waits for the answers any more.
func (p *Plugin) cancel(ids ...uint64) error {
	if err := p.conversation.cancel(p.Process.Description().Role, ids); err != nil {
		return p.broken(fmt.Errorf("a cancellation can't be sent: %w", err))
	}
	return nil
}

// await waits for an answer.
func (p *Plugin) await(ctx context.Context, q pending, within time.Duration) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	select {
	case a := <-q.answer:
		return a, nil
	case <-p.Process.Done():
		return answer{}, p.broken(errors.New("there is no answer"))
	case <-ctx.Done():
		return answer{}, fmt.Errorf("there is no answer within %v", within)
	}
}

// answer asks one request and waits for its answer.
func (p *Plugin) answer(ctx context.Context, q request) (answer, error) {
	asked, err := p.ask(q)
	if err != nil {
		return answer{}, err
	}
	return p.await(ctx, asked[0], p.patience)
}

// broken adds to an error how the process ended, if it did.
func (p *Plugin) broken(err error) error {
	select {
	case <-p.Process.Done():
	case <-time.After(time.Second): // the stream may break a moment before the process has ended
		return err
	}
	if reason := p.Process.Err(); reason != nil {
		return fmt.Errorf("%w: its process %w", err, reason)
	}
	return err
}
