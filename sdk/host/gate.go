package host

import (
	"context"
	"sync"
)

// gate bounds and counts the requests in flight. Closing it refuses new ones, and tells when the last one has left.
type gate struct {
	slots chan struct{}
	shut  chan struct{} // closed by close

	mu     sync.Mutex
	inside int
	closed bool
	idle   chan struct{} // closed when closed and nobody is inside
}

func newGate(limit int) *gate {
	return &gate{slots: make(chan struct{}, limit), shut: make(chan struct{}), idle: make(chan struct{})}
}

// enter waits for room.
func (g *gate) enter(ctx context.Context) error {
	select {
	case g.slots <- struct{}{}:
	default:
		select {
		case g.slots <- struct{}{}:
		case <-g.shut:
			return ErrStopping
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		<-g.slots
		return ErrStopping
	}
	g.inside++
	return nil
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	<-g.slots
	g.inside--
	if g.closed && g.inside == 0 {
		close(g.idle)
	}
}

// close refuses new requests. Closing twice is fine.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return
	}
	g.closed = true
	close(g.shut)
	if g.inside == 0 {
		close(g.idle)
	}
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inside
}
