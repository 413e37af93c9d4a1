package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"

	"github.com/postrider/postrider/proto/pluginv1"
	"github.com/postrider/postrider/sdk/internal/schema"
	"github.com/postrider/postrider/sdk/internal/wire"
)

// server is the plugin's end of the protocol.
type server struct {
	pluginv1.UnimplementedPluginServer
	plugin *Plugin
	logger *slog.Logger

	configuring sync.Mutex
	env         atomic.Pointer[environment] // nil until it is configured
}

// newGRPCServer adds the limits, and how messages are written, to what go-plugin, or a test, asks for.
func newGRPCServer(options []grpc.ServerOption) *grpc.Server {
	return grpc.NewServer(append(options,
		grpc.MaxRecvMsgSize(wire.MaxMessage),
		grpc.MaxSendMsgSize(wire.MaxMessage),
		grpc.ForceServerCodecV2(wire.NewCodec()),
		grpc.InitialWindowSize(wire.Window),
		grpc.InitialConnWindowSize(wire.ConnWindow),
	)...)
}

func (s *server) register(r grpc.ServiceRegistrar) {
	pluginv1.RegisterPluginServer(r, s)
	if s.plugin.resolver {
		pluginv1.RegisterResolverServer(r, resolverServer{server: s})
	} else {
		pluginv1.RegisterNotifierServer(r, notifierServer{server: s})
	}
}

// Describe says what the plugin is.
func (s *server) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	p := s.plugin
	d := &pluginv1.DescribeResponse{
		Name:        p.name,
		Version:     p.version,
		Role:        pluginv1.Role_ROLE_NOTIFIER,
		MaxInFlight: uint32(p.maxInFlight),
	}
	if p.resolver {
		d.Role = pluginv1.Role_ROLE_RESOLVER
	}
	if p.configuration != nil {
		d.ConfigurationSchema = p.configuration.schema.JSON()
	}
	if p.settings != nil {
		d.SettingsSchema = p.settings.JSON()
	}
	d.Services = servicesTo(p.services)
	return d, nil
}

// Configure gives the author the configuration. What was refused may be tried again, what was accepted not.
func (s *server) Configure(ctx context.Context, r *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	s.configuring.Lock()
	defer s.configuring.Unlock()
	if s.env.Load() != nil {
		return &pluginv1.ConfigureResponse{Refusal: "the plugin is configured already"}, nil
	}
	egress, err := NewEgress(r.GetEgressAllow())
	if err != nil {
		return &pluginv1.ConfigureResponse{Refusal: err.Error()}, nil
	}
	env := &environment{egress: egress, client: newHTTPClient(egress), logger: s.logger}
	err = s.guard(ctx, "Configure", func() (err error) {
		env.offered, err = s.plugin.configure(newCall(ctx, env), r.GetConfiguration())
		return err
	})
	if err != nil {
		response := &pluginv1.ConfigureResponse{Refusal: truncate(err.Error(), maxReason)}
		var mismatch *schema.Mismatch
		if errors.As(err, &mismatch) {
			response.Key = mismatch.Path
		}
		return response, nil
	}
	s.env.Store(env)
	return &pluginv1.ConfigureResponse{Services: servicesTo(env.configured)}, nil
}

// Check asks the author's [Health].
func (s *server) Check(ctx context.Context, _ *pluginv1.CheckRequest) (*pluginv1.CheckResponse, error) {
	env := s.env.Load()
	if s.plugin.health == nil || env == nil {
		return &pluginv1.CheckResponse{}, nil
	}
	if err := s.guard(ctx, "Health", func() error { return s.plugin.health(newCall(ctx, env)) }); err != nil {
		return &pluginv1.CheckResponse{Problem: truncate(err.Error(), maxReason)}, nil
	}
	return &pluginv1.CheckResponse{}, nil
}

// guard turns a panic of the author's code into an error.
func (s *server) guard(_ context.Context, name string, f func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			s.logger.Error("panic in "+name, "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
			err = fmt.Errorf("%s: panic: %v", name, cause)
		}
	}()
	return f()
}

// errNotConfigured refuses work that came too early. A daemon of ours never sends any.
var errNotConfigured = errors.New("the plugin is not configured yet")

// resolverServer serves the stream of a resolver.
type resolverServer struct {
	pluginv1.UnimplementedResolverServer
	*server
}

// Resolve answers the requests of one stream.
func (s resolverServer) Resolve(stream grpc.BidiStreamingServer[pluginv1.ResolveRequests, pluginv1.ResolveAnswers]) error {
	x := &exchange[*pluginv1.ResolveRequest, *pluginv1.ResolveAnswer]{
		maxInFlight: s.plugin.maxInFlight,
		receive: func() ([]*pluginv1.ResolveRequest, []uint64, error) {
			m, err := stream.Recv()
			return m.GetRequests(), m.GetCancelled(), err
		},
		send: func(answers []*pluginv1.ResolveAnswer) error {
			return stream.Send(&pluginv1.ResolveAnswers{Answers: answers})
		},
		size: func(a *pluginv1.ResolveAnswer) int { return len(a.GetPayload()) + maxReason },
		work: s.resolve,
		name: func(q *pluginv1.ResolveRequest) string { return serviceName{q.GetClass(), q.GetMethod()}.String() },
		context: func(ctx context.Context, q *pluginv1.ResolveRequest) context.Context {
			return s.context(ctx, q, "event", q.GetEventId())
		},
		failed: func(q *pluginv1.ResolveRequest, f *pluginv1.Failure) *pluginv1.ResolveAnswer {
			return &pluginv1.ResolveAnswer{Id: q.GetId(), Failure: f}
		},
	}
	return x.run(stream.Context())
}

func (s resolverServer) resolve(ctx context.Context, q *pluginv1.ResolveRequest) (*pluginv1.ResolveAnswer, error) {
	env := s.env.Load()
	if env == nil {
		return nil, errNotConfigured
	}
	service := env.byName[serviceName{q.GetClass(), q.GetMethod()}]
	if service == nil {
		return nil, Permanent(fmt.Errorf("resolver %s offers no such service", s.plugin.name))
	}
	payload, err := service.call(ctx, q.GetArguments())
	if err != nil {
		return nil, err
	}
	if len(payload) > MaxPayload {
		return nil, &tooLargeError{size: len(payload)}
	}
	return &pluginv1.ResolveAnswer{Id: q.GetId(), Payload: payload}, nil
}

// notifierServer serves the stream of a notifier.
type notifierServer struct {
	pluginv1.UnimplementedNotifierServer
	*server
}

// Notify answers the requests of one stream.
func (s notifierServer) Notify(stream grpc.BidiStreamingServer[pluginv1.NotifyRequests, pluginv1.NotifyAnswers]) error {
	x := &exchange[*pluginv1.NotifyRequest, *pluginv1.NotifyAnswer]{
		maxInFlight: s.plugin.maxInFlight,
		receive: func() ([]*pluginv1.NotifyRequest, []uint64, error) {
			m, err := stream.Recv()
			return m.GetRequests(), m.GetCancelled(), err
		},
		send: func(answers []*pluginv1.NotifyAnswer) error {
			return stream.Send(&pluginv1.NotifyAnswers{Answers: answers})
		},
		size: func(a *pluginv1.NotifyAnswer) int { return maxExcerpt + maxReason },
		work: s.notify,
		name: func(*pluginv1.NotifyRequest) string { return "Notify" },
		context: func(ctx context.Context, q *pluginv1.NotifyRequest) context.Context {
			return s.context(ctx, q, "delivery", q.GetDeliveryId())
		},
		failed: func(q *pluginv1.NotifyRequest, f *pluginv1.Failure) *pluginv1.NotifyAnswer {
			return &pluginv1.NotifyAnswer{Id: q.GetId(), Failure: f}
		},
	}
	return x.run(stream.Context())
}

func (s notifierServer) notify(ctx context.Context, q *pluginv1.NotifyRequest) (*pluginv1.NotifyAnswer, error) {
	if s.env.Load() == nil {
		return nil, errNotConfigured
	}
	delivery := deliveryFrom(q)
	if err := s.plugin.checkSettings(delivery.Settings); err != nil {
		return nil, Permanent(fmt.Errorf("settings of subscriber %s: %w", strconv.FormatInt(delivery.Subscriber, 10), err))
	}
	outcome, err := s.plugin.notifier.Notify(ctx, delivery)
	if err != nil {
		return nil, err
	}
	answer, err := outcomeTo(outcome)
	if err != nil {
		return nil, err
	}
	return &pluginv1.NotifyAnswer{Id: q.GetId(), Outcome: answer}, nil
}

// context gives a request what [Traceparent], [Logger], [HTTPClient] and [EgressOf] look for. about and id say what it is about.
func (s *server) context(ctx context.Context, q request, about, id string) context.Context {
	env := s.env.Load()
	if env == nil {
		return WithTraceparent(ctx, q.GetTraceparent())
	}
	c := newCall(ctx, env)
	c.traceparent, c.about, c.id = q.GetTraceparent(), about, id
	return c
}

// checkSettings refuses settings that the notifier doesn't take. The daemon checked them when the subscriber was made; the plugin may be a
// newer one by now.
func (p *Plugin) checkSettings(settings json.RawMessage) error {
	switch {
	case settings == nil:
		return nil
	case p.settings == nil:
		return nothing.Check(settings, "setting")
	}
	return p.settings.Check(settings, "setting")
}
