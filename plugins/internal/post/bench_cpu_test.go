//go:build unix

package post

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// bareReceiver answers every request on a connection with the same few bytes, and does as little as that takes. It returns its URL.
func bareReceiver(tb testing.TB) string {
	tb.Helper()
	return "http://" + accept(tb, func(conn net.Conn) {
		for r := bufio.NewReader(conn); skipRequest(r) == nil; {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nDate: Mon, 02 Nov 2026 15:04:05 GMT\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")
		}
	})
}

func skipRequest(r *bufio.Reader) error {
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
		if len(line) == len("\r\n") {
			_, err := r.Discard(length)
			return err
		}
	}
}

// BenchmarkCPUOfSend has what a send costs in CPU, with a receiver that costs the same in both, and little: over http1, and over net/http, which is still
// there for HTTP/2.
//
//	go test -run '^$' -bench CPU -benchmem -cpu 2 -count 10 ./plugins/internal/post
func BenchmarkCPUOfSend(b *testing.B) {
	for _, nethttp := range []bool{false, true} {
		name := map[bool]string{false: "by=http1", true: "by=net-http"}[nethttp]
		b.Run(name, func(b *testing.B) {
			sender, always := newSender(b, Config{UserAgent: "Postrider/1.0.0", HTTP2: nethttp}, "127.0.0.1"), rule(b, Success{})
			m := message(bareReceiver(b))
			before := cpu(b)
			sendInParallel(b, sender, m, always)
			b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// cpu returns what this process has used.
func cpu(tb testing.TB) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
