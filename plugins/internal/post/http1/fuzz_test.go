package http1

import (
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// canned is a connection on which an answer comes once something was written, and then its end.
type canned struct {
	net.Conn // none: what isn't below is not called
	once     sync.Once
	asked    chan struct{} // closed when something was written, or the connection closed
	mu       sync.Mutex
	answer   bytes.Reader
}

func (c *canned) ask()                            { c.once.Do(func() { close(c.asked) }) }
func (c *canned) Write(p []byte) (int, error)     { c.ask(); return len(p), nil }
func (c *canned) Close() error                    { c.ask(); return nil }
func (c *canned) SetReadDeadline(time.Time) error { return nil }
func (c *canned) Read(p []byte) (int, error) {
	<-c.asked
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answer.Read(p)
}

// FuzzAnswer has a receiver answer whatever it likes: net/http makes the same of it, and a connection is kept only if all that came was the answer.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		"", ok, ok + ok, ok + "\n", "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 103 Early Hints\r\n\r\n" + ok, "HTTP/1.0 200 OK\r\n\r\nok", "HTTP/1.1 101 A\r\n\r\nb",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", "HTTP/1.1 304 A\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nok",
		"HTTP/1.1 204 A\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 503 A\r\nretry-AFTER: 7\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
		"HTTP/1.1 200 OK\nContent-Length: 2\n\nok\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: b\n\nok\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	log.SetOutput(io.Discard) // net/http complains there of what nobody had asked for
	f.Fuzz(func(t *testing.T, answer []byte) {
		var conn *canned
		dial := func(context.Context, string, string) (net.Conn, error) {
			conn = &canned{asked: make(chan struct{})}
			conn.answer.Reset(answer)
			return conn, nil
		}
		ours := open(t, Config{Dial: dial})
		theirs := &http.Transport{DialContext: dial, MaxResponseHeaderBytes: ours.config.HeaderLimit, DisableCompression: true}
		want, wantErr := answerOf(t, theirs)
		theirs.CloseIdleConnections()
		if want.status == http.StatusSwitchingProtocols {
			want.body, wantErr = "", nil // net/http hands the connection over as its body
		}
		for _, by := range []http.RoundTripper{ours, asking{ours}} {
			got, err := answerOf(t, by)
			if ours.idle.byAge.Len() == 1 && conn.answer.Len() > 0 {
				t.Errorf("%T: the connection is kept, with %d bytes on it", by, conn.answer.Len())
			}
			ours.CloseIdleConnections()
			if got != want || (err == nil) != (wantErr == nil) {
				t.Errorf("%T:\n got %+v, %v\nwant %+v, %v", by, got, err, want, wantErr)
			}
		}
	})
}

// asking looks at few fields of an answer's header, so that one that is simple is read as such.
type asking struct{ *Transport }

func (a asking) RoundTrip(r *http.Request) (*http.Response, error) {
	own, err := requestOf(r)
	if err != nil {
		return nil, err
	}
	own.Asks = asks
	return a.Send(r.Context(), own)
}

// made is what a transport makes of an answer; status 0: nothing.
type made struct {
	status               int
	body                 string
	retryAfter, location string
}

func answerOf(t *testing.T, by http.RoundTripper) (made, error) {
	response, err := by.RoundTrip(post(t, t.Context(), "http://example.com", "{}"))
	if err != nil {
		return made{}, err
	}
	defer response.Body.Close()
	m := made{status: response.StatusCode, retryAfter: response.Header.Get("Retry-After"), location: response.Header.Get("Location")}
	if m.status == http.StatusSwitchingProtocols {
		return m, nil
	}
	content := new(strings.Builder)
	_, err = io.Copy(content, io.LimitReader(response.Body, 1<<20))
	m.body = content.String()
	return m, err
}
