package bolt

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/postrider/postrider/core"
)

// eventMaker makes distinct events with arguments of 1 KiB, under ids as Postrider makes them.
type eventMaker struct {
	mu      sync.Mutex
	entropy *ulid.MonotonicEntropy
	filler  string
}

func newEventMaker() *eventMaker {
	return &eventMaker{entropy: ulid.Monotonic(rand.Reader, 0), filler: strings.Repeat("x", 1000)}
}

func (m *eventMaker) event(lane string) core.Event {
	now := time.Now()
	m.mu.Lock()
	id := ulid.MustNew(ulid.Timestamp(now), m.entropy)
	m.mu.Unlock()
	return core.Event{
		ID: core.EventID("evt_" + id.String()), Name: lane, Accepted: now.Truncate(time.Millisecond).UTC(),
		Arguments: json.RawMessage(`{"filler":"` + m.filler + `"}`),
	}
}

// delivered is a Handler's result of an event that was delivered at once.
func delivered(m core.Message) core.Result {
	return core.Result{Log: []core.Record{
		core.EventRecord{Event: *m.Content, State: core.EventDispatched},
		core.AttemptRecord{Attempt: core.Attempt{
			Event: m.Event, Subscriber: 1, Number: 1, First: 1, Since: m.Since, Started: time.Now(), Duration: 2 * time.Millisecond,
			Outcome: core.Delivered, Code: 200, Excerpt: "ok",
		}},
	}}
}

// publishAll publishes n events by 64 publishers, as the API would.
func publishAll(t testing.TB, db *DB, maker *eventMaker, n int) {
	const publishers = 64
	var left atomic.Int64
	left.Store(int64(n))
	var group sync.WaitGroup
	for p := range publishers {
		group.Go(func() {
			lane := fmt.Sprintf("sales.order.%d", p%4)
			for left.Add(-1) >= 0 {
				e := maker.event(lane)
				if err := db.Publish(context.Background(), core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

// consumeAll consumes n events, and reports how long each tenth took.
func consumeAll(t testing.TB, db *DB, n int, seen func(core.Message)) (tenths []time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var done atomic.Int64
	start := time.Now()
	var mu sync.Mutex
	err := db.Consume(ctx, core.EventQueue, 64, func(_ context.Context, m core.Message) (core.Result, error) {
		if seen != nil {
			seen(m)
		}
		c := done.Add(1)
		if c%int64(max(1, n/10)) == 0 {
			mu.Lock()
			tenths = append(tenths, time.Since(start))
			start = time.Now()
			mu.Unlock()
		} else if c > int64(n) {
			return core.Result{}, errors.New("one more than was asked for")
		}
		if c == int64(n) {
			cancel()
		}
		return delivered(m), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tenths
}

// steady publishes and consumes at the same time, for the throughput of a queue that is all but empty.
func steady(t testing.TB, db *DB, maker *eventMaker, n int) float64 {
	start := time.Now()
	var publishers sync.WaitGroup
	publishers.Go(func() { publishAll(t, db, maker, n) })
	consumeAll(t, db, n, nil)
	publishers.Wait()
	return float64(n) / time.Since(start).Seconds()
}

// memory returns a line of /proc/self/status in MiB: RssAnon is what the process holds without the mapped file.
func memory(t testing.TB, what string) float64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		t.Skip("no /proc/self/status here")
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), what+":"); ok {
			kib, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			if err != nil {
				t.Fatal(err)
			}
			return float64(kib) / 1024
		}
	}
	return 0
}

// BenchmarkBacklog fills a queue with as many events as POSTRIDER_BACKLOG says (100,000 without it) and drains it. It reports
// events/s of an empty queue, of filling, and of the slowest tenth of filling and of draining.
func BenchmarkBacklog(b *testing.B) {
	n := 100_000
	if v := os.Getenv("POSTRIDER_BACKLOG"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			b.Fatalf("POSTRIDER_BACKLOG is not a number: %v", err)
		}
	}
	for range b.N {
		path := filepath.Join(b.TempDir(), "postrider.db")
		db, err := Open(Config{Path: path})
		if err != nil {
			b.Fatal(err)
		}
		maker := newEventMaker()
		empty := steady(b, db, maker, min(n, 50_000))
		b.ReportMetric(empty, "empty/s")
		anon := 0.0
		var filling []string
		slowest := 0.0
		start := time.Now()
		for range 10 {
			tenth := time.Now()
			publishAll(b, db, maker, n/10)
			rate := float64(n/10) / time.Since(tenth).Seconds()
			filling = append(filling, fmt.Sprintf("%.0f", rate))
			if slowest == 0 || rate < slowest {
				slowest = rate
			}
			anon = max(anon, memory(b, "RssAnon"))
		}
		b.ReportMetric(float64(n)/time.Since(start).Seconds(), "filling/s")
		b.ReportMetric(slowest, "filling-slowest/s")
		var size int64
		if info, err := os.Stat(path); err == nil {
			size = info.Size()
		}
		b.ReportMetric(float64(size)/(1<<20), "file-MiB")
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
		start = time.Now()
		if db, err = Open(Config{Path: path}); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(start).Seconds(), "reopen-s")
		anon = max(anon, memory(b, "RssAnon"))
		var draining []string
		slowest = 0
		var sampled, half atomic.Int64
		start = time.Now()
		for _, took := range consumeAll(b, db, n, func(core.Message) {
			if sampled.Add(1) == int64(n/2) {
				half.Store(int64(memory(b, "RssAnon")))
			}
		}) {
			rate := float64(n/10) / took.Seconds()
			draining = append(draining, fmt.Sprintf("%.0f", rate))
			if slowest == 0 || rate < slowest {
				slowest = rate
			}
		}
		b.ReportMetric(float64(n)/time.Since(start).Seconds(), "draining/s")
		b.ReportMetric(slowest, "draining-slowest/s")
		b.ReportMetric(steady(b, db, maker, min(n, 50_000)), "empty-after/s")
		b.ReportMetric(max(anon, float64(half.Load()), memory(b, "RssAnon")), "RssAnon-MiB")
		b.ReportMetric(memory(b, "VmRSS"), "VmRSS-MiB")
		b.Logf("tenths, events/s: filling %s; draining %s", strings.Join(filling, " "), strings.Join(draining, " "))
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(0, "ns/op")
}

func TestABacklogIsDrainedWholeAndOnce(t *testing.T) {
	n := 20_000
	if testing.Short() {
		n = 2_000
	}
	path := filepath.Join(t.TempDir(), "postrider.db")
	db, err := Open(Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	publishAll(t, db, newEventMaker(), n)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = Open(Config{Path: path}); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if depths, _ := db.Depths(t.Context()); depths[0].Ready != n {
		t.Errorf("depth after reopening: got %d, want %d", depths[0].Ready, n)
	}
	var mu sync.Mutex
	seen := map[core.EventID]int{}
	consumeAll(t, db, n, func(m core.Message) {
		mu.Lock()
		seen[m.Event]++
		mu.Unlock()
		if m.Fresh || !m.Redelivered {
			t.Errorf("a message found in the file claims to be fresh")
		}
	})
	if len(seen) != n {
		t.Errorf("distinct events: got %d, want %d", len(seen), n)
	}
	if depths, _ := db.Depths(t.Context()); depths[0].Ready != 0 {
		t.Errorf("depth after draining: got %d, want 0", depths[0].Ready)
	}
	wantSound(t, db)
}
