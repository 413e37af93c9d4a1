package pluginhost

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// meter counts what a worker does. The zero meter is ready.
type meter struct {
	requests atomic.Int64
	errors   atomic.Int64 // of the plugin: crashes included, what receivers said not

	turning sync.Mutex
	now     atomic.Int64 // the number of the window that is being filled
	windows [2]window
}

// windowLength is the time that one window is filled. Latencies are those of the last one or two.
const windowLength = time.Minute

// window is a histogram of latencies. Eight buckets to each doubling: a latency is told within 7 %.
type window [buckets]atomic.Uint32

const (
	perDoubling = 8
	buckets     = 40 * perDoubling // from 1 µs, far beyond any timeout
)

// count notes one request.
func (m *meter) count(took time.Duration, failed bool) {
	m.requests.Add(1)
	if failed {
		m.errors.Add(1)
	}
	m.window(time.Now())[bucketOf(took)].Add(1)
}

// answered returns how many requests had an answer.
func (m *meter) answered() int64 { return m.requests.Load() - m.errors.Load() }

// window returns the one to be filled, and empties it when its time begins. What is counted at that moment may be lost: it is one of many.
func (m *meter) window(at time.Time) *window {
	number := at.UnixNano() / int64(windowLength)
	if last := m.now.Load(); last < number {
		m.turning.Lock()
		if last = m.now.Load(); last < number {
			m.windows[number%2].clear()
			if number-last > 1 {
				m.windows[last%2].clear()
			}
			m.now.Store(number)
		}
		m.turning.Unlock()
	}
	return &m.windows[number%2]
}

func (w *window) clear() {
	for i := range w {
		w[i].Store(0)
	}
}

// latencies returns the time within which half of the requests had their answer, and that for 99 of 100; zeros where there were none.
func (m *meter) latencies() (half, most time.Duration) {
	m.window(time.Now()) // forgets what is old
	var all [buckets]uint64
	var total uint64
	for i := range all {
		all[i] = uint64(m.windows[0][i].Load()) + uint64(m.windows[1][i].Load())
		total += all[i]
	}
	if total == 0 {
		return 0, 0
	}
	within := func(share float64) time.Duration {
		var seen uint64
		for i, n := range all {
			if seen += n; float64(seen) >= share*float64(total) {
				return upTo(i)
			}
		}
		return upTo(buckets - 1)
	}
	return within(0.5), within(0.99)
}

// bucketOf returns the place of a latency: whole microseconds below 8, and then eight steps to each doubling.
func bucketOf(took time.Duration) int {
	us := uint64(max(took, 0) / time.Microsecond)
	if us < perDoubling {
		return int(us)
	}
	doublings := bits.Len64(us) - 4 // so that us>>doublings is from 8 to 15
	return min((doublings+1)*perDoubling+int(us>>doublings)-perDoubling, buckets-1)
}

// upTo returns the longest latency of a bucket.
func upTo(bucket int) time.Duration {
	if bucket < perDoubling {
		return time.Duration(bucket+1) * time.Microsecond
	}
	doublings, step := bucket/perDoubling-1, bucket%perDoubling+perDoubling
	return time.Duration((step+1)<<doublings) * time.Microsecond
}
