package http1

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

var asks = []string{"Retry-After", "Location"}

const head = "HTTP/1.1 200 OK\r\n"

// What is simple, and what net/http has to read.
var (
	simple = []string{
		head + "Content-Length: 2", head + "content-length:2", head + "Content-Length: \t2\t ", head + "Content-Length: 0", head + "Content-Length: 9223372036854775807",
		"HTTP/1.1 200\r\nContent-Length: 2", "HTTP/1.1 200 \r\nContent-Length: 2", "HTTP/1.1 999 \xff\tx\r\nContent-Length: 2", "HTTP/1.1 410 Gone\r\nContent-Length: 2",
		"HTTP/1.1 204 No Content", "HTTP/1.1 204 No Content\r\nContent-Length: 5",
		head + "Date: Mon, 02 Nov 2026 15:04:05 GMT\r\nConnection: Keep-Alive\r\nKeep-Alive: timeout=5\r\nX: \xff\r\nEmpty:\r\nContent-Length: 2\r\nX: y",
	}
	notSimple = []string{
		"", "\r\n", head, "HTTP/1.1 200 OK", head + "Date: now",
		"HTTP/1.0 200 OK\r\nContent-Length: 2", "http/1.1 200 OK\r\nContent-Length: 2", "HTTP/1.1  200 OK\r\nContent-Length: 2", "HTTP/1.1 2000 OK\r\nContent-Length: 2",
		"HTTP/1.1 +20 OK\r\nContent-Length: 2", "HTTP/1.1 20 OK\r\nContent-Length: 2", "HTTP/1.1 100 Continue\r\nContent-Length: 0", "HTTP/1.1 101 A\r\nContent-Length: 0",
		"HTTP/1.1 200 O\nK: v\r\nContent-Length: 2", "HTTP/1.1 304 Not Modified\r\nContent-Length: 2",
		head + "Content-Length: 2\r\nContent-Length: 2", head + "Content-Length: 2\r\ncontent-length: 3", head + "Content-Length: -2", head + "Content-Length: +2", head + "Content-Length: ",
		head + "Content-Length: 2, 2", head + "Content-Length: 9223372036854775808", head + "Content-Length : 2", head + " Content-Length: 2", head + "A: b\r\n Content-Length: 2\r\nContent-Length: 2",
		head + "Content-Length: 2\r\nTransfer-Encoding: chunked", head + "Content-Length: 2\r\ntransfer-encoding: identity", head + "Content-Length: 2\r\nTrailer: A",
		head + "Content-Length: 2\r\nConnection: close", head + "Content-Length: 2\r\nConnection: keep-alive, close", head + "Content-Length: 2\r\nConnection: upgrade",
		head + "Content-Length: 2\r\nretry-after: 7", head + "Content-Length: 2\r\nLocation: /",
		head + "Content-Length: 2\r\nnothing", head + "Content-Length: 2\r\n: x", head + "Content-Length: 2\r\nA\x00: x", head + "Content-Length: 2\r\nA: \x00", head + "Content-Length: 2\r\nA: b\rc", head + "Content-Length: 2\r\nA: b\nc",
		"HTTP/1.1 204 No Content\r\nContent-Length: x",
	}
)

func TestOnlyASimpleAnswerIsReadAsOne(t *testing.T) {
	for _, header := range simple {
		if _, _, ok := readSimple(header, asks); !ok {
			t.Errorf("%q is not simple", header)
		}
	}
	for _, header := range notSimple {
		if _, _, ok := readSimple(header, asks); ok {
			t.Errorf("%q is simple", header)
		}
	}
}

// FuzzSimple holds what is made of a simple answer to what net/http makes of it.
func FuzzSimple(f *testing.F) {
	for _, seed := range append(simple, notSimple...) {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		answer := append(raw, "\r\n\r\n"...)
		header := string(answer[:bytes.Index(answer, []byte("\r\n\r\n"))])
		status, length, ok := readSimple(header, asks)
		if !ok {
			return
		}
		want, err := http.ReadResponse(bufio.NewReader(strings.NewReader(header+"\r\n\r\nok")), nil)
		if err != nil {
			t.Fatalf("%q: net/http refuses it: %v", header, err)
		}
		if status != want.StatusCode || length != want.ContentLength || (length == 0) != (want.Body == http.NoBody) || want.Close || len(want.TransferEncoding)+len(want.Trailer) > 0 {
			t.Errorf("%q: got %d with %d bytes, want %+v", header, status, length, want)
		}
		for _, name := range asks {
			if want.Header.Get(name) != "" {
				t.Errorf("%q has %s", header, name)
			}
		}
	})
}

func TestASimpleAnswerIsRead(t *testing.T) {
	t.Parallel()
	const limit = 20 << 10
	long := strings.Repeat("x", limit)
	for name, test := range map[string]struct {
		answer string
		body   string
		err    error // of the body
		reused bool
	}{
		"with a body":              {answer: ok, body: "ok", reused: true},
		"with a long body":         {answer: head + "Content-Length: 20480\r\n\r\n" + long, body: long, reused: true},
		"without a body":           {answer: head + "Content-Length: 0\r\n\r\n", reused: true},
		"204":                      {answer: "HTTP/1.1 204 No Content\r\n\r\n", reused: true},
		"and another answer":       {answer: ok + ok, body: "ok"},
		"and another byte":         {answer: ok + "\n", body: "ok"},
		"204, and a body":          {answer: "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok"},
		"without half of its body": {answer: head + "Content-Length: 4\r\n\r\nok", body: "ok", err: io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := listen(t, nil, func(conn net.Conn, r *bufio.Reader) {
				for {
					if _, err := request(r); err != nil {
						return
					}
					_, _ = io.WriteString(conn, test.answer)
					if test.err != nil {
						return
					}
				}
			})
			transport := open(t, Config{})
			for range 2 {
				post := until(t, "http://"+r.address, []byte("{}"), time.Now().Add(time.Hour))
				post.Asks = asks
				response, err := transport.Send(t.Context(), post)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(response.Body)
				response.Body.Close()
				if response.Header != nil || string(body) != test.body || err != test.err {
					t.Errorf("got %d bytes, %v, and a header %v", len(body), err, response.Header)
				}
			}
			r.took(t, test.reused)
		})
	}
}

func TestWhoDoesNotSayWhatIsAskedForGetsTheWholeHeader(t *testing.T) {
	t.Parallel()
	both(t, Config{}, func(t *testing.T, by roundTripper) {
		r := listen(t, nil, always(ok))
		request := post(t, t.Context(), "http://"+r.address, "{}")
		response, err := by.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.Status != "200 OK" || response.Proto != "HTTP/1.1" || response.Header.Get("Content-Length") != "2" || response.Request != request {
			t.Errorf("got %+v", response)
		}
	})
}
