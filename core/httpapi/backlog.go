package httpapi

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"
)

// backlogInterval is how old the figure may be that a publish is admitted by: what is accepted meanwhile may go beyond the limit.
const backlogInterval = 50 * time.Millisecond

// backlog refuses publishes while too much waits: a publisher that is told to come back later is better off than one whose events are hours late.
// What waits for its retry does not count, since a receiver that fails is no reason to refuse the events of others.
type backlog struct {
	queue   Queue
	limit   int // 0: none
	start   time.Time
	counted atomic.Int64 // when, in nanoseconds since start; 0: never
	waiting atomic.Int64
}

func newBacklog(q Queue, limit int) *backlog {
	return &backlog{queue: q, limit: limit, start: time.Now()}
}

// admit returns nil, or a problem that says how much waits.
func (b *backlog) admit(ctx context.Context) error {
	if b.limit == 0 {
		return nil
	}
	now := int64(time.Since(b.start)) + 1
	if last := b.counted.Load(); (last == 0 || now-last > int64(backlogInterval)) && b.counted.CompareAndSwap(last, now) {
		b.count(ctx)
	}
	waiting := b.waiting.Load()
	if waiting < int64(b.limit) {
		return nil
	}
	return problemf(http.StatusTooManyRequests, "nothing was accepted, because %d events and deliveries are waiting already, and limits.backlog is %d: "+
		"repeat the request in a few seconds", waiting, b.limit)
}

func (b *backlog) count(ctx context.Context) {
	depths, err := b.queue.Depths(ctx)
	if err != nil {
		return // publishing will tell
	}
	waiting := 0
	for _, d := range depths {
		waiting += d.Ready
	}
	b.waiting.Store(int64(waiting))
}
