package host

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/postrider/postrider/sdk/internal/wire"
)

// exchange carries many requests at once over one stream. Callers put their request into the outbox, from which one goroutine writes
// the stream; another one reads it and hands each answer to its caller.
type exchange[Q, A any] struct {
	gate   *gate
	outbox *wire.Outbox[*entry[Q, A]]
	last   atomic.Uint64 // the last id that was given

	mu      sync.Mutex
	pending map[uint64]*entry[Q, A] // in flight, those that nobody waits for any more included; nil once the stream has ended
}

// stream is the host's end of either stream, in the words that both have in common.
type stream[Q, A any] struct {
	send    func(requests []Q, cancelled []uint64) error
	receive func() ([]A, error)
	size    func(Q) int
	id      func(A) uint64
}

// entry is one request, or the cancellation of one.
type entry[Q, A any] struct {
	id        uint64
	request   Q
	cancel    bool        // this entry is a cancellation: it has an id only
	abandoned atomic.Bool // nobody waits for the answer any more

	over   chan struct{} // has room for one, which comes once answer and lost say what became of the request
	answer A
	lost   bool // the stream ended before
}

func newExchange[Q, A any](limit int) *exchange[Q, A] {
	return &exchange[Q, A]{
		gate:    newGate(limit),
		outbox:  wire.NewOutbox[*entry[Q, A]](),
		pending: make(map[uint64]*entry[Q, A]),
	}
}

// run reads and writes the stream until it breaks or ctx ends, and then fails whatever is in flight.
func (x *exchange[Q, A]) run(ctx context.Context, s stream[Q, A]) {
	ctx, cancel := context.WithCancel(ctx)
	var writer sync.WaitGroup
	writer.Go(func() {
		defer cancel()
		x.write(ctx, s) //nolint:errcheck // what it can't write, the reader learns too
	})
	for {
		answers, err := s.receive()
		if err != nil {
			break
		}
		for _, a := range answers {
			if e := x.finish(s.id(a)); e != nil {
				e.answer = a
				e.over <- struct{}{}
			}
		}
	}
	cancel()
	x.end()
	writer.Wait()
}

func (x *exchange[Q, A]) write(ctx context.Context, s stream[Q, A]) error {
	size := func(e *entry[Q, A]) int {
		if e.cancel {
			return 16
		}
		return s.size(e.request)
	}
	var requests []Q
	var cancelled []uint64
	return x.outbox.Run(ctx, size, func(batch []*entry[Q, A]) error {
		requests, cancelled = requests[:0], cancelled[:0]
		for _, e := range batch {
			switch {
			case e.cancel:
				cancelled = append(cancelled, e.id)
			case e.abandoned.Load(): // never sent, so that it will never be answered
				x.finish(e.id)
			default:
				requests = append(requests, e.request)
			}
		}
		if len(requests) == 0 && len(cancelled) == 0 {
			return nil
		}
		return s.send(requests, cancelled)
	})
}

// finish takes a request out of flight. It returns nil if the id isn't in flight.
func (x *exchange[Q, A]) finish(id uint64) *entry[Q, A] {
	x.mu.Lock()
	e := x.pending[id]
	delete(x.pending, id)
	x.mu.Unlock()
	if e != nil {
		x.gate.leave()
	}
	return e
}

// end fails everything in flight.
func (x *exchange[Q, A]) end() {
	x.mu.Lock()
	pending := x.pending
	x.pending = nil
	x.mu.Unlock()
	for _, e := range pending {
		x.gate.leave()
		e.lost = true
		e.over <- struct{}{}
	}
}

// call sends one request and waits for its answer. When ctx ends, the plugin is told, and the request goes on occupying its place among those
// in flight until the plugin has answered.
func (x *exchange[Q, A]) call(ctx context.Context, request func(id uint64) Q) (answer A, err error) {
	if err := x.gate.enter(ctx); err != nil {
		return answer, err
	}
	id := x.last.Add(1)
	e := &entry[Q, A]{id: id, request: request(id), over: make(chan struct{}, 1)}
	x.mu.Lock()
	ended := x.pending == nil
	if !ended {
		x.pending[id] = e
	}
	x.mu.Unlock()
	if ended {
		x.gate.leave()
		return answer, ErrCrashed
	}
	x.outbox.Put(e)
	select {
	case <-e.over:
		if e.lost {
			return answer, ErrCrashed
		}
		return e.answer, nil
	case <-ctx.Done():
		e.abandoned.Store(true)
		x.outbox.Put(&entry[Q, A]{id: id, cancel: true})
		return answer, ctx.Err()
	}
}
