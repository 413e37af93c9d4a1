package bolt

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/coretest/allocations"
)

func benchDB(t testing.TB) *DB {
	db, err := Open(Config{Path: filepath.Join(t.TempDir(), "postrider.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// BenchmarkPublish publishes events of 1 KiB one by one, 64 at a time, each on disk before its publish returns.
func BenchmarkPublish(b *testing.B) {
	db, maker := benchDB(b), newEventMaker()
	b.ReportAllocs()
	b.ResetTimer()
	publishAll(b, db, maker, b.N)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkConsume hands over events that were published before, each delivered at once: one log record and one attempt.
func BenchmarkConsume(b *testing.B) {
	db, maker := benchDB(b), newEventMaker()
	publishAll(b, db, maker, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	consumeAll(b, db, b.N, nil)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkSteady publishes and consumes at the same time, as a daemon does whose receivers keep up.
func BenchmarkSteady(b *testing.B) {
	db, maker := benchDB(b), newEventMaker()
	b.ReportAllocs()
	b.ResetTimer()
	b.ReportMetric(steady(b, db, maker, b.N), "events/s")
}

func TestPublishingAllocatesNoMoreThanItsBudget(t *testing.T) {
	db, maker := benchDB(t), newEventMaker()
	allocations.Guard(t, "bolt: publish an event", func(n int) { publishAll(t, db, maker, n) })
}

// What is consumed has to be published: the other guard says what of this is the publishing.
func TestConsumingAllocatesNoMoreThanItsBudget(t *testing.T) {
	db, maker := benchDB(t), newEventMaker()
	allocations.Guard(t, "bolt: publish and consume", func(n int) {
		publishAll(t, db, maker, n)
		consumeAll(t, db, n, nil)
	})
}

func TestMatchingAllocatesNothing(t *testing.T) {
	db := benchDB(t)
	var group sync.WaitGroup
	for i := range 200 {
		group.Go(func() {
			s := core.Subscriber{Event: fmt.Sprintf("order.%d", i%20), URL: "https://example.com", Enabled: true, Created: time.Now()}
			if _, err := db.CreateSubscriber(t.Context(), s); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	allocations.Guard(t, "bolt: match subscribers", func(n int) {
		for range n {
			if got := len(db.Match("order.7", time.Now())); got != 10 {
				t.Fatalf("got %d subscribers, want 10", got)
			}
		}
	})
}
