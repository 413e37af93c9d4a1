package post

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"time"

	"github.com/postrider/postrider/plugins/internal/post/http1"
)

// overNetHTTP sends over net/http, which speaks HTTP/2 too.
type overNetHTTP struct{ *http.Transport }

// netHTTP returns what offers HTTP/2.
func (c Config) netHTTP(dial func(ctx context.Context, network, address string) (net.Conn, error), limits Limits, kept int) transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return overNetHTTP{&http.Transport{
		Proxy:                  nil,
		DialContext:            dial,
		Protocols:              protocols,
		HTTP2:                  http2(min(limits.Header, limits.All)),
		TLSClientConfig:        c.TLS,
		TLSHandshakeTimeout:    limits.TLS,
		ResponseHeaderTimeout:  limits.Header,
		MaxResponseHeaderBytes: headerLimit,
		DisableCompression:     true,
		MaxIdleConns:           kept,
		MaxIdleConnsPerHost:    kept,
		IdleConnTimeout:        idleTimeout,
	}}
}

// http2 are the settings of HTTP/2. A connection on which nothing comes is asked for a sign of life, and dropped without one, well before the attempt that
// first met it ends for want of an answer, so that the next one finds another. And what a receiver sends is taken in small portions: the usual 4 MiB for
// each answer that nobody reads, thousands of them at once, would be more memory than there is.
func http2(answer time.Duration) *http.HTTP2Config {
	return &http.HTTP2Config{
		SendPingTimeout:               answer / 3,
		PingTimeout:                   answer / 3,
		WriteByteTimeout:              answer * 2 / 3,
		MaxReceiveBufferPerStream:     bodyLimit,
		MaxReceiveBufferPerConnection: 1 << 20,
	}
}

// Send implements transport, by a context.
func (t overNetHTTP) Send(ctx context.Context, r *http1.Request) (*http.Response, error) {
	ctx, cancel := context.WithDeadline(ctx, r.Until)
	request := (&http.Request{
		Method:        r.Method,
		URL:           r.URL,
		Host:          r.URL.Host,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        make(http.Header, len(r.Header)),
		Body:          http.NoBody,
		ContentLength: int64(len(r.Body)),
		GetBody:       func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(r.Body)), nil },
	}).WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:              r.Progress.GetConn,
		TLSHandshakeStart:    r.Progress.TLSHandshakeStart,
		GotConn:              r.Progress.GotConn,
		WroteRequest:         r.Progress.WroteRequest,
		GotFirstResponseByte: r.Progress.GotFirstResponseByte,
	}))
	values := make([]string, len(r.Header))
	for i, field := range r.Header {
		values[i] = field.Value
		request.Header[field.Name] = values[i : i+1 : i+1]
	}
	if len(r.Body) > 0 {
		request.Body, _ = request.GetBody() // which has no error
	}
	response, err := t.RoundTrip(request)
	if err != nil {
		if ctx.Err() != nil { // net/http's own error may wrap it, or be what came of it
			err = context.Cause(ctx)
		}
		cancel()
		return nil, err
	}
	response.Body = &ending{response.Body, cancel}
	return response, nil
}

// ending is an answer's body with which its context ends.
type ending struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (e *ending) Close() error {
	defer e.cancel()
	return e.ReadCloser.Close()
}
