package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/postrider/postrider/proto/pluginv1"
	"github.com/postrider/postrider/sdk"
)

// healthTimeout bounds a health check whose caller sets no deadline.
const healthTimeout = 10 * time.Second

// Process is one running plugin. Its methods are safe for concurrent use.
type Process struct {
	config      Config
	description Description // of Describe: never changed
	plugin      pluginv1.PluginClient
	resolves    *exchange[*pluginv1.ResolveRequest, *pluginv1.ResolveAnswer] // of a resolver
	notifies    *exchange[*pluginv1.NotifyRequest, *pluginv1.NotifyAnswer]   // of a notifier
	gate        *gate                                                        // of the one that there is
	pid         int                                                          // 0: it runs inside of this process, or elsewhere

	kill      func() // ends the plugin at once
	terminate func() // asks it to end

	mu       sync.Mutex
	services []Service // that its configuration brought
	stopped  bool      // Close or Kill asked for the end
	reason   error     // why it ended
	done     chan struct{}
}

// Description returns what the plugin said of itself. Once it is configured, the services that its configuration brought are among its services.
func (p *Process) Description() Description {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.description
	d.Services = append(d.Services[:len(d.Services):len(d.Services)], p.services...)
	return d
}

// PID returns the process's id; 0 if it was not launched but attached to.
func (p *Process) PID() int { return p.pid }

// Memory returns how many bytes the process keeps for itself: resident, and no mapped files. It works on Linux only, and while the process runs.
func (p *Process) Memory() (int64, error) { return memory(p.pid) }

// InFlight returns how many requests the plugin has not answered yet, those that nobody waits for any more included.
func (p *Process) InFlight() int { return p.gate.count() }

// Done is closed when the process has ended and everything of it has been cleared away.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says why the process ended: nil while it runs, and after Close and Kill.
func (p *Process) Err() error {
	select {
	case <-p.done:
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.reason
	default:
		return nil
	}
}

// Configure gives the plugin its configuration (a JSON object; nil: none) and what it may reach. It must be called once, before any work. A
// refusal is a [*ConfigurationError], and may be followed by another Configure.
func (p *Process) Configure(ctx context.Context, configuration json.RawMessage, egressAllow []string) error {
	r, err := p.plugin.Configure(ctx, &pluginv1.ConfigureRequest{Configuration: configuration, EgressAllow: egressAllow})
	if err != nil {
		return p.callError(ctx, "Configure", err)
	}
	if r.GetRefusal() != "" {
		return &ConfigurationError{Plugin: p.description.Name, Key: r.GetKey(), What: r.GetRefusal()}
	}
	services, err := servicesFrom(r.GetServices())
	if err != nil {
		return fmt.Errorf("plugin %s: Configure: %w", p.description.Name, err)
	}
	if len(services) > 0 && p.description.Role != RoleResolver {
		return fmt.Errorf("plugin %s: Configure: it is a %s, and answers with services", p.description.Name, p.description.Role)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.services = services
	return nil
}

// Health asks the plugin whether it can work, and returns its answer as a [*PluginError], or the context's error if it didn't answer
// in time: it is stuck then. Without a deadline of ctx it waits 10 s.
func (p *Process) Health(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, healthTimeout)
		defer cancel()
	}
	r, err := p.plugin.Check(ctx, &pluginv1.CheckRequest{})
	if err != nil {
		return p.callError(ctx, "Check", err)
	}
	if r.GetProblem() != "" {
		return &PluginError{Plugin: p.description.Name, Message: r.GetProblem()}
	}
	return nil
}

// callError translates the error of a single call.
func (p *Process) callError(ctx context.Context, name string, err error) error {
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case status.Code(err) == codes.DeadlineExceeded: // gRPC's timer may be ahead of ours
		err = context.DeadlineExceeded
	case status.Code(err) == codes.Unavailable || status.Code(err) == codes.Canceled:
		err = ErrCrashed
	}
	return fmt.Errorf("plugin %s: %s: %w", p.description.Name, name, err)
}

// Resolve asks a resolver for a payload and returns its JSON, at most [sdk.MaxPayload] bytes. It waits while as many requests are in flight
// as the plugin allows. The error is a [*PluginError], ctx's, or wraps [ErrCrashed], [ErrTooLarge] or [ErrStopping].
func (p *Process) Resolve(ctx context.Context, r Resolution) ([]byte, error) {
	if p.resolves == nil {
		return nil, fmt.Errorf("plugin %s is a notifier: it resolves nothing", p.description.Name)
	}
	request := &pluginv1.ResolveRequest{
		Traceparent: sdk.Traceparent(ctx),
		Class:       r.Class,
		Method:      r.Method,
		Arguments:   r.Arguments,
		EventId:     r.EventID,
	}
	if err := requestLimits(request, r.Arguments, request.Traceparent, r.Class, r.Method, r.EventID); err != nil {
		return nil, fmt.Errorf("plugin %s: %s::%s: the arguments: %w", p.description.Name, r.Class, r.Method, err)
	}
	answer, err := p.resolves.call(ctx, func(id uint64) *pluginv1.ResolveRequest {
		request.Id, request.RemainingMs = id, remaining(ctx, p.config.AnswerGrace)
		return request
	})
	if err != nil {
		return nil, fmt.Errorf("plugin %s: %s::%s: %w", p.description.Name, r.Class, r.Method, err)
	}
	if answer.GetFailure() != nil {
		return nil, errorFrom(p.description.Name, answer.GetFailure())
	}
	if len(answer.GetPayload()) > sdk.MaxPayload { // a plugin that was not written with the SDK
		return nil, fmt.Errorf("plugin %s: %s::%s: a payload of %d bytes: %w",
			p.description.Name, r.Class, r.Method, len(answer.GetPayload()), ErrTooLarge)
	}
	return answer.GetPayload(), nil
}

// Notify makes one attempt of a delivery. It waits while as many requests are in flight as the plugin allows. The error, which says nothing
// about the receiver, is a [*PluginError], ctx's, or wraps [ErrCrashed], [ErrTooLarge] or [ErrStopping].
func (p *Process) Notify(ctx context.Context, d sdk.Delivery) (sdk.Outcome, error) {
	if p.notifies == nil {
		return sdk.Outcome{}, fmt.Errorf("plugin %s is a resolver: it notifies nobody", p.description.Name)
	}
	request := notifyRequest(d)
	request.Traceparent = sdk.Traceparent(ctx)
	texts := append([]string{request.Traceparent, d.ID, d.Event, d.EventID, d.URL, d.Token, d.Envelope}, d.EarlierTokens...)
	if err := requestLimits(request, d.Payload, texts...); err != nil {
		return sdk.Outcome{}, fmt.Errorf("plugin %s: delivery %s: the payload: %w", p.description.Name, d.ID, err)
	}
	answer, err := p.notifies.call(ctx, func(id uint64) *pluginv1.NotifyRequest {
		request.Id, request.RemainingMs = id, remaining(ctx, p.config.AnswerGrace)
		return request
	})
	if err != nil {
		return sdk.Outcome{}, fmt.Errorf("plugin %s: delivery %s: %w", p.description.Name, d.ID, err)
	}
	if answer.GetFailure() != nil {
		return sdk.Outcome{}, errorFrom(p.description.Name, answer.GetFailure())
	}
	outcome, err := outcomeFrom(answer.GetOutcome())
	if err != nil {
		return sdk.Outcome{}, &PluginError{Plugin: p.description.Name, Message: err.Error()}
	}
	return outcome, nil
}

// drain refuses new requests with [ErrStopping], and waits until those in flight are answered, the process has ended, or ctx has.
func (p *Process) drain(ctx context.Context) error {
	p.gate.close()
	select {
	case <-p.gate.idle:
		return nil
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("plugin %s still has %d requests in flight: %w", p.description.Name, p.InFlight(), ctx.Err())
	}
}

// Close refuses new requests with [ErrStopping], waits for those in flight until ctx ends, asks the process to end, and kills it if it
// hasn't after [Config].StopGrace. It returns when the process is gone. Its error says what was cut off. Closing twice is fine.
func (p *Process) Close(ctx context.Context) error {
	err := p.drain(ctx)
	p.stopping()
	p.terminate()
	grace := time.NewTimer(p.config.StopGrace)
	defer grace.Stop()
	select {
	case <-p.done:
		return err
	case <-grace.C:
	}
	p.kill()
	<-p.done
	return err
}

// Kill ends the process, and all of its process group, at once. It doesn't wait: see Done.
func (p *Process) Kill() {
	p.stopping()
	p.kill()
}

func (p *Process) stopping() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
}

// finish records why the process ended, unless its end was asked for.
func (p *Process) finish(reason error) {
	p.mu.Lock()
	if !p.stopped {
		p.reason = reason
	}
	p.mu.Unlock()
	close(p.done)
}

// begin learns what the plugin is and opens its stream. The returned function runs the stream until it breaks, or streamCtx ends.
func (p *Process) begin(ctx, streamCtx context.Context, conn grpc.ClientConnInterface) (run func(), err error) {
	p.plugin = pluginv1.NewPluginClient(conn)
	r, err := p.plugin.Describe(ctx, &pluginv1.DescribeRequest{})
	if status.Code(err) == codes.Unimplemented {
		return nil, errors.New("speaks go-plugin, but not Postrider's protocol: it is a plugin for another program")
	}
	if status.Code(err) == codes.Unavailable {
		return nil, fmt.Errorf("shakes hands, but can't be connected to: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("doesn't describe itself: %w", err)
	}
	if p.description, err = descriptionFrom(r); err != nil {
		return nil, fmt.Errorf("describes itself badly: %w", err)
	}
	if p.description.Role == RoleResolver {
		stream, err := pluginv1.NewResolverClient(conn).Resolve(streamCtx)
		if err != nil {
			return nil, fmt.Errorf("doesn't open its stream: %w", err)
		}
		p.resolves = newExchange[*pluginv1.ResolveRequest, *pluginv1.ResolveAnswer](p.description.MaxInFlight)
		p.gate = p.resolves.gate
		return func() { p.resolves.run(streamCtx, resolveStream(stream)) }, nil
	}
	stream, err := pluginv1.NewNotifierClient(conn).Notify(streamCtx)
	if err != nil {
		return nil, fmt.Errorf("doesn't open its stream: %w", err)
	}
	p.notifies = newExchange[*pluginv1.NotifyRequest, *pluginv1.NotifyAnswer](p.description.MaxInFlight)
	p.gate = p.notifies.gate
	return func() { p.notifies.run(streamCtx, notifyStream(stream)) }, nil
}
