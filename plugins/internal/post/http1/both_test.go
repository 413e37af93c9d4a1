package http1

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type roundTripper interface {
	http.RoundTripper
	CloseIdleConnections()
}

// open returns a Transport. What c leaves out is generous.
func open(t testing.TB, c Config) *Transport {
	t.Helper()
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	if c.HeaderTimeout == 0 {
		c.HeaderTimeout = time.Minute
	}
	if c.TLSTimeout == 0 {
		c.TLSTimeout = time.Minute
	}
	if c.Kept == 0 {
		c.Kept = 100
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = time.Minute
	}
	c.HeaderLimit = 32 << 10
	transport := New(c)
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// both runs a test with a Transport, and with net/http's, which says what is right.
func both(t *testing.T, c Config, test func(t *testing.T, by roundTripper)) {
	t.Run("http1", func(t *testing.T) {
		t.Parallel()
		test(t, open(t, ownSessions(c)))
	})
	t.Run("net-http", func(t *testing.T) {
		t.Parallel()
		c := open(t, ownSessions(c)).config
		protocols := new(http.Protocols)
		protocols.SetHTTP1(true)
		transport := &http.Transport{
			DialContext: c.Dial, TLSClientConfig: c.TLS, TLSHandshakeTimeout: c.TLSTimeout, ResponseHeaderTimeout: c.HeaderTimeout,
			MaxResponseHeaderBytes: c.HeaderLimit, DisableCompression: true, MaxIdleConns: c.Kept, MaxIdleConnsPerHost: c.Kept,
			IdleConnTimeout: c.IdleTimeout, Protocols: protocols,
		}
		t.Cleanup(transport.CloseIdleConnections)
		test(t, transport)
	})
}

// ownSessions gives one side a cache of TLS sessions of its own, if there is one: its receiver knows nothing of the other's, though both have one name.
func ownSessions(c Config) Config {
	if c.TLS != nil && c.TLS.ClientSessionCache != nil {
		c.TLS = c.TLS.Clone()
		c.TLS.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	}
	return c
}

// setDial has a transport that was not used yet dial in another way.
func setDial(by roundTripper, dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	switch by := by.(type) {
	case *Transport:
		by.config.Dial = dial
	case *http.Transport:
		by.DialContext = dial
	}
}

// receiver is a server that does on each connection what its test says.
type receiver struct {
	address     string
	connections atomic.Int32
}

// listen serves connections until the test is over. With c, it speaks TLS.
func listen(t testing.TB, c *tls.Config, serve func(net.Conn, *bufio.Reader)) *receiver {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{address: listener.Addr().String()}
	var mu sync.Mutex
	var open []net.Conn
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			r.connections.Add(1)
			if c != nil {
				conn = tls.Server(conn, c)
			}
			group.Go(func() {
				defer conn.Close()
				serve(conn, bufio.NewReader(conn))
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for _, conn := range open {
			conn.Close()
		}
		mu.Unlock()
		group.Wait()
	})
	return r
}

// request reads a request and its body.
func request(r *bufio.Reader) (body string, err error) {
	got, err := http.ReadRequest(r)
	if err != nil {
		return "", err
	}
	content, err := io.ReadAll(got.Body)
	return string(content), err
}

// always answers each request with the same.
func always(answer string) func(net.Conn, *bufio.Reader) {
	return func(conn net.Conn, r *bufio.Reader) {
		for {
			if _, err := request(r); err != nil {
				return
			}
			if _, err := io.WriteString(conn, answer); err != nil {
				return
			}
		}
	}
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func post(t testing.TB, ctx context.Context, url, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// send posts, and reads the whole answer.
func send(t testing.TB, by http.RoundTripper, url, body string) (response *http.Response, answer string, err error) {
	t.Helper()
	response, err = by.RoundTrip(post(t, t.Context(), url, body))
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return response, string(content), err
}

// took checks how many connections two requests took: one, if the second one was sent over that of the first.
func (r *receiver) took(t *testing.T, reused bool) {
	t.Helper()
	want := int32(2)
	if reused {
		want = 1
	}
	if n := r.connections.Load(); n != want {
		t.Errorf("two requests took %d connections, want %d", n, want)
	}
}
