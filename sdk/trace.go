package sdk

import "context"

// traceKey is the context key of the trace context.
type traceKey struct{}

// WithTraceparent returns a context that carries a W3C trace context (https://www.w3.org/TR/trace-context/#traceparent-header) across the
// process: what the daemon sets on a request, the plugin finds in the context of the call.
func WithTraceparent(ctx context.Context, traceparent string) context.Context {
	if traceparent == "" {
		return ctx
	}
	return context.WithValue(ctx, traceKey{}, traceparent)
}

// Traceparent returns the W3C trace context of a call, or "".
func Traceparent(ctx context.Context) string {
	traceparent, _ := ctx.Value(traceKey{}).(string)
	return traceparent
}
