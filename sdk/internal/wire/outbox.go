package wire

import (
	"context"
	"runtime"
	"sync"
)

// Outbox collects what many goroutines have to say, for the one goroutine that may write to a stream. Putting never blocks: whoever puts
// bounds how much can wait.
type Outbox[T any] struct {
	mu      sync.Mutex
	waiting []T
	spare   []T           // the slice that was sent last, to be filled again
	ready   chan struct{} // holds a token while something waits
}

// NewOutbox returns an empty outbox.
func NewOutbox[T any]() *Outbox[T] { return &Outbox[T]{ready: make(chan struct{}, 1)} }

// Put adds an item. It may be called from any goroutine.
func (o *Outbox[T]) Put(item T) {
	o.mu.Lock()
	o.waiting = append(o.waiting, item)
	first := len(o.waiting) == 1
	o.mu.Unlock()
	if first {
		select {
		case o.ready <- struct{}{}:
		default:
		}
	}
}

// Run calls send with what waits, in order, in batches that fit a message, until ctx ends or send fails. The batch is send's only until it
// returns. size is an item's size in bytes, roughly.
func (o *Outbox[T]) Run(ctx context.Context, size func(T) int, send func([]T) error) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-o.ready:
		}
		// Whoever woke this goroutine is not the only one about to put something: those who can run now go first, so that one message, one
		// encryption and one system call carry what they all have to say. It costs nothing when nobody else is there.
		runtime.Gosched()
		items := o.take()
		for rest := items; len(rest) > 0; {
			n := batch(rest, size)
			if err := send(rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		o.giveBack(items)
	}
}

func (o *Outbox[T]) take() []T {
	o.mu.Lock()
	defer o.mu.Unlock()
	items := o.waiting
	o.waiting, o.spare = o.spare[:0], nil
	return items
}

func (o *Outbox[T]) giveBack(items []T) {
	clear(items) // or the spare would keep payloads alive
	o.mu.Lock()
	defer o.mu.Unlock()
	o.spare = items
}

// batch returns how many of items fit one message; at least one.
func batch[T any](items []T, size func(T) int) int {
	total := 0
	for i, item := range items {
		total += size(item)
		if i > 0 && (total > batchSize || i == batchLength) {
			return i
		}
	}
	return len(items)
}
