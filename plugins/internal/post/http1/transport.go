package http1

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"
	"time"
)

// Config is what a [Transport] needs: all of it but TLS.
type Config struct {
	Dial          func(ctx context.Context, network, address string) (net.Conn, error) // a connection that is no syscall.Conn is used once
	TLS           *tls.Config                                                          // whom to trust, and what to show; nil: the system's authorities, and nothing
	TLSTimeout    time.Duration                                                        // of a handshake
	HeaderTimeout time.Duration                                                        // from the end of the request to the end of the answer's header
	HeaderLimit   int64                                                                // bytes of it, 1xx answers included
	Kept          int                                                                  // idle connections in all; one host may have them all
	IdleTimeout   time.Duration                                                        // for how long they are kept
}

// Transport is an [http.RoundTripper]. It may be used from any number of goroutines at once; an answer's body is for one of them.
type Transport struct {
	config Config
	idle   pool
}

// New returns a Transport.
func New(c Config) *Transport {
	return &Transport{config: c, idle: pool{most: c.Kept, timeout: c.IdleTimeout, byKey: make(map[key][]*conn)}}
}

// CloseIdleConnections closes the connections that are kept, and until the next request those that would be.
func (t *Transport) CloseIdleConnections() { t.idle.close() }

// RoundTrip sends a request and returns its answer once the header is there.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := sendable(r); err != nil {
		closeBody(r)
		return nil, err
	}
	hooks := hooksOf(r.Context())
	for {
		if r.Context().Err() != nil { // a connection that is kept would take the request all the same
			closeBody(r)
			return nil, context.Cause(r.Context())
		}
		c, err := t.connect(r, hooks)
		if err != nil {
			closeBody(r)
			return nil, ended(r.Context(), err)
		}
		x := &exchange{transport: t, conn: c, request: r, hooks: hooks}
		response, err := x.roundTrip()
		if err == nil {
			return response, nil
		}
		err = ended(r.Context(), err)
		if !c.kept || c.socket.wrote.Load() || x.fault != nil || r.Context().Err() != nil || !rewind(&r) {
			return nil, err
		}
	}
}

// connect returns a connection that is kept, or else a new one.
func (t *Transport) connect(r *http.Request, hooks *httptrace.ClientTrace) (*conn, error) {
	hooks.GetConn(r.URL.Host)
	k := key{r.URL.Scheme, r.URL.Host}
	c := t.idle.take(k)
	if c == nil {
		var err error
		if c, err = t.dial(r.Context(), r.URL, hooks); err != nil {
			return nil, err
		}
		c.key = k
	}
	hooks.GotConn(httptrace.GotConnInfo{Conn: c.stream, Reused: c.kept})
	return c, nil
}

// ended returns why the context ended, if it did: what else went wrong came of that.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// hooksOf returns whom to tell of the progress of a request. None of those that are called here is nil.
func hooksOf(ctx context.Context) *httptrace.ClientTrace {
	set := httptrace.ContextClientTrace(ctx)
	if set != nil && set.GetConn != nil && set.TLSHandshakeStart != nil && set.GotConn != nil && set.WroteRequest != nil && set.GotFirstResponseByte != nil {
		return set
	}
	var hooks httptrace.ClientTrace
	if set != nil {
		hooks = *set
	}
	if hooks.GetConn == nil {
		hooks.GetConn = func(string) {}
	}
	if hooks.TLSHandshakeStart == nil {
		hooks.TLSHandshakeStart = func() {}
	}
	if hooks.GotConn == nil {
		hooks.GotConn = func(httptrace.GotConnInfo) {}
	}
	if hooks.WroteRequest == nil {
		hooks.WroteRequest = func(httptrace.WroteRequestInfo) {}
	}
	if hooks.GotFirstResponseByte == nil {
		hooks.GotFirstResponseByte = func() {}
	}
	return &hooks
}
