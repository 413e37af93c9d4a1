package post

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/postrider/postrider/sdk"
)

// The limits of one attempt. Those of the answer are in answer.go.
const (
	DefaultTimeout = 15 * time.Second // of the whole attempt

	dialTimeout    = 5 * time.Second
	tlsTimeout     = 5 * time.Second
	headerLimit    = 32 << 10 // bytes
	idleTimeout    = 90 * time.Second
	idlePerHost    = 256  // kept connections
	idleAltogether = 4096 // kept connections: well within 20,000 descriptors
	answerMargin   = 100 * time.Millisecond
)

// Config is what a [Sender] needs.
type Config struct {
	Egress    *sdk.Egress   // what may be dialled: sdk.EgressOf(ctx) of the call to configure
	UserAgent string        // "Postrider/1.0.0"
	Timeout   time.Duration // of the whole attempt; 0: DefaultTimeout
}

// Sender makes attempts. It may be used from any number of goroutines at once; use one for all, since it holds the connections.
type Sender struct {
	transport *http.Transport
	userAgent string
	timeout   time.Duration
}

// New returns a Sender that dials what c.Egress allows.
//
// It speaks HTTP/1.1 alone. HTTP/2 would put all attempts at a host on one connection, and a connection that hangs would take all of
// them down with it; here it takes one.
func New(c Config) *Sender {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &Sender{
		userAgent: c.UserAgent,
		timeout:   timeout,
		transport: &http.Transport{
			Proxy: nil, // a proxy would be the only address that the egress check sees
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				ctx, cancel := context.WithTimeout(ctx, dialTimeout)
				defer cancel()
				return c.Egress.DialContext(ctx, network, address)
			},
			Protocols:              protocols,
			TLSHandshakeTimeout:    tlsTimeout,
			ResponseHeaderTimeout:  timeout * 2 / 3,
			MaxResponseHeaderBytes: headerLimit,
			DisableCompression:     true,
			MaxIdleConns:           idleAltogether,
			MaxIdleConnsPerHost:    idlePerHost,
			IdleConnTimeout:        idleTimeout,
		},
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

	request := (&http.Request{
		Method:        http.MethodPost,
		URL:           target,
		Host:          target.Host,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        m.header(s.userAgent, sdk.Traceparent(ctx)),
		Body:          io.NopCloser(bytes.NewReader(m.Body)),
		ContentLength: int64(len(m.Body)),
		// With GetBody, the transport moves a request over to another connection if this one turns out closed before a byte was
		// written. Later than that it never repeats a POST, and neither do we: the receiver may have acted on it.
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(m.Body)), nil },
	}).WithContext(ctx)
	if len(m.Body) == 0 {
		request.Body = http.NoBody
	}

	response, err := s.transport.RoundTrip(request)
	if err != nil {
		return failure(ctx, target.Host, limit, err)
	}
	return answer(response, target.Host, rule)
}

// limit returns how long the attempt may take: the Sender's timeout, or what is left of ctx less a margin in which the answer travels back
// to the daemon.
func (s *Sender) limit(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return s.timeout
	}
	left := time.Until(deadline)
	return min(s.timeout, left-min(answerMargin, left/10))
}
