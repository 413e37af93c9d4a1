package post

import (
	"context"
	"crypto/tls"
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
	http.RoundTripper // for whoever asks for tokens
	CloseIdleConnections()

	// Send is [http1.Transport.Send], for requests that have an Until, and neither a Host of their own nor Close nor two fields of one name. It keeps to the
	// request's time by itself, and tells its Progress.
	Send(context.Context, *http1.Request) (*http.Response, error)
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
	return c.netHTTP(dial, limits, kept)
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
	a := new(attempt)
	a.request = http1.Request{
		Method:   http.MethodPost,
		URL:      target,
		Header:   m.header(a.fields[:0], s.userAgent, sdk.Traceparent(ctx)),
		Body:     m.Body,
		Asks:     asked,
		Until:    time.Now().Add(limit),
		Progress: a,
	}
	// Both transports move a request over to another connection if this one turns out closed before a byte was written. Later than that they never repeat
	// a POST, and neither do we: the receiver may have acted on it.
	response, err := s.transport.Send(ctx, &a.request)
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
