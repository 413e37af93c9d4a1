package http1

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptrace"
	"net/url"
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

// dial makes a connection for a URL, with TLS if it says so.
func (t *Transport) dial(ctx context.Context, u *url.URL, hooks *httptrace.ClientTrace) (*conn, error) {
	host, port := u.Hostname(), u.Port()
	if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		host = ascii
	}
	switch {
	case port != "":
	case u.Scheme == "https":
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
	c := &conn{socket: s, stream: s}
	if u.Scheme == "https" {
		if err := c.handshake(ctx, t.config, host, hooks); err != nil {
			plain.Close()
			return nil, err
		}
	}
	return c, nil
}

func (c *conn) handshake(ctx context.Context, config Config, host string, hooks *httptrace.ClientTrace) error {
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
	hooks.TLSHandshakeStart()
	if err := secure.HandshakeContext(ctx); err != nil {
		return err
	}
	state := secure.ConnectionState()
	c.stream, c.tls = secure, &state
	return nil
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
