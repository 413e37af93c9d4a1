package post

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/sdk"
)

// With `http2: true`, net/http makes the attempts, over HTTP/1.1 too where a receiver speaks nothing else. An operator reads the same reasons.
func TestOutcomesAreTheSameOverBothTransports(t *testing.T) {
	readAll := func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }
	quiet := httptest.NewUnstartedServer(http.NotFoundHandler())
	quiet.Config.ErrorLog = log.New(io.Discard, "", 0) // it will complain, as it should
	quiet.StartTLS()
	t.Cleanup(quiet.Close)
	respond := func(answer string) string {
		return "http://" + listen(t, func(conn net.Conn) {
			fmt.Fprint(conn, answer)
			readAll(conn)
		})
	}
	for name, test := range map[string]struct {
		url    string
		limits Limits
		size   int
		want   string // in the reason
	}{
		"connects, and is silent":    {url: "http://" + accept(t, readAll), limits: Limits{All: 150 * time.Millisecond, Header: time.Minute}, want: "no answer from HOST within 150ms"},
		"the header's limit":         {url: "http://" + accept(t, readAll), limits: Limits{Header: 100 * time.Millisecond}, want: "no answer from HOST within 100ms"},
		"begins to answer":           {url: respond("HTTP/1.1 200"), limits: Limits{Header: 100 * time.Millisecond}, want: "HOST began to answer, but its header was not complete within 100ms"},
		"shakes no hands":            {url: "https://" + accept(t, readAll), limits: Limits{TLS: 100 * time.Millisecond}, want: "HOST took the connection, but its TLS handshake was not complete within 100ms"},
		"shakes no hands, in all":    {url: "https://" + accept(t, readAll), limits: Limits{All: 150 * time.Millisecond}, want: "its TLS handshake was not complete within 150ms"},
		"reads nothing":              {url: "http://" + accept(t, func(conn net.Conn) { _, _ = bufio.NewReader(conn).Peek(1); time.Sleep(time.Second) }), size: 32 << 20, limits: Limits{All: 300 * time.Millisecond}, want: "HOST took the connection, but not the whole request within 300ms"},
		"hangs up":                   {url: "http://" + listen(t, func(net.Conn) {}), want: "HOST closed the connection before it answered"},
		"hangs up in its header":     {url: "http://" + listen(t, func(conn net.Conn) { fmt.Fprint(conn, "HTTP/1.1 200 OK\r\n") }), want: "HOST closed the connection before it answered"},
		"speaks no TLS":              {url: "https://" + accept(t, func(conn net.Conn) { fmt.Fprint(conn, "HTTP/1.1 400 Bad Request\r\n\r\n"); readAll(conn) }), want: "HOST doesn't speak TLS: its recipient_url should start with http://, perhaps"},
		"is not to be trusted":       {url: quiet.URL, want: "the certificate of HOST can't be trusted"},
		"is refused":                 {url: "http://127.0.0.2:1", want: "egress.allow"},
		"another protocol":           {url: respond("SSH-2.0-OpenSSH_9.2\r\n\r\n"), want: `malformed HTTP response "SSH-2.0-OpenSSH_9.2"`},
		"too much header":            {url: respond("HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 2*headerLimit) + "\r\n\r\n"), want: "headers exceeded 32768 bytes"},
		"switches to another one":    {url: respond("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), want: "HOST answered 101 Switching Protocols"},
		"refuses before it has read": {url: respond("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n"), size: 1 << 20, want: "HOST answered 413 Request Entity Too Large"},
	} {
		t.Run(name, func(t *testing.T) {
			host := test.url[strings.Index(test.url, "//")+2:]
			for _, http2 := range []bool{false, true} {
				sender := newSender(t, Config{Limits: test.limits, HTTP2: http2}, "127.0.0.1")
				m := message(test.url)
				m.Body = make([]byte, max(test.size, 2))
				got := sender.Send(t.Context(), m, rule(t, Success{}))
				want := strings.ReplaceAll(test.want, "HOST", host)
				if got.Status == sdk.StatusDelivered || !strings.Contains(got.Reason, want) || (got.Status == sdk.StatusRejected) != (name == "is refused") {
					t.Errorf("HTTP/2 %t:\n got %+v\nwant %s", http2, got, want)
				}
			}
		})
	}
}

func TestAnAttemptThatIsCalledOffSaysSoOverBothTransports(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		url := "http://" + listen(t, func(conn net.Conn) {
			cancel()
			_, _ = io.Copy(io.Discard, conn)
		})
		got := newSender(t, Config{HTTP2: http2}, "127.0.0.1").Send(ctx, message(url), rule(t, Success{}))
		if got.Status != sdk.StatusRetry || !strings.Contains(got.Reason, "was called off before an answer came") {
			t.Errorf("HTTP/2 %t: got %+v", http2, got)
		}
	}
}
