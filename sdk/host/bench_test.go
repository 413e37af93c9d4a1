package host_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/sdk"
)

// BenchmarkNotifyLatency measures how long deliveries of 1 KiB take through the same boundary at a tenth of what it can carry, 4,000 a second:
// the metrics p50-ms and p99-ms. They are due at a fixed pace, so that a slow one delays the clock of no other.
func BenchmarkNotifyLatency(b *testing.B) {
	const perSecond, burst = 4000, 20
	p := launch(b, "notifier")
	payload := json.RawMessage(`{"data":"` + string(bytes.Repeat([]byte("x"), 1013)) + `"}`)
	took := make([]time.Duration, b.N)
	var under sync.WaitGroup
	pace := time.NewTicker(time.Second * burst / perSecond)
	defer pace.Stop()
	b.ResetTimer()
	for n := range b.N {
		if n%burst == 0 {
			<-pace.C
		}
		under.Go(func() {
			began := time.Now()
			if _, err := p.Notify(b.Context(), oneDelivery(payload)); err != nil {
				b.Error(err)
			}
			took[n] = time.Since(began)
		})
	}
	under.Wait()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
}

func oneDelivery(payload json.RawMessage) sdk.Delivery {
	return sdk.Delivery{
		ID: "dlv_01JZZZZZZZABCDEFGHJKMNPQRS", Attempt: 1, Event: "sales.order.created", EventID: "evt_01JZZZZZZZABCDEFGHJKMNPQRS",
		Payload: payload, Subscriber: 1, URL: "https://receiver.example/hooks/orders", Token: "0123456789abcdef", Envelope: "standard",
	}
}

// BenchmarkNotify measures the boundary: deliveries of 1 KiB to a notifier that does nothing, in a process of its own, with encryption.
//
//	go test -bench Notify -run - ./sdk/host
func BenchmarkNotify(b *testing.B) {
	p := launch(b, "notifier")
	for _, callers := range []int{1, 64, 256} {
		b.Run(strconv.Itoa(callers), func(b *testing.B) {
			payload := json.RawMessage(`{"data":"` + string(bytes.Repeat([]byte("x"), 1013)) + `"}`)
			var left atomic.Int64
			left.Store(int64(b.N))
			done := make(chan error, callers)
			b.ReportAllocs()
			b.ResetTimer()
			for range callers {
				go func() {
					for left.Add(-1) >= 0 {
						if _, err := p.Notify(b.Context(), oneDelivery(payload)); err != nil {
							done <- err
							return
						}
					}
					done <- nil
				}()
			}
			for range callers {
				if err := <-done; err != nil {
					b.Error(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
		})
	}
}
