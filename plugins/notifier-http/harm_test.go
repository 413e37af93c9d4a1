package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/sdk"
)

// harmful listens, and answers each connection with what serve does, until the test ends.
func harmful(t *testing.T, serve func(conn net.Conn, ended <-chan struct{})) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		l.Close()
		close(ended)
	})
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn, ended)
			}()
		}
	}()
	return l.Addr().String()
}

// drips reads the request, writes a beginning, and then a byte at a time, until nobody listens any more.
func drips(beginning, drop string) func(net.Conn, <-chan struct{}) {
	return func(conn net.Conn, ended <-chan struct{}) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			return
		}
		fmt.Fprint(conn, beginning)
		every := time.NewTicker(5 * time.Millisecond)
		defer every.Stop()
		for {
			select {
			case <-ended:
				return
			case <-every.C:
				if _, err := fmt.Fprint(conn, drop); err != nil {
					return
				}
			}
		}
	}
}

// full is an address of this machine where the kernel takes no more connections: one waits to be accepted, which is all that fits.
func full(t *testing.T) (address string) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address = fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	first, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { first.Close() })
	return address
}

func TestAHarmfulReceiverEndsInAReasonThatNamesThePhase(t *testing.T) {
	silent := func(_ net.Conn, ended <-chan struct{}) { <-ended }
	withoutAnswer := drips("", "")
	const body = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
	tests := []struct {
		name, url, settings string
		want                sdk.Outcome // Reason: a part of it
	}{
		{name: "no connection comes about", url: "http://" + full(t),
			want: sdk.Outcome{Status: sdk.StatusRetry, Reason: "no connection to 127.0.0.1:"}},
		{name: "no TLS comes about", url: "https://" + harmful(t, silent),
			want: sdk.Outcome{Status: sdk.StatusRetry, Reason: "its TLS handshake was not complete within 700ms"}},
		{name: "there is no answer", url: "http://" + harmful(t, withoutAnswer),
			want: sdk.Outcome{Status: sdk.StatusRetry, Reason: "no answer from 127.0.0.1:"}},
		{name: "the header drips", url: "http://" + harmful(t, drips("HTTP/1.1 200 OK\r\nX-Drip: ", "x")),
			want: sdk.Outcome{Status: sdk.StatusRetry, Reason: "began to answer, but its header was not complete within 800ms"}},
		{name: "the body drips", url: "http://" + harmful(t, drips(body, "x")),
			want: sdk.Outcome{Status: sdk.StatusDelivered, Code: 200}},
		{name: "the body drips, and matters", url: "http://" + harmful(t, drips(body, "x")), settings: `{"success":{"errors_member_fails":true}}`,
			want: sdk.Outcome{Status: sdk.StatusRetry, Code: 200, Reason: "its body, in which the success rule looks for a member `errors`, was not complete within 1.5s"}},
		{name: "a redirect into the own network", url: "http://" + harmful(t, drips("HTTP/1.1 307 Temporary Redirect\r\nLocation: http://169.254.169.254/latest/\r\nContent-Length: 0\r\n\r\n", "")),
			want: sdk.Outcome{Status: sdk.StatusRetry, Code: 307, Reason: "points to http://169.254.169.254/latest/, but redirects are not followed"}},
	}
	p := launch(t, `{"timeout":"1500ms","timeouts":{"connect":"600ms","tls":"700ms","header":"800ms"}}`)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := delivery(test.url)
			if test.settings != "" {
				d.Settings = []byte(test.settings)
			}
			got := notify(t, p, d)
			if (test.want.Reason == "") != (got.Reason == "") || !strings.Contains(got.Reason, test.want.Reason) {
				t.Errorf("reason: got %q, want one with %q", got.Reason, test.want.Reason)
			}
			if got.Status != test.want.Status || got.Code != test.want.Code {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestAnswersOfAGibibyteLeaveThePluginsMemoryAsItWas(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("the memory of another process is read from /proc")
	}
	const size, attempts, bound = 1 << 30, 32, 96 << 20
	var written atomic.Int64
	gibibyte := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(size))
		chunk := []byte(strings.Repeat("x", 64<<10))
		for sent := 0; sent < size; sent += len(chunk) {
			n, err := w.Write(chunk)
			written.Add(int64(n))
			if err != nil {
				return
			}
		}
	}
	over1 := receiver(t, gibibyte)
	server, ca, _ := secure(t, nil, true, gibibyte)
	for name, test := range map[string]struct{ configuration, url string }{
		"HTTP/1.1": {`{"timeout":"1m"}`, over1}, "HTTP/2": {`{"timeout":"1m","http2":true}`, server.URL},
	} {
		t.Run(name, func(t *testing.T) {
			written.Store(0)
			p := launch(t, test.configuration)
			var group sync.WaitGroup
			for i := range attempts {
				settings, want := object{"tls": object{"ca": ca}}, sdk.StatusDelivered
				if i%2 == 0 {
					settings["success"], want = object{"errors_member_fails": true}, sdk.StatusRetry
				}
				group.Go(func() {
					got := notify(t, p, settled(t, test.url, settings))
					if got.Status != want || got.Code != 200 || len(got.Excerpt) != 1<<10 {
						t.Errorf("got status %d (%d) with %d bytes of excerpt: %s", got.Status, got.Code, len(got.Excerpt), got.Reason)
					}
				})
			}
			group.Wait()
			holds, err := p.Memory()
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("after %d answers of 1 GiB, of which %d MiB were sent, the plugin holds %d MiB", attempts, written.Load()>>20, holds>>20)
			if holds > bound {
				t.Errorf("it holds %d MiB, want at most %d", holds>>20, bound>>20)
			}
			if written.Load() > size {
				t.Errorf("%d MiB were sent to it: it doesn't hang up", written.Load()>>20)
			}
		})
	}
}
