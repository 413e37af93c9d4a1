package http1

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"testing"
	"time"
)

// until returns a POST whose exchange must be over at a time.
func until(t *testing.T, address string, body []byte, at time.Time) *Request {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return &Request{Method: http.MethodPost, URL: u, Body: body, Until: at, Progress: traced{}}
}

func TestARequestsTimeEndsItsExchangeInWhateverPhaseItIs(t *testing.T) {
	t.Parallel()
	says := func(answer string) func(net.Conn, *bufio.Reader, <-chan struct{}) {
		return func(conn net.Conn, r *bufio.Reader, _ <-chan struct{}) {
			if _, err := request(r); err == nil {
				fmt.Fprint(conn, answer)
			}
		}
	}
	for name, phase := range map[string]struct {
		url   string
		waits bool // the dial does
		body  int
		serve func(conn net.Conn, r *bufio.Reader, ended <-chan struct{})
	}{
		"connecting":         {url: "http://", waits: true, serve: says("")},
		"shaking hands":      {url: "https://", serve: func(net.Conn, *bufio.Reader, <-chan struct{}) {}},
		"sending":            {url: "http://", body: 64 << 20, serve: func(_ net.Conn, _ *bufio.Reader, ended <-chan struct{}) { <-ended }},
		"waiting":            {url: "http://", serve: says("")},
		"reading the header": {url: "http://", serve: says("HTTP/1.1 200 OK\r\nA: ")},
		"reading the body":   {url: "http://", serve: says("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended, closed := make(chan struct{}), make(chan struct{}, 1)
			r := listen(t, nil, func(conn net.Conn, r *bufio.Reader) {
				phase.serve(conn, r, ended)
				_, _ = io.Copy(io.Discard, r)
				closed <- struct{}{}
			})
			var c Config
			if phase.waits {
				c.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
					<-ctx.Done()
					return nil, errors.New("which comes of that")
				}
			}
			response, err := open(t, c).Send(t.Context(), until(t, phase.url+r.address, make([]byte, phase.body), time.Now().Add(50*time.Millisecond)))
			if err == nil {
				_, err = io.ReadAll(response.Body)
				response.Body.Close()
			}
			close(ended)
			if err != context.DeadlineExceeded {
				t.Errorf("got %v", err)
			}
			for range r.connections.Load() {
				<-closed
			}
		})
	}
}

// As net's does, by the time that the context tells it.
func TestADialThatEndsBeforeItsContextIsOverAtTheRequestsTimeToo(t *testing.T) {
	t.Parallel()
	transport := open(t, Config{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		for at, _ := ctx.Deadline(); time.Now().Before(at); { // without a pause, in which the context would end
		}
		return nil, os.ErrDeadlineExceeded
	}})
	for range 20 { // one may be too late all the same
		response, err := transport.Send(t.Context(), until(t, "http://receiver.example", []byte("{}"), time.Now().Add(time.Millisecond)))
		if err != context.DeadlineExceeded {
			t.Fatalf("got %v, %v", response, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		response, err = transport.Send(ctx, until(t, "http://receiver.example", []byte("{}"), time.Time{}))
		cancel()
		if err != context.DeadlineExceeded {
			t.Fatalf("by a context: got %v, %v", response, err)
		}
	}
}

func TestARequestWhoseTimeIsOverIsNotSent(t *testing.T) {
	t.Parallel()
	r := listen(t, nil, always(ok))
	transport := open(t, Config{})
	if _, _, err := send(t, transport, "http://"+r.address, "{}"); err != nil { // its connection is kept
		t.Fatal(err)
	}
	late := until(t, "http://"+r.address, []byte("{}"), time.Now())
	late.Progress = nil // nothing is told
	if response, err := transport.Send(t.Context(), late); err != context.DeadlineExceeded {
		t.Errorf("got %v, %v", response, err)
	}
}

func TestTheTimeOfAnExchangeThatIsOverEndsNoOther(t *testing.T) {
	t.Parallel()
	r := listen(t, nil, always(ok))
	transport := open(t, Config{})
	for range 3 { // one with a time, one without, over the same connection
		response, err := transport.Send(t.Context(), until(t, "http://"+r.address, []byte("{}"), time.Now().Add(time.Hour)))
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(response.Body); err != nil || string(body) != "ok" {
			t.Errorf("got %q, %v", body, err)
		}
		if transport.idle.byAge.Front().Value.(*conn).guard.Stop() {
			t.Error("its time goes on while its connection is kept")
		}
		if _, _, err := send(t, transport, "http://"+r.address, "{}"); err != nil {
			t.Error(err)
		}
	}
	if n := r.connections.Load(); n != 1 {
		t.Errorf("they took %d connections", n)
	}
}

// A context that has a way of its own to tell of its end, as those of sdk's calls have, is asked for no other.
func TestAContextsOwnAfterFuncEndsAnExchange(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	r := listen(t, nil, func(_ net.Conn, r *bufio.Reader) {
		if _, err := request(r); err == nil {
			close(arrived)
			_, _ = io.Copy(io.Discard, r)
		}
	})
	parent, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	ctx := &telling{Context: parent}
	if response, err := open(t, Config{}).Send(ctx, until(t, "http://"+r.address, []byte("{}"), time.Now().Add(time.Hour))); err != context.Canceled {
		t.Errorf("got %v, %v", response, err)
	}
	if !ctx.asked {
		t.Error("it was not asked")
	}
}

type telling struct {
	context.Context
	asked bool
}

func (c *telling) AfterFunc(f func()) (stop func() bool) {
	c.asked = true
	return context.AfterFunc(c.Context, f)
}
