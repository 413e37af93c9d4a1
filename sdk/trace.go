package sdk

import (
	"context"
	"strings"
)

// traceKey is the context key of the trace context.
type traceKey struct{}

// tracedContext carries a trace context. It is its own value: [context.WithValue] would allocate the text a second time, for every request.
type tracedContext struct {
	context.Context
	traceparent string
}

func (c *tracedContext) Value(key any) any {
	if key == (traceKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// WithTraceparent returns a context that carries a W3C trace context (https://www.w3.org/TR/trace-context/#traceparent-header) across the
// process: what the daemon sets on a request, the plugin finds in the context of the call.
func WithTraceparent(ctx context.Context, traceparent string) context.Context {
	if traceparent == "" {
		return ctx
	}
	return &tracedContext{ctx, traceparent}
}

// Traceparent returns the W3C trace context of a call, or "". All calls for one event have the same trace id, and each attempt a parent id of
// its own.
func Traceparent(ctx context.Context) string {
	if c, ok := ctx.Value(traceKey{}).(*tracedContext); ok {
		return c.traceparent
	}
	return ""
}

// traceID returns the trace id of a call, or "".
func traceID(ctx context.Context) string {
	_, rest, _ := strings.Cut(Traceparent(ctx), "-") // after the version
	id, _, _ := strings.Cut(rest, "-")
	return id
}
