package pluginhost

import (
	"context"
	"testing"
	"time"

	"github.com/postrider/postrider/core/coretest/allocations"
)

// benchHost is a host of one notifier that delivers at once.
func benchHost(t testing.TB) *Host {
	f := &fake{describes: notifier("web"), done: make(chan struct{})}
	f.describes.MaxInFlight = 256
	d, err := describe(f.describes)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorker(&binary{path: "web"}, Config{RestartDelay: time.Second, HealthTimeout: time.Second})
	w.become(d, share{names: []string{"web"}})
	w.gate.open(f, 256)
	h, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	h.table.Store(tableOf([]*worker{w}, nil, nil))
	return h
}

func BenchmarkNotify(b *testing.B) {
	h, n := benchHost(b), to("web", "dlv_1")
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := h.Notify(context.Background(), n); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func TestNotifyingAllocatesNoMoreThanItsBudget(t *testing.T) {
	h, notification := benchHost(t), to("web", "dlv_1")
	allocations.Guard(t, "pluginhost: notify", func(n int) {
		for range n {
			if _, err := h.Notify(t.Context(), notification); err != nil {
				t.Fatal(err)
			}
		}
	})
}
