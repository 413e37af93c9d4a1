package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/httpapi"
)

const (
	bodyTimeout = 100 * time.Millisecond // of the servers of these tests
	patience    = 30 * time.Second       // for what must come, on a busy machine
)

// listen serves d as the daemon does, and returns how to connect to it.
func (d *daemon) listen(t *testing.T) (dial func() *client) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := httpapi.NewServer("", d.handler, hclog.NewNullLogger())
	ended := make(chan error)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Close()
		<-ended
	})
	return func() *client {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return &client{Conn: c, t: t, answers: bufio.NewReader(c)}
	}
}

// client writes requests byte by byte.
type client struct {
	net.Conn
	t       *testing.T
	answers *bufio.Reader
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads one answer, and says whether the connection ends behind it.
func (c *client) answer(status int, contentType string) (ends bool) {
	c.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		c.t.Fatal(err)
	}
	response, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		c.t.Fatalf("no answer came: %v", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if got := response.Header.Get("Content-Type"); response.StatusCode != status || got != contentType || !json.Valid(body) {
		c.t.Fatalf("got %s of type %q, want %d of type %q: %s", response.Status, got, status, contentType, body)
	}
	return response.Close
}

// drip goes on sending the body, a little at a time, until the connection ends.
func (c *client) drip() {
	go func() {
		for {
			if _, err := c.Write([]byte(" ")); err != nil {
				return
			}
			time.Sleep(bodyTimeout / 20) // so that a limit on the time between two reads would never be reached
		}
	}()
}

func (c *client) mustEnd() {
	c.t.Helper()
	if _, err := c.answers.ReadByte(); err == nil {
		c.t.Fatal("more came")
	} else if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		c.t.Fatal("the connection is held")
	}
}

const (
	stranger = "Host: postrider\r\n"
	admin    = "Host: postrider\r\nAuthorization: Bearer " + adminToken + "\r\n"
)

func TestAStrangerWhoseBodyNeverComesHoldsNoConnection(t *testing.T) {
	dial := newDaemon().listen(t) // which gives a body half a minute: a stranger's is not waited for at all
	for _, request := range []string{
		"POST /v1/events HTTP/1.1\r\n" + stranger + "Content-Length: 1000\r\n\r\n",
		"POST /v1/events HTTP/1.1\r\n" + stranger + "Transfer-Encoding: chunked\r\n\r\n3e8\r\n{",
		"GET /nowhere HTTP/1.1\r\n" + stranger + "Content-Length: 1000\r\n\r\n{",
		"GET /v1/plugins HTTP/1.1\r\n" + stranger + "\r\n",
	} {
		c := dial()
		c.send(request)
		if !c.answer(http.StatusUnauthorized, "application/problem+json") {
			t.Errorf("%q: the answer does not say that the connection ends", request)
		}
		c.mustEnd()
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		c := dial()
		c.send("GET " + path + " HTTP/1.1\r\n" + stranger + "Content-Length: 1000\r\n\r\n")
		if !c.answer(http.StatusOK, "application/json") {
			t.Errorf("%s: the answer does not say that the connection ends", path)
		}
		c.mustEnd()
	}
}

func TestABodyThatDripsIsAnswered408AndTheConnectionEnds(t *testing.T) {
	dial := newDaemon(func(c *httpapi.Config) { c.BodyTimeout, c.BodyLimit = bodyTimeout, 1<<20 }).listen(t)
	for _, request := range []string{
		"POST /v1/events HTTP/1.1\r\n" + admin + "Content-Length: 1000000\r\n\r\n{",
		"POST /v1/events HTTP/1.1\r\n" + admin + "Transfer-Encoding: chunked\r\n\r\nf4240\r\n{",
		"POST /rest/V1/webhook HTTP/1.1\r\n" + admin + "Content-Length: 1000000\r\n\r\n{",
	} {
		c := dial()
		c.send(request)
		c.drip()
		if !c.answer(http.StatusRequestTimeout, "application/problem+json") {
			t.Errorf("%q: the answer does not say that the connection ends", request)
		}
		c.mustEnd()
	}
}

func TestABodyThatNobodyReadsIsNotWaitedForEither(t *testing.T) {
	dial := newDaemon(func(c *httpapi.Config) { c.BodyTimeout = bodyTimeout }).listen(t)
	c := dial()
	c.send("GET /v1/plugins HTTP/1.1\r\n" + admin + "Content-Length: 1000\r\n\r\n")
	c.answer(http.StatusOK, "application/json")
	c.mustEnd()
	c = dial()
	c.send("DELETE /v1/events HTTP/1.1\r\n" + admin + "Content-Length: 1000\r\n\r\n{")
	c.answer(http.StatusMethodNotAllowed, "application/problem+json")
	c.mustEnd()
}

// slowQueue takes longer over each publish than a body may take.
type slowQueue struct{ nullQueue }

func (slowQueue) Publish(ctx context.Context, _ ...core.Outgoing) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(3 * bodyTimeout):
		return nil
	}
}

func TestTheTimeForABodyEndsWithTheBody(t *testing.T) {
	dial := newDaemon(func(c *httpapi.Config) { c.BodyTimeout, c.Queue = bodyTimeout, slowQueue{} }).listen(t)
	c := dial()
	const body = `{"event":"stock.item.changed","arguments":{}}`
	for range 2 { // on one connection
		c.send("POST /v1/events HTTP/1.1\r\n" + admin + "Content-Length: 45\r\n\r\n" + body)
		if c.answer(http.StatusAccepted, "application/json") {
			t.Fatal("the connection ends, though its request was in time")
		}
	}
}
