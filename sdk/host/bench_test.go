package host_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/postrider/postrider/core/coretest/allocations"
	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/host"
)

// BenchmarkNotifyLatency measures how long deliveries of 1 KiB take through the same boundary at a tenth of what it can carry, 4,000 a second:
// the metrics p50-ms and p99-ms. They are due at a fixed pace, so that a slow one delays the clock of no other.
func BenchmarkNotifyLatency(b *testing.B) {
	const perSecond, burst = 4000, 20
	p := launch(b, "notifier")
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
			if _, err := p.Notify(b.Context(), benchDelivery); err != nil {
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

var benchDelivery = sdk.Delivery{
	ID: "dlv_01JZZZZZZZABCDEFGHJKMNPQRS", Attempt: 1, Event: "sales.order.created", EventID: "evt_01JZZZZZZZABCDEFGHJKMNPQRS",
	Payload:    json.RawMessage(`{"data":"` + string(bytes.Repeat([]byte("x"), 1013)) + `"}`),
	Subscriber: 1, URL: "https://receiver.example/hooks/orders", Token: "0123456789abcdef", Envelope: "standard",
}

// notifyAll makes n deliveries, callers at a time.
func notifyAll(t testing.TB, p *host.Process, n, callers int) {
	var left atomic.Int64
	left.Store(int64(n))
	ctx := sdk.WithTraceparent(t.Context(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				if _, err := p.Notify(ctx, benchDelivery); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

// BenchmarkNotify measures the boundary: deliveries of 1 KiB to a notifier that does nothing, in a process of its own, with encryption.
//
//	go test -bench Notify -run - ./sdk/host
func BenchmarkNotify(b *testing.B) {
	p := launch(b, "notifier")
	for _, callers := range []int{1, 64, 256} {
		b.Run(strconv.Itoa(callers), func(b *testing.B) {
			b.ReportAllocs()
			b.ResetTimer()
			notifyAll(b, p, b.N, callers)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
		})
	}
}

func TestTheDaemonsEndAllocatesNoMoreThanItsBudget(t *testing.T) {
	p := launch(t, "notifier")
	allocations.Guard(t, "host: a delivery", func(n int) { notifyAll(t, p, n, 64) })
}

func TestBothEndsAllocateNoMoreThanTheirBudget(t *testing.T) {
	plugin, err := sdk.NewNotifier("nothing", "1.0.0", sdk.NotifierFunc(func(context.Context, sdk.Delivery) (sdk.Outcome, error) {
		return sdk.Delivered(), nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(socketDir(t), "s"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- plugin.ServeOn(ctx, l) }()
	defer func() {
		cancel()
		<-served
	}()
	p, err := host.Attach(ctx, host.Config{Logger: hclog.NewNullLogger()}, "unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	if err := p.Configure(ctx, nil, nil); err != nil {
		t.Fatal(err)
	}
	allocations.Guard(t, "sdk: a delivery", func(n int) { notifyAll(t, p, n, 64) })
}
