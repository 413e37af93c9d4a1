package http1

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/idna"
)

// conn is one connection. It belongs to one exchange at a time, or to the pool.
type conn struct {
	socket *socket
	stream net.Conn             // the socket, or TLS over it
	tls    *tls.ConnectionState // nil: there is none
	left   int64                // bytes that Read still returns

	exceeded bool // Read was asked for more

	guard *time.Timer // calls overrun when an exchange's time is over; nil: none had one
	over  atomic.Bool // it was called

	key   key
	kept  bool          // at some time
	since time.Time     // it is kept
	place *list.Element // in the pool; nil: it is in use
}

// socket is what lies below TLS.
type socket struct {
	net.Conn
	raw   syscall.RawConn // nil: what has come can't be seen without waiting
	wrote atomic.Bool     // a byte, since this was last set to false
	hasty bool            // neither Read nor Write waits. Set only while nobody else uses the connection
}

func (s *socket) Write(p []byte) (int, error) {
	write := s.Conn.Write
	if s.hasty {
		write = s.writeNow
	}
	n, err := write(p)
	if n > 0 {
		s.wrote.Store(true)
	}
	return n, err
}

func (s *socket) Read(p []byte) (int, error) {
	if s.hasty {
		return s.readNow(p)
	}
	return s.Conn.Read(p)
}

// dial makes a connection for a request, with TLS if its URL says so.
func (t *Transport) dial(ctx context.Context, r *Request) (c *conn, err error) {
	if !r.Until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, r.Until)
		defer cancel()
	}
	defer func() {
		at, _ := ctx.Deadline() // by the clock: a dial has a timer of its own, and may be told before the context is
		if why := ended(ctx, at); err != nil && why != nil {
			err = why
		}
	}()
	host, port := r.URL.Hostname(), r.URL.Port()
	if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		host = ascii
	}
	switch {
	case port != "":
	case r.URL.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	plain, err := t.config.Dial(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, err
	}
	s := &socket{Conn: plain}
	if system, ok := plain.(syscall.Conn); ok {
		s.raw, _ = system.SyscallConn()
	}
	c = &conn{socket: s, stream: s}
	if r.URL.Scheme == "https" {
		if err := c.handshake(ctx, t.config, host, r.Progress); err != nil {
			plain.Close()
			return nil, err
		}
	}
	return c, nil
}

func (c *conn) handshake(ctx context.Context, config Config, host string, p Progress) error {
	own := config.TLS.Clone()
	if own == nil {
		own = new(tls.Config)
	}
	if own.ServerName == "" {
		own.ServerName = host
	}
	own.NextProtos = []string{"http/1.1"}
	secure := tls.Client(c.socket, own)
	ctx, cancel := context.WithTimeout(ctx, config.TLSTimeout)
	defer cancel()
	p.TLSHandshakeStart()
	switch err := secure.HandshakeContext(ctx); {
	case err == context.DeadlineExceeded: // which Send returns itself only where all of the request's time is over
		return fmt.Errorf("TLS: %w", err)
	case err != nil:
		return err
	}
	state := secure.ConnectionState()
	c.stream, c.tls = secure, &state
	return nil
}

// abort ends the exchange on the connection, from another goroutine.
func (c *conn) abort() { c.socket.Close() }

// limit ends the exchange at a time. The timer is the connection's own: to set it and stop it costs 0.15 µs, where a context with a deadline takes 1.8.
func (c *conn) limit(until time.Time) {
	if left := time.Until(until); c.guard == nil {
		c.guard = time.AfterFunc(left, c.overrun)
	} else {
		c.guard.Reset(left)
	}
}

func (c *conn) overrun() {
	c.over.Store(true)
	c.abort()
}

// Read reads no more than may come.
func (c *conn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		c.exceeded = true
		return 0, io.ErrUnexpectedEOF
	}
	n, err := c.stream.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// silent reports whether the connection is open, and nothing has come on it. It doesn't wait. TLS takes in what is no data, such as tickets of sessions, and may
// answer, as with an alert or a new key. If the kernel doesn't take that at once, the next write fails before a byte has left.
func (c *conn) silent() bool {
	if c.socket.raw == nil {
		return false
	}
	c.socket.hasty = true
	n, err := c.stream.Read(make([]byte, 1))
	c.socket.hasty = false
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
}

// close closes a connection that nobody else uses. It doesn't wait: TLS says goodbye (close_notify) if the kernel takes that at once. [tls.Conn.Close] by itself
// would wait 5 s for a receiver that takes nothing.
func (c *conn) close() {
	if c.socket.raw == nil {
		c.socket.Close()
		return
	}
	c.socket.hasty = true
	c.stream.Close()
}
