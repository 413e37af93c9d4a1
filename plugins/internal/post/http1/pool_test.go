//go:build unix

package http1

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// remembering dials, and remembers its last connection.
type remembering struct{ conn *net.TCPConn }

func (d *remembering) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err == nil {
		d.conn = conn.(*net.TCPConn)
	}
	return conn, err
}

// await returns once something has come on the connection, be it its end.
func (d *remembering) await(t *testing.T) {
	t.Helper()
	raw, err := d.conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK)
		return err != syscall.EAGAIN
	}); err != nil {
		t.Fatal(err)
	}
}

func TestAConnectionThatIsNotAsItWasLeftIsNotUsed(t *testing.T) {
	t.Parallel()
	for name, what := range map[string]func(net.Conn){
		"closed":               func(conn net.Conn) { conn.Close() },
		"half closed":          func(conn net.Conn) { _ = conn.(interface{ CloseWrite() error }).CloseWrite() },
		"an answer to nothing": func(conn net.Conn) { fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad") },
		"a byte":               func(conn net.Conn) { fmt.Fprint(conn, "\n") },
	} {
		t.Run(name, func(t *testing.T) {
			answered, change := make(chan struct{}, 2), make(chan struct{})
			r := listen(t, nil, func(conn net.Conn, r *bufio.Reader) {
				if _, err := request(r); err != nil {
					return
				}
				fmt.Fprint(conn, ok)
				answered <- struct{}{}
				<-change
				what(conn)
				_, _ = io.Copy(io.Discard, r)
			})
			d := new(remembering)
			transport := open(t, Config{Dial: d.dial})
			if _, body, err := send(t, transport, "http://"+r.address, "{}"); err != nil || body != "ok" {
				t.Fatalf("got %q, %v", body, err)
			}
			close(change)
			d.await(t)
			if _, body, err := send(t, transport, "http://"+r.address, "{}"); err != nil || body != "ok" {
				t.Errorf("got %q, %v", body, err)
			}
		})
	}
}

// coalescing holds back what is written until it is told to let go, so that all of it comes at once.
type coalescing struct {
	net.Conn
	mu   sync.Mutex
	hold bool
	held bytes.Buffer
}

func (c *coalescing) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hold {
		return c.held.Write(p)
	}
	return c.Conn.Write(p)
}

func (c *coalescing) letGo() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hold = false
	_, _ = c.Conn.Write(c.held.Bytes())
}

// With TLS, what came too much may have been read already, and lie in TLS' own buffer.
func TestAnAnswerToNothingIsSeenBehindTLS(t *testing.T) {
	t.Parallel()
	certificate, trusting := certificates(t)
	r := listen(t, nil, func(plain net.Conn, _ *bufio.Reader) {
		c := &coalescing{Conn: plain}
		conn := tls.Server(c, &tls.Config{Certificates: certificate})
		if _, err := request(bufio.NewReader(conn)); err != nil {
			return
		}
		c.hold = true
		fmt.Fprint(conn, ok)
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad") // a record of its own
		c.letGo()
		_, _ = io.Copy(io.Discard, plain)
	})
	transport := open(t, Config{TLS: trusting})
	for range 2 {
		if _, body, err := send(t, transport, "https://"+r.address, "{}"); err != nil || body != "ok" {
			t.Errorf("got %q, %v", body, err)
		}
	}
	r.took(t, false)
}

// fill writes until neither the receiver, which reads nothing, nor the kernel takes a byte more.
func fill(t *testing.T, conn *net.TCPConn) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	for err == nil {
		_, err = conn.Write(make([]byte, 64<<10))
	}
	_ = conn.SetWriteDeadline(time.Time{})
	for _, size := range []int{64 << 10, 1} { // where a Write of Go's waits, there is some room left
		for err = nil; err == nil; {
			if failure := raw.Control(func(fd uintptr) { _, err = syscall.Write(int(fd), make([]byte, size)) }); failure != nil {
				t.Fatal(failure)
			}
		}
	}
	if err != syscall.EAGAIN {
		t.Fatal(err)
	}
}

// TLS writes, too: when it is closed, and when what it reads is wrong.
func TestAReceiverThatTakesNothingHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	certificate, trusting := certificates(t)
	answer := func(conn *tls.Conn) { fmt.Fprint(conn, ok) }
	broken := func(conn *tls.Conn) { fmt.Fprint(conn.NetConn(), "\x17\x03\x03\x00\x20"+strings.Repeat("x", 32)) }
	next := func(transport *Transport, address string) { _, _, _ = send(t, transport, "https://"+address, "{}") }
	for name, test := range map[string]struct {
		comes func(*tls.Conn) // on the connection that is kept
		then  func(transport *Transport, address string)
	}{
		"a broken record, the next request":       {broken, next},
		"a broken record, a sweep":                {broken, func(transport *Transport, _ string) { transport.idle.sweep() }},
		"an answer to nothing, the next request":  {answer, next},
		"an answer to nothing, all are closed":    {answer, func(transport *Transport, _ string) { transport.CloseIdleConnections() }},
		"an answer to nothing, too many are kept": {answer, func(transport *Transport, _ string) { together(t, transport, 1) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := new(remembering)
			transport := open(t, Config{TLS: trusting, Dial: d.dial, Kept: 1})
			full, quit := make(chan struct{}), make(chan struct{})
			var first sync.Once
			r := listen(t, nil, func(plain net.Conn, _ *bufio.Reader) {
				conn := tls.Server(plain, &tls.Config{Certificates: certificate})
				if _, err := request(bufio.NewReader(conn)); err != nil {
					return
				}
				fmt.Fprint(conn, ok)
				first.Do(func() {
					<-full
					test.comes(conn)
					<-quit
				})
			})
			t.Cleanup(func() { close(quit) })
			if _, _, err := send(t, transport, "https://"+r.address, "{}"); err != nil {
				t.Fatal(err)
			}
			fill(t, d.conn)
			close(full)
			d.await(t)
			over := make(chan struct{})
			go func() {
				defer close(over)
				test.then(transport, r.address)
			}()
			select {
			case <-over:
			case <-time.After(3 * time.Second):
				t.Error("it has not ended after 3 s")
			}
		})
	}
}

// counted counts the connections that are open.
type counted struct {
	mu   sync.Mutex
	open int
	less chan struct{}
}

func (c *counted) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open++
	return &countedConn{TCPConn: conn.(*net.TCPConn), counted: c}, nil
}

type countedConn struct {
	*net.TCPConn
	counted *counted
	once    sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() {
		c.counted.mu.Lock()
		c.counted.open--
		c.counted.mu.Unlock()
		select {
		case c.counted.less <- struct{}{}:
		default:
		}
	})
	return c.TCPConn.Close()
}

func (c *counted) now() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}

// countDials counts those of a transport that was not used yet.
func countDials(by roundTripper) *counted {
	c := &counted{less: make(chan struct{}, 100)}
	setDial(by, c.dial)
	return c
}

// await returns once there are no more than so many.
func (c *counted) await(most int) {
	for c.now() > most {
		<-c.less
	}
}

// together makes n requests at once, each over a connection of its own.
func together(t *testing.T, by roundTripper, n int) {
	t.Helper()
	var here, group sync.WaitGroup
	here.Add(n)
	r := listen(t, nil, func(conn net.Conn, r *bufio.Reader) {
		if _, err := request(r); err == nil {
			here.Done()
			here.Wait()
			fmt.Fprint(conn, ok)
			_, _ = io.Copy(io.Discard, r)
		}
	})
	for range n {
		group.Go(func() {
			if _, body, err := send(t, by, "http://"+r.address, "{}"); err != nil || body != "ok" {
				t.Errorf("got %q, %v", body, err)
			}
		})
	}
	group.Wait()
}

func TestNoMoreConnectionsAreKeptThanMayBe(t *testing.T) {
	t.Parallel()
	both(t, Config{Kept: 2}, func(t *testing.T, by roundTripper) {
		c := countDials(by)
		together(t, by, 4)
		c.await(2)
		together(t, by, 3) // of another host: all but the last two give way
		c.await(2)
		if n := c.now(); n != 2 {
			t.Errorf("%d are kept, want 2", n)
		}
		by.CloseIdleConnections()
		c.await(0)
	})
}

func TestAConnectionInUseIsNotKeptOnceAllWereToBeClosed(t *testing.T) {
	t.Parallel()
	both(t, Config{}, func(t *testing.T, by roundTripper) {
		c := countDials(by)
		together(t, by, 2)
		r := listen(t, nil, always(ok))
		response, err := by.RoundTrip(post(t, t.Context(), "http://"+r.address, "{}"))
		if err != nil {
			t.Fatal(err)
		}
		by.CloseIdleConnections()
		c.await(1)
		_, _ = io.Copy(io.Discard, response.Body)
		c.await(0)
		together(t, by, 2)
		if n := c.now(); n != 2 {
			t.Errorf("afterwards %d are kept, want 2", n)
		}
	})
}

func TestAConnectionIsClosedWhenItWasNotUsedForLong(t *testing.T) {
	t.Parallel()
	both(t, Config{IdleTimeout: 10 * time.Millisecond}, func(t *testing.T, by roundTripper) {
		c := countDials(by)
		together(t, by, 2)
		c.await(0)
	})
}

// Also where nobody asks for another one: its descriptor, and the receiver's, are free again.
func TestAConnectionThatItsReceiverClosedIsClosedHereToo(t *testing.T) {
	t.Parallel()
	both(t, Config{}, func(t *testing.T, by roundTripper) {
		c := countDials(by)
		r := listen(t, nil, func(conn net.Conn, r *bufio.Reader) {
			if _, err := request(r); err == nil {
				fmt.Fprint(conn, ok)
			}
		})
		if _, body, err := send(t, by, "http://"+r.address, "{}"); err != nil || body != "ok" {
			t.Fatalf("got %q, %v", body, err)
		}
		c.await(0)
	})
}
