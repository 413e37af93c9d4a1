package host_test

import (
	"bytes"
	"encoding/json"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/postrider/postrider/sdk"
)

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
						if _, err := p.Notify(b.Context(), sdk.Delivery{
							ID: "dlv_01JZZZZZZZABCDEFGHJKMNPQRS", Attempt: 1, Event: "sales.order.created", EventID: "evt_01JZZZZZZZABCDEFGHJKMNPQRS",
							Payload: payload, Subscriber: 1, URL: "https://receiver.example/hooks/orders", Token: "0123456789abcdef", Envelope: "standard",
						}); err != nil {
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
