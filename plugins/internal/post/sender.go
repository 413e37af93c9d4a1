package post

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/postrider/postrider/plugins/internal/post/http1"
	"github.com/postrider/postrider/sdk"
)

// The limits of one attempt. Those of the answer are in answer.go.
const (
	DefaultTimeout = 15 * time.Second // of the whole attempt

	dialTimeout    = 5 * time.Second
	tlsTimeout     = 5 * time.Second
	headerLimit    = 32 << 10 // bytes
	idleTimeout    = 90 * time.Second
	idleAltogether = 4096 // kept connections: well within 20,000 descriptors. One host may have them all: it does where thousands subscribe at it
	answerMargin   = 100 * time.Millisecond
)

// Config is what a [Sender] needs.
type Config struct {
	Egress    *sdk.Egress // what may be dialled: sdk.EgressOf(ctx) of the call to configure
	UserAgent string      // "Postrider/1.0.0"
	Limits    Limits      // what is 0 has a default
	HTTP2     bool        // offer HTTP/2 to receivers with TLS
	TLS       *tls.Config // whom to trust, and what to show; nil: the system's authorities, and nothing
	Kept      int         // idle connections; 0: idleAltogether
}

// transport is what a [Sender] stands on.
type transport interface {
	http.RoundTripper
	CloseIdleConnections()
}

// Sender makes attempts. It may be used from any number of goroutines at once; use one for all, since it holds the connections.
type Sender struct {
	transport transport
	userAgent string
	limits    Limits
}

// New returns a Sender that dials what c.Egress allows.
//
// It speaks HTTP/1.1 alone unless c.HTTP2 says otherwise. HTTP/2 puts all attempts at a host on one connection, and a connection that hangs takes all
// of them down with it; in HTTP/1.1 it takes one. What HTTP/2 saves, connections, is kept and used again anyway.
func New(c Config) *Sender {
	limits := c.Limits.orDefault()
	return &Sender{transport: c.transport(limits), userAgent: c.UserAgent, limits: limits}
}

// transport returns what dials what c.Egress allows, and nothing else: a proxy would be the only address that it sees.
func (c Config) transport(limits Limits) transport {
	kept := c.Kept
	if kept == 0 {
		kept = idleAltogether
	}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, limits.Connect)
		defer cancel()
		return c.Egress.DialContext(ctx, network, address)
	}
	if !c.HTTP2 {
		return http1.New(http1.Config{
			Dial:          dial,
			TLS:           c.TLS,
			TLSTimeout:    limits.TLS,
			HeaderTimeout: limits.Header,
			HeaderLimit:   headerLimit,
			Kept:          kept,
			IdleTimeout:   idleTimeout,
		})
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Transport{
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
	}
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

// Close closes the connections that are kept for later. Attempts in flight go on.
func (s *Sender) Close() { s.transport.CloseIdleConnections() }

// Send makes one attempt and returns the receiver's word on it, judged by rule. When ctx ends, so does the attempt.
//
// It works on the transport, below [http.Client]: a client adds redirects, cookies and a timer of its own, none of which is wanted here.
func (s *Sender) Send(ctx context.Context, m Message, rule *Rule) sdk.Outcome {
	target, err := url.Parse(m.URL)
	if err != nil || target.Host == "" || target.User != nil || target.Scheme != "http" && target.Scheme != "https" {
		return sdk.Rejected("the recipient URL is none that can be posted to: it must be http or https, name a host and hold no user name;" +
			" change the subscriber's recipient_url")
	}
	limit := s.limit(ctx)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	a := new(attempt)
	a.body.Reset(m.Body)

	request := (&http.Request{
		Method:        http.MethodPost,
		URL:           target,
		Host:          target.Host,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        m.header(s.userAgent, sdk.Traceparent(ctx)),
		Body:          io.NopCloser(&a.body), // in memory, as http1 wants it
		ContentLength: int64(len(m.Body)),
		// With GetBody, the transport moves a request over to another connection if this one turns out closed before a byte was
		// written. Later than that it never repeats a POST, and neither do we: the receiver may have acted on it.
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(m.Body)), nil },
	}).WithContext(a.follow(ctx))
	if len(m.Body) == 0 {
		request.Body = http.NoBody
	}

	response, err := s.transport.RoundTrip(request)
	if err != nil {
		return s.failure(ctx, a, target.Host, limit, err)
	}
	return answer(response, target.Host, limit, rule)
}

// limit returns how long the attempt may take: the Sender's limit, or what is left of ctx less a margin in which the answer travels back
// to the daemon.
func (s *Sender) limit(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return s.limits.All
	}
	left := time.Until(deadline)
	return min(s.limits.All, left-min(answerMargin, left/10))
}
