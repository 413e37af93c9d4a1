package http1

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestAnAnswerIsReadAsNetHTTPReadsIt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer string
		closes bool // the receiver does, after the answer
		status int
		body   string
		reused bool
		err    string // of the answer, or of its body where there is a status
		own    bool   // net/http may hand the connection on before it sees what else came
	}{
		"with a length":               {answer: ok, status: 200, body: "ok", reused: true},
		"without a body":              {answer: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", status: 200, reused: true},
		"204":                         {answer: "HTTP/1.1 204 No Content\r\n\r\n", status: 204, reused: true},
		"304 that tells a length":     {answer: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", status: 304, reused: true},
		"in chunks":                   {answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\no\r\n1\r\nk\r\n0\r\n\r\n", status: 200, body: "ok", reused: true},
		"in chunks, with a trailer":   {answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n", status: 200, body: "ok", reused: true},
		"in chunks and with a length": {answer: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", status: 200, body: "ok", reused: true},
		"until it closes":             {answer: "HTTP/1.1 200 OK\r\n\r\nok", closes: true, status: 200, body: "ok"},
		"it will close":               {answer: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", status: 200, body: "ok"},
		"it will close, no body":      {answer: "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", status: 204},
		"HTTP/1.0":                    {answer: "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", status: 200, body: "ok"},
		"HTTP/1.0 that stays":         {answer: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", status: 200, body: "ok", reused: true},
		"after two that are none":     {answer: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok, status: 200, body: "ok", reused: true},
		"another protocol":            {answer: "HTTP/1.1 101 Switching Protocols\r\n\r\n", status: 101},
		"compressed, it says":         {answer: "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok", status: 200, body: "ok", reused: true},
		"line ends of one byte":       {answer: "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", status: 200, body: "ok", reused: true},

		"and another answer":         {answer: ok + ok, status: 200, body: "ok", own: true},
		"and another byte":           {answer: ok + "\n", status: 200, body: "ok", own: true},
		"204, and a body":            {answer: "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", status: 204, own: true},
		"in chunks, and another one": {answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + ok, status: 200, body: "ok", own: true},

		"nothing":                    {closes: true, err: "EOF"},
		"half a header":              {answer: "HTTP/1.1 200 OK\r\nA: b\r\n", closes: true, err: "unexpected EOF"},
		"half a body":                {answer: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", closes: true, status: 200, body: "ok", err: "unexpected EOF"},
		"half a chunk":               {answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok", closes: true, status: 200, body: "ok", err: "unexpected EOF"},
		"chunks without an end":      {answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", closes: true, status: 200, body: "ok", err: "unexpected EOF"},
		"a chunk that is none":       {answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxy\r\nok\r\n", status: 200, err: "invalid byte in chunk length"},
		"another protocol's":         {answer: "SSH-2.0-OpenSSH_9.2\r\n\r\n", err: "malformed HTTP response"},
		"a status of two digits":     {answer: "HTTP/1.1 20 OK\r\n\r\n", err: "malformed HTTP status code"},
		"another version":            {answer: "HTTP/one 200 OK\r\n\r\n", err: "malformed HTTP version"},
		"a field without a name":     {answer: "HTTP/1.1 200 OK\r\n: a\r\n\r\n", err: "malformed MIME header"},
		"a field without a colon":    {answer: "HTTP/1.1 200 OK\r\nabc\r\n\r\n", err: "malformed MIME header"},
		"two lengths":                {answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", err: "multiple Content-Length"},
		"a length that is none":      {answer: "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok", err: "bad Content-Length"},
		"a coding that is not known": {answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok", err: "unsupported transfer encoding"},
		"two codings":                {answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", err: "too many transfer encodings"},
		"a field that is too long":   {answer: "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 40<<10) + "\r\n\r\n", err: "headers exceeded 32768 bytes"},
		"too many fields":            {answer: "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 10<<10) + "\r\n", err: "headers exceeded 32768 bytes"},
		"no end of none":             {answer: strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 2<<10), err: "headers exceeded 32768 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, Config{}, func(t *testing.T, by roundTripper) {
				if _, ours := by.(*Transport); test.own && !ours {
					t.Skip("net/http may hand the connection on before it sees what else came")
				}
				r := listen(t, nil, func(conn net.Conn, r *bufio.Reader) {
					for {
						if _, err := request(r); err != nil {
							return
						}
						_, _ = io.WriteString(conn, test.answer)
						if test.closes {
							return
						}
					}
				})
				for range 2 {
					response, body, err := send(t, by, "http://"+r.address, "{}")
					if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
						t.Fatalf("got %v, want %q", err, test.err)
					}
					if test.status == 0 {
						continue
					}
					if response.StatusCode != test.status || body != test.body {
						t.Errorf("got %d %q, want %d %q", response.StatusCode, body, test.status, test.body)
					}
					if name == "in chunks, with a trailer" && response.Trailer.Get("A") != "b" {
						t.Errorf("trailer: got %v", response.Trailer)
					}
				}
				r.took(t, test.reused)
			})
		})
	}
}

func TestTheAnswerToHEADHasNoBody(t *testing.T) {
	t.Parallel()
	both(t, Config{}, func(t *testing.T, by roundTripper) {
		r := listen(t, nil, always("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"))
		for range 2 {
			head, err := http.NewRequestWithContext(t.Context(), http.MethodHead, "http://"+r.address, nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := by.RoundTrip(head)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(response.Body); err != nil || len(body) != 0 || response.ContentLength != 2 {
				t.Errorf("got %q, %v with length %d", body, err, response.ContentLength)
			}
		}
		r.took(t, true)
	})
}

// A receiver that got a body only in part must not be asked for anything on a connection that still holds the rest.
func TestAnAnswerThatIsNotReadCostsItsConnection(t *testing.T) {
	t.Parallel()
	both(t, Config{}, func(t *testing.T, by roundTripper) {
		closed := make(chan struct{}, 2)
		r := listen(t, nil, func(conn net.Conn, r *bufio.Reader) {
			if _, err := request(r); err == nil {
				fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n0123456789") // the rest is on its way
				_, _ = io.Copy(io.Discard, r)
			}
			closed <- struct{}{}
		})
		for range 2 {
			response, err := by.RoundTrip(post(t, t.Context(), "http://"+r.address, "{}"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(response.Body, make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
			if err := response.Body.Close(); err != nil {
				t.Error(err)
			}
			if n, err := response.Body.Read(make([]byte, 10)); n != 0 || err == nil || err == io.EOF {
				t.Errorf("after Close, Read returns %d, %v", n, err)
			}
			<-closed
		}
		r.took(t, false)
	})
}

func TestAReceiverThatAnswersAtOnceIsHeard(t *testing.T) {
	t.Parallel()
	const refusal = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno"
	for name, size := range map[string]int{"small": 1 << 10, "large": 32 << 20} {
		t.Run(name+", and reads nothing", func(t *testing.T) {
			both(t, Config{}, func(t *testing.T, by roundTripper) {
				gone := make(chan struct{})
				r := listen(t, nil, func(conn net.Conn, r *bufio.Reader) {
					if _, err := http.ReadRequest(r); err == nil {
						fmt.Fprint(conn, refusal)
						<-gone
					}
				})
				defer close(gone)
				for range 2 {
					response, body, err := send(t, by, "http://"+r.address, strings.Repeat("x", size))
					if err != nil || response.StatusCode != 413 || body != "no" {
						t.Errorf("got %v %q, %v", response, body, err)
					}
					if size <= atOnce { // it was all taken, and the connection can be used
						break
					}
				}
			})
		})
		t.Run(name+", and closes", func(t *testing.T) { // net/http may tell that writing failed, instead of the answer
			r := listen(t, nil, func(conn net.Conn, r *bufio.Reader) {
				if _, err := http.ReadRequest(r); err == nil {
					fmt.Fprint(conn, refusal)
				}
			})
			for range 5 {
				response, body, err := send(t, open(t, Config{}), "http://"+r.address, strings.Repeat("x", size))
				if err != nil || response.StatusCode != 413 || body != "no" {
					t.Errorf("got %v %q, %v", response, body, err)
				}
			}
		})
	}
}

// What a receiver answers before it has read everything may be all that counts for the sender; the receiver still gets the rest.
func TestAReceiverThatAnswersBeforeItReadsGetsTheWholeRequest(t *testing.T) {
	t.Parallel()
	both(t, Config{}, func(t *testing.T, by roundTripper) {
		const size = 8 << 20
		answered := make(chan struct{}, 2)
		got := make(chan int64, 2)
		r := listen(t, nil, func(conn net.Conn, r *bufio.Reader) {
			for {
				request, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
				<-answered
				n, _ := io.Copy(io.Discard, request.Body)
				got <- n
				fmt.Fprint(conn, "ok")
			}
		})
		for range 2 {
			response, err := by.RoundTrip(post(t, t.Context(), "http://"+r.address, strings.Repeat("x", size)))
			if err != nil {
				t.Fatal(err)
			}
			answered <- struct{}{}
			if body, err := io.ReadAll(response.Body); err != nil || string(body) != "ok" {
				t.Errorf("got %q, %v", body, err)
			}
			if n := <-got; n != size {
				t.Errorf("the receiver got %d bytes of %d", n, size)
			}
		}
		r.took(t, true)
	})
}

// Under the race detector, which sees a reader that two use.
func TestAnAnswersBodyMayBeClosedWhileItIsRead(t *testing.T) {
	t.Parallel()
	certificate, trusting := certificates(t)
	for scheme, c := range map[string]*tls.Config{"http": nil, "https": {Certificates: certificate}} {
		both(t, Config{TLS: trusting}, func(t *testing.T, by roundTripper) {
			r := listen(t, c, func(conn net.Conn, r *bufio.Reader) {
				if _, err := request(r); err == nil {
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok")
					_, _ = io.Copy(io.Discard, r)
				}
			})
			response, err := by.RoundTrip(post(t, t.Context(), scheme+"://"+r.address, "{}"))
			if err != nil {
				t.Fatal(err)
			}
			begun, over := make(chan struct{}), make(chan error)
			go func() {
				_, _ = io.ReadFull(response.Body, make([]byte, 2))
				close(begun)
				_, err := io.ReadAll(response.Body)
				over <- err
			}()
			<-begun
			response.Body.Close()
			if err := <-over; err == nil {
				t.Error("it was read to its end")
			}
		})
	}
}
