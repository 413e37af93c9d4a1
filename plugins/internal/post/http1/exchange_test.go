package http1

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAContextEndsAnExchangeInWhateverPhaseItIs(t *testing.T) {
	t.Parallel()
	type phase struct {
		scheme string
		body   int
		serve  func(conn net.Conn, r *bufio.Reader, reached func()) // returns when the connection is closed
		dial   func(ctx context.Context, reached func())            // nil: the receiver is dialled
		ended  bool                                                 // with the answer's header there
	}
	gone := func(r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) }
	for name, phase := range map[string]phase{
		"connecting": {scheme: "http", dial: func(ctx context.Context, reached func()) {
			reached()
			<-ctx.Done()
		}},
		"shaking hands": {scheme: "https", serve: func(_ net.Conn, r *bufio.Reader, reached func()) {
			if _, err := r.Peek(1); err == nil {
				reached()
				gone(r)
			}
		}},
		"sending": {scheme: "http", body: 64 << 20, serve: func(conn net.Conn, r *bufio.Reader, reached func()) {
			if _, err := r.Peek(1); err == nil {
				reached()
				gone(r)
			}
		}},
		"waiting": {scheme: "http", body: 2, serve: func(conn net.Conn, r *bufio.Reader, reached func()) {
			if _, err := request(r); err == nil {
				reached()
				gone(r)
			}
		}},
		"reading the header": {scheme: "http", body: 2, serve: func(conn net.Conn, r *bufio.Reader, reached func()) {
			if _, err := request(r); err == nil {
				fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nA: ")
				reached()
				gone(r)
			}
		}},
		"reading the body": {scheme: "http", body: 2, ended: true, serve: func(conn net.Conn, r *bufio.Reader, reached func()) {
			if _, err := request(r); err == nil {
				fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok")
				reached()
				gone(r)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			drained := errors.New("drained")
			reached := func() { cancel(drained) }
			if phase.ended {
				reached = func() {} // the test itself goes on from there
			}
			over := make(chan struct{})
			var c Config
			if phase.dial != nil {
				close(over)
				c.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
					phase.dial(ctx, reached)
					return nil, ctx.Err()
				}
			}
			// Both have their own receiver, since both cancel.
			r := listen(t, nil, func(conn net.Conn, r *bufio.Reader) {
				defer close(over)
				phase.serve(conn, r, reached)
			})
			response, err := open(t, c).RoundTrip(post(t, ctx, phase.scheme+"://"+r.address, strings.Repeat("x", phase.body)))
			if phase.ended {
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(response.Body, make([]byte, 2)); err != nil {
					t.Fatal(err)
				}
				cancel(drained)
				_, err = io.ReadAll(response.Body)
				response.Body.Close()
			}
			if err != drained {
				t.Errorf("got %v", err)
			}
			<-over
		})
	}
}

// timedOut reports whether an error is that of a limit.
func timedOut(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

func TestAnAnswersHeaderHasItsTime(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]func(net.Conn){
		"silent": func(net.Conn) {},
		"drips": func(conn net.Conn) {
			for range 1000 {
				if _, err := io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
					return
				}
				time.Sleep(5 * time.Millisecond) // as slow as it is meant to be
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{2, 1 << 20} {
				both(t, Config{HeaderTimeout: 50 * time.Millisecond}, func(t *testing.T, by roundTripper) {
					r := listen(t, nil, func(conn net.Conn, r *bufio.Reader) {
						if _, err := request(r); err == nil {
							serve(conn)
							_, _ = io.Copy(io.Discard, r)
						}
					})
					if response, _, err := send(t, by, "http://"+r.address, strings.Repeat("x", size)); !timedOut(err) {
						t.Errorf("%d bytes: got %v, %v", size, response, err)
					}
				})
			}
		})
	}
}

// The body has what is left of the context's time, and sending has all of it.
func TestNothingButTheHeaderHasTheHeadersTime(t *testing.T) {
	t.Parallel()
	const limit = 500 * time.Millisecond
	both(t, Config{HeaderTimeout: limit}, func(t *testing.T, by roundTripper) {
		r := listen(t, nil, func(conn net.Conn, r *bufio.Reader) {
			_ = conn.(*net.TCPConn).SetReadBuffer(256 << 10)
			for {
				if _, err := r.Peek(1); err != nil {
					return
				}
				time.Sleep(limit * 3 / 2) // what is slow here is the receiver
				if _, err := request(r); err != nil {
					return
				}
				fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
				time.Sleep(limit * 3 / 2)
				fmt.Fprint(conn, "k")
			}
		})
		for range 2 { // the second over the same connection
			if _, body, err := send(t, by, "http://"+r.address, strings.Repeat("x", 16<<20)); err != nil || body != "ok" {
				t.Errorf("got %q, %v", body, err)
			}
		}
	})
}

func TestTLSHasItsTime(t *testing.T) {
	t.Parallel()
	both(t, Config{TLSTimeout: 50 * time.Millisecond}, func(t *testing.T, by roundTripper) {
		r := listen(t, nil, func(_ net.Conn, r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) })
		if response, _, err := send(t, by, "https://"+r.address, "{}"); !timedOut(err) {
			t.Errorf("got %v, %v", response, err)
		}
	})
}

// breaking is a connection on which a write fails after some bytes.
type breaking struct {
	*net.TCPConn
	mu    sync.Mutex
	after int // -1: it doesn't
}

func (b *breaking) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.after < 0 {
		return b.TCPConn.Write(p)
	}
	n, _ := b.TCPConn.Write(p[:b.after])
	return n, &net.OpError{Op: "write", Err: errors.New("broken")}
}

func TestARequestIsSentAgainOnlyIfNothingOfItHadLeft(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		after       int
		first       bool // the connection is not a kept one
		connections int32
	}{
		"nothing, over a kept connection": {after: 0, connections: 2},
		"a byte, over a kept connection":  {after: 1, connections: 1},
		"nothing, over a new connection":  {after: 0, first: true, connections: 1},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{1 << 10, 1 << 20} {
				var last *breaking
				var dials int32
				c := Config{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
					conn, err := new(net.Dialer).DialContext(ctx, network, address)
					if err != nil {
						return nil, err
					}
					after := -1
					if test.first {
						after = test.after
					}
					dials++
					last = &breaking{TCPConn: conn.(*net.TCPConn), after: after}
					return last, nil
				}}
				transports := []roundTripper{open(t, c)}
				if size <= atOnce { // more of it net/http takes for an error of the body, and gives up
					transports = append(transports, &http.Transport{DialContext: c.Dial})
				}
				for _, by := range transports {
					dials = 0
					requests := make(chan string, 10)
					r := listen(t, nil, func(conn net.Conn, r *bufio.Reader) {
						for {
							body, err := request(r)
							if err != nil {
								return
							}
							requests <- body
							fmt.Fprint(conn, ok)
						}
					})
					body := strings.Repeat("x", size)
					if !test.first {
						if _, _, err := send(t, by, "http://"+r.address, body); err != nil {
							t.Fatal(err)
						}
						<-requests
						last.mu.Lock()
						last.after = test.after
						last.mu.Unlock()
					}
					_, answer, err := send(t, by, "http://"+r.address, body)
					by.CloseIdleConnections()
					if again := test.connections == 2; again != (err == nil) || again != (answer == "ok") {
						t.Errorf("%T, %d bytes: got %q, %v", by, size, answer, err)
					}
					if err == nil && <-requests != body {
						t.Errorf("%T, %d bytes: others arrived", by, size)
					}
					if dials != test.connections || len(requests) > 0 {
						t.Errorf("%T, %d bytes: it took %d connections, want %d; %d requests too many", by, size, dials, test.connections, len(requests))
					}
				}
			}
		})
	}
}

func TestPhasesAreTold(t *testing.T) {
	t.Parallel()
	both(t, Config{}, func(t *testing.T, by roundTripper) {
		r := listen(t, nil, always(ok))
		var mu sync.Mutex
		var told []string
		tell := func(what string) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, what)
		}
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			GetConn:              func(address string) { tell("asked for " + address) },
			GotConn:              func(i httptrace.GotConnInfo) { tell("got, kept: " + strconv.FormatBool(i.Reused)) },
			GotFirstResponseByte: func() { tell("answered") },
		})
		for range 2 {
			response, err := by.RoundTrip(post(t, ctx, "http://"+r.address, "{}"))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, response.Body)
		}
		want := []string{"asked for " + r.address, "got, kept: false", "answered", "asked for " + r.address, "got, kept: true", "answered"}
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}

// Each of many callers gets its own answer, whoever else's requests are called off meanwhile.
func TestNobodyGetsAnothersAnswer(t *testing.T) {
	t.Parallel()
	both(t, Config{Kept: 4}, func(t *testing.T, by roundTripper) {
		r := listen(t, nil, func(conn net.Conn, r *bufio.Reader) {
			for {
				body, err := request(r)
				if err != nil {
					return
				}
				fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			}
		})
		var group sync.WaitGroup
		for caller := range 8 {
			group.Go(func() {
				for i := range 100 {
					body := fmt.Sprintf("%d of %d", i, caller)
					if i%10 == 9 {
						body += strings.Repeat(".", 2*atOnce)
					}
					ctx, cancel := context.WithCancel(t.Context())
					if i%5 == 4 {
						go cancel()
					}
					response, err := by.RoundTrip(post(t, ctx, "http://"+r.address, body))
					if err == nil {
						var got []byte
						got, err = io.ReadAll(response.Body)
						response.Body.Close()
						if err == nil && string(got) != body {
							t.Errorf("got %.20q for %.20q", got, body)
						}
					}
					if err != nil && i%5 != 4 {
						t.Errorf("%.20q: %v", body, err)
					}
					cancel()
				}
			})
		}
		group.Wait()
	})
}
