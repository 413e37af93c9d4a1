package post

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/postrider/postrider/core/coretest/allocations"
	"github.com/postrider/postrider/sdk"
)

// The two benchmarks differ in nothing but the sender; the receiver runs in the same process and costs the same in both.
//
//	go test -run '^$' -bench . -benchmem -cpu 2 ./plugins/internal/post

const callers = 32 // per processor

var payload = bytes.Repeat([]byte("x"), 1<<10)

func discard(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }

func BenchmarkSend(b *testing.B) {
	server := receiver(b, discard)
	sender, always := newSender(b, Config{UserAgent: "Postrider/1.0.0"}, "127.0.0.1"), rule(b, Success{})
	sendInParallel(b, sender, message(server.URL), always)
}

// sendInParallel sends m, with the payload, b.N times.
func sendInParallel(b *testing.B, sender *Sender, m Message, always *Rule) {
	m.Body = payload
	b.ReportAllocs()
	b.SetParallelism(callers)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m := m
			m.Time = time.Now()
			if outcome := sender.Send(b.Context(), m, always); outcome.Status != sdk.StatusDelivered {
				b.Errorf("got %+v", outcome)
				return
			}
		}
	})
}

func BenchmarkRawClientPost(b *testing.B) {
	server := receiver(b, discard)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = idleAltogether
	client := &http.Client{Transport: transport}
	b.Cleanup(client.CloseIdleConnections)
	b.ReportAllocs()
	b.SetParallelism(callers)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			response, err := client.Post(server.URL, "application/json", bytes.NewReader(payload))
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
	})
}

func TestSendingAllocatesNoMoreThanItsBudget(t *testing.T) {
	server := receiver(t, discard)
	sender, always := newSender(t, Config{UserAgent: "Postrider/1.0.0"}, "127.0.0.1"), rule(t, Success{})
	m := message(server.URL)
	m.Body = payload
	ctx := sdk.WithTraceparent(t.Context(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	allocations.Guard(t, "post: a POST", func(n int) {
		for range n {
			if outcome := sender.Send(ctx, m, always); outcome.Status != sdk.StatusDelivered {
				t.Fatalf("got %+v", outcome)
			}
		}
	})
}
