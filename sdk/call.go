package sdk

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
)

// environment is what every call of one configured plugin shares.
type environment struct {
	egress *Egress
	client *http.Client
	logger *slog.Logger
	offered
}

// call is the context of one call: what it knows beside its deadline. It is one value, and its own: [context.WithValue] would allocate each part of it
// several times, for every request.
type call struct {
	tracedContext
	*environment
	about, id string // of each log line: which delivery, or which event, it is about; "": none
}

func newCall(ctx context.Context, env *environment) *call {
	return &call{tracedContext: tracedContext{Context: ctx}, environment: env}
}

type callKey struct{}

// Value implements [context.Context].
func (c *call) Value(key any) any {
	if key == (callKey{}) {
		return c
	}
	return c.tracedContext.Value(key)
}

// AfterFunc is what package context looks for, so that a context derived from a call's costs no goroutine.
func (c *call) AfterFunc(f func()) (stop func() bool) {
	if own, ok := c.Context.(*lifetime); ok {
		return own.AfterFunc(f)
	}
	return context.AfterFunc(c.Context, f)
}

func callOf(ctx context.Context) (*call, bool) {
	c, ok := ctx.Value(callKey{}).(*call)
	return c, ok
}

// Logger returns the logger of a call, or of [Configure]: its lines reach the daemon's log with the plugin's name, the delivery's, or the
// event's, id, and the id of the trace. Never log payloads and tokens. Anywhere else it returns [slog.Default].
func Logger(ctx context.Context) *slog.Logger {
	c, ok := callOf(ctx)
	if !ok {
		return slog.Default()
	}
	logger := c.logger
	if c.about != "" {
		logger = logger.With(c.about, c.id)
	}
	if trace := traceID(ctx); trace != "" {
		logger = logger.With("trace", trace)
	}
	return logger
}

// EgressOf returns what the context of a call, or of [Configure], may reach; it is for plugins that dial by themselves. Anywhere else it
// permits public addresses alone.
func EgressOf(ctx context.Context) *Egress {
	if c, ok := callOf(ctx); ok {
		return c.egress
	}
	e, err := NewEgress(nil)
	if err != nil {
		panic(err) // no entry, no error
	}
	return e
}

// HTTPClient returns the plugin's HTTP client, for the context of a call or of [Configure]. All calls share its connections. It
//
//   - reaches what egress permits (see [Egress]), checked at every dial, and uses no proxy;
//   - follows no redirects: the redirect is the answer;
//   - waits 5 s for a connection, 5 s for TLS, 10 s for the answer's header, 30 s in all, and reads 32 KiB of header;
//   - decompresses nothing, and passes the call's trace context on as the traceparent header.
//
// Read no more of an answer's body than you need: use [io.LimitReader].
func HTTPClient(ctx context.Context) *http.Client {
	if c, ok := callOf(ctx); ok {
		return c.client
	}
	return &http.Client{Transport: noCall{}}
}

// noCall is the transport of a client that was asked for outside of a call, where egress isn't known.
type noCall struct{}

func (noCall) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("sdk.HTTPClient: its context is not that of a call or of Configure; pass that one on")
}
