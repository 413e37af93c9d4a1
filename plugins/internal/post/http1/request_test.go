package http1

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestARequestHasTheFieldsThatNetHTTPGivesIt(t *testing.T) {
	t.Parallel()
	lines := make(chan []string, 1) // of the last request, the first one and then the others sorted: their order means nothing
	r := listen(t, nil, func(conn net.Conn, r *bufio.Reader) {
		for {
			var got []string
			length := 0
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if line == "\r\n" {
					break
				}
				if line == "Content-Length: 2\r\n" {
					length = 2
				}
				got = append(got, line)
			}
			body := make([]byte, length)
			if _, err := io.ReadFull(r, body); err != nil {
				return
			}
			slices.Sort(got[1:])
			lines <- append(got, string(body))
			_, _ = io.WriteString(conn, ok)
		}
	})
	for name, change := range map[string]func(*http.Request){
		"as it is":              func(*http.Request) {},
		"fields":                func(r *http.Request) { r.Header = http.Header{"B": {" x\t", "y"}, "A-B": {""}, "X": {"ü"}} },
		"no method":             func(r *http.Request) { r.Method = "" },
		"another method":        func(r *http.Request) { r.Method = "M-SEARCH" },
		"GET":                   func(r *http.Request) { r.Method, r.Body, r.ContentLength = "GET", nil, 0 },
		"POST without a body":   func(r *http.Request) { r.Body, r.ContentLength = http.NoBody, 0 },
		"PATCH without a body":  func(r *http.Request) { r.Method, r.Body, r.ContentLength = "PATCH", nil, 0 },
		"DELETE without a body": func(r *http.Request) { r.Method, r.Body, r.ContentLength = "DELETE", nil, 0 },
		"a body of GET":         func(r *http.Request) { r.Method = "GET" },
		"a user agent":          func(r *http.Request) { r.Header.Set("User-Agent", "Postrider/1") },
		"no user agent":         func(r *http.Request) { r.Header.Set("User-Agent", "") },
		"its last":              func(r *http.Request) { r.Close = true },
		"what is not for users": func(r *http.Request) {
			r.Header = http.Header{"Host": {"a"}, "Content-Length": {"7"}, "Transfer-Encoding": {"chunked"}, "Trailer": {"A"}}
		},
		"another host":             func(r *http.Request) { r.Host = "shop.example.com:99" },
		"a host that is not ASCII": func(r *http.Request) { r.Host = "bücher.example" },
		"a host that is none":      func(r *http.Request) { r.Host = "a b" },
		"a zone":                   func(r *http.Request) { r.Host = "[fe80::1%lo]:80" },
		"no host":                  func(r *http.Request) { r.Host = "" },
		"a path and a query":       func(r *http.Request) { r.URL.Path, r.URL.RawQuery, r.URL.Fragment = "/a b/ü", "c=%20&d=ü", "e" },
		"an opaque URL":            func(r *http.Request) { r.URL.Opaque = "//elsewhere/a%2Fb" },
	} {
		t.Run(name, func(t *testing.T) {
			request := func() *http.Request {
				r := post(t, t.Context(), "http://"+r.address, "{}")
				change(r)
				return r
			}
			var got [2][]string
			for i, by := range []http.RoundTripper{open(t, Config{}), &http.Transport{DisableCompression: true, DisableKeepAlives: false}} {
				response, err := by.RoundTrip(request())
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, response.Body)
				got[i] = <-lines
				by.(roundTripper).CloseIdleConnections()
			}
			if !slices.Equal(got[0], got[1]) {
				t.Errorf("\n got %q\nwant %q", got[0], got[1])
			}
		})
	}
}

// closing is a body that tells whether it was closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}

func TestWhatMustNotBeSentIsNotDialledFor(t *testing.T) {
	t.Parallel()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for name, change := range map[string]func(*http.Request){
		"a line end in a value":       func(r *http.Request) { r.Header = http.Header{"A": {"b\r\nC: d"}} },
		"a line end in a name":        func(r *http.Request) { r.Header = http.Header{"A: b\r\nC": {"d"}} },
		"a name that is empty":        func(r *http.Request) { r.Header = http.Header{"": {"d"}} },
		"a control character":         func(r *http.Request) { r.Header = http.Header{"A": {"\x00"}} },
		"a space in the method":       func(r *http.Request) { r.Method = "GET /" },
		"a host that is no name":      func(r *http.Request) { r.Host = "xn--ü.example" },
		"a line end in the query":     func(r *http.Request) { r.URL.RawQuery = "a\r\nB: c" },
		"a line end in an opaque URL": func(r *http.Request) { r.URL.Opaque = "/a\r\nB: c" },
		"a URL without a host":        func(r *http.Request) { r.URL = &url.URL{Scheme: "http", Path: "/"} },
		"no URL":                      func(r *http.Request) { r.URL = nil },
		"another scheme":              func(r *http.Request) { r.URL.Scheme = "ftp" },
		"a context that has ended":    func(r *http.Request) { *r = *r.WithContext(over) },
	} {
		t.Run(name, func(t *testing.T) {
			both(t, Config{}, func(t *testing.T, by roundTripper) {
				r := post(t, t.Context(), "http://127.0.0.1:1", "{}")
				body := &closing{Reader: strings.NewReader("{}")}
				r.Body = body
				change(r)
				response, err := by.RoundTrip(r)
				if err == nil {
					t.Fatalf("got %v", response)
				}
				if !body.closed {
					t.Errorf("got %v, but the body was not closed", err)
				}
				if _, ours := by.(*Transport); ours && strings.Contains(err.Error(), "refused") {
					t.Errorf("got %v: it was dialled for", err)
				}
			})
		})
	}
}

func TestAConnectionThatIsKeptDoesNotTakeARequestWhoseContextHasEnded(t *testing.T) {
	t.Parallel()
	both(t, Config{}, func(t *testing.T, by roundTripper) {
		r := listen(t, nil, always(ok))
		if _, _, err := send(t, by, "http://"+r.address, "{}"); err != nil {
			t.Fatal(err)
		}
		drained := errors.New("drained")
		ctx, cancel := context.WithCancelCause(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			GotConn: func(httptrace.GotConnInfo) { t.Error("it was given a connection") },
		}))
		cancel(drained)
		if response, err := by.RoundTrip(post(t, ctx, "http://"+r.address, "{}")); err != drained {
			t.Errorf("got %v, %v", response, err)
		}
	})
}

// net/http sends such a URL as it is.
func TestASpaceInAURLDoesNotEndTheRequestsTarget(t *testing.T) {
	t.Parallel()
	targets := make(chan string, 1)
	r := listen(t, nil, func(conn net.Conn, r *bufio.Reader) {
		if line, err := r.ReadString('\n'); err == nil {
			targets <- strings.TrimSpace(line)
			_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
			_, _ = io.Copy(io.Discard, r)
		}
	})
	transport := open(t, Config{})
	for want, change := range map[string]func(*url.URL){
		"POST /?a=b%20c%20HTTP/1.0 HTTP/1.1": func(u *url.URL) { u.RawQuery = "a=b c HTTP/1.0" },
		"POST /a%20b HTTP/1.1":               func(u *url.URL) { u.Opaque = "/a b" },
	} {
		request := post(t, t.Context(), "http://"+r.address, "{}")
		change(request.URL)
		if _, err := transport.RoundTrip(request); err != nil {
			t.Fatal(err)
		}
		if got := <-targets; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestARequestThatCantBeWrittenFails(t *testing.T) {
	t.Parallel()
	r := listen(t, nil, always(ok))
	transport := open(t, Config{})
	if _, _, err := send(t, transport, "http://"+r.address, "{}"); err != nil { // its connection is kept
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*http.Request)
		want   string
	}{
		"a body that ends early":      {func(r *http.Request) { r.ContentLength = 3 }, "ended after 2 of 3 bytes"},
		"a long body that ends early": {func(r *http.Request) { r.ContentLength = 1 << 20 }, "ended after 2 of 1048576 bytes"},
		"a body of no known length":   {func(r *http.Request) { r.ContentLength = -1 }, "length is known"},
		"a body that is said to be 0": {func(r *http.Request) { r.ContentLength = 0 }, "length is known"},
		"CONNECT":                     {func(r *http.Request) { r.Method = "CONNECT" }, "no method that can be sent"},
		"a part of one that ends early": {func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(io.MultiReader(strings.NewReader(strings.Repeat("x", atOnce-1)))), atOnce
		}, "ended after 16383 of 16384 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			request := post(t, t.Context(), "http://"+r.address, "{}")
			test.change(request)
			if response, err := transport.RoundTrip(request); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, %v, want %q", response, err, test.want)
			}
		})
	}
	if _, body, err := send(t, transport, "http://"+r.address, "{}"); err != nil || body != "ok" {
		t.Errorf("afterwards: got %q, %v", body, err)
	}
}

func TestBodiesOfAllSizesArrive(t *testing.T) {
	t.Parallel()
	both(t, Config{}, func(t *testing.T, by roundTripper) {
		got := make(chan string, 1)
		r := listen(t, nil, func(conn net.Conn, r *bufio.Reader) {
			for {
				body, err := request(r)
				if err != nil {
					return
				}
				got <- body
				_, _ = io.WriteString(conn, ok)
			}
		})
		for _, size := range []int{0, 1, 1 << 10, atOnce - 1, atOnce, atOnce + 1, 64 << 10, 1 << 20} {
			body := strings.Repeat("0123456789abcdef", size/16+1)[:size]
			if _, answer, err := send(t, by, "http://"+r.address, body); err != nil || answer != "ok" {
				t.Fatalf("%d bytes: got %q, %v", size, answer, err)
			}
			if <-got != body {
				t.Errorf("%d bytes: others arrived", size)
			}
		}
		if n := r.connections.Load(); n != 1 {
			t.Errorf("they took %d connections", n)
		}
	})
}
