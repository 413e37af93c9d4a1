package bench

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Receiver takes deliveries on the loopback interface and notes when each event arrived.
type Receiver struct {
	listener net.Listener
	server   *http.Server
	served   chan struct{}
	epoch    time.Time // arrivals and sends are nanoseconds since
	phase    atomic.Pointer[phase]
	phases   int
}

// phase is the account of one phase: of every event, when it was sent and when it arrived.
type phase struct {
	number     int
	sent       []int64        // when each event was to be sent; written by its publisher, read after all have ended
	arrived    []atomic.Int64 // 0: not yet
	received   atomic.Int64   // distinct events
	duplicated atomic.Int64
	last       atomic.Int64 // the newest arrival
}

// NewReceiver starts a receiver on any free port.
func NewReceiver() (*Receiver, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the receiver: %w", err)
	}
	r := &Receiver{listener: listener, served: make(chan struct{}), epoch: time.Now()}
	r.server = &http.Server{Handler: r}
	go func() {
		defer close(r.served)
		_ = r.server.Serve(listener) // ends by Close alone
	}()
	return r, nil
}

// URL returns what a subscriber is to send to.
func (r *Receiver) URL() string { return "http://" + r.listener.Addr().String() + "/" }

// Close stops the receiver.
func (r *Receiver) Close() error {
	err := r.server.Close()
	<-r.served
	return err
}

func (r *Receiver) now() int64 { return int64(time.Since(r.epoch)) }

// begin starts the account of the next phase; what still arrives for earlier ones is not counted any more.
func (r *Receiver) begin(events int) *phase {
	r.phases++
	p := &phase{number: r.phases, sent: make([]int64, events), arrived: make([]atomic.Int64, events)}
	r.phase.Store(p)
	return p
}

var buffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// ServeHTTP reads a body and notes the event in it.
func (r *Receiver) ServeHTTP(_ http.ResponseWriter, request *http.Request) {
	arrived := r.now()
	buffer := buffers.Get().(*[64 << 10]byte)
	defer buffers.Put(buffer)
	n, err := io.ReadFull(request.Body, buffer[:])
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return
	}
	// The number stands near the start: what does not fit into the buffer is read, and not looked at.
	if err == nil {
		_, _ = io.Copy(io.Discard, request.Body)
	}
	p := r.phase.Load()
	if number, event, ok := number(buffer[:n]); ok && p != nil && number == p.number && event < len(p.arrived) {
		p.note(event, arrived)
	}
}

func (p *phase) note(event int, arrived int64) {
	if !p.arrived[event].CompareAndSwap(0, arrived) {
		p.duplicated.Add(1)
		return
	}
	p.received.Add(1)
	for {
		last := p.last.Load()
		if arrived <= last || p.last.CompareAndSwap(last, arrived) {
			return
		}
	}
}
