package bench

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
)

// receiver takes deliveries on the loopback interface, at as many endpoints as are asked for, and notes when each arrived.
type receiver struct {
	listener  net.Listener
	server    *http.Server
	served    chan struct{}
	epoch     int64 // when it started, as now tells it
	endpoints atomic.Pointer[[]*endpoint]
	phase     atomic.Pointer[phase]
	phases    int
}

// newReceiver starts a receiver on any free port.
func newReceiver() (*receiver, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the receiver: %w", err)
	}
	r := &receiver{listener: listener, served: make(chan struct{}), epoch: now()}
	r.endpoints.Store(new([]*endpoint))
	r.server = &http.Server{Handler: r}
	go func() {
		defer close(r.served)
		_ = r.server.Serve(listener) // ends by Close alone
	}()
	return r, nil
}

func (r *receiver) close() error {
	err := r.server.Close()
	<-r.served
	return err
}

// add returns n more endpoints, numbered on from those that are there. They answer at once until they are told otherwise.
func (r *receiver) add(n int) []*endpoint {
	all := *r.endpoints.Load()
	from := len(all)
	all = append(make([]*endpoint, 0, from+n), all...)
	for number := from; number < from+n; number++ {
		e := &endpoint{url: "http://" + r.listener.Addr().String() + "/" + strconv.Itoa(number)}
		e.answer()
		all = append(all, e)
	}
	r.endpoints.Store(&all)
	return all[from:]
}

// begin starts the account of the next phase; what still arrives for earlier ones is not counted any more.
func (r *receiver) begin(name string, events int, t traffic) *phase {
	r.phases++
	p := &phase{name: name, number: r.phases, fan: max(1, t.fan), ignored: t.ignored, events: events}
	p.arrived = make([]atomic.Int64, events*p.fan)
	p.awaited = len(p.arrived)
	if t.ignored != nil {
		for n := range events {
			if t.ignored(n) {
				p.awaited -= p.fan
			}
		}
	}
	for _, e := range *r.endpoints.Load() {
		if e.manner.Load().once {
			p.refused = make([]atomic.Int64, len(p.arrived))
			break
		}
	}
	r.phase.Store(p)
	return p
}

var buffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// ServeHTTP reads a body, notes the event in it, and answers in the manner of the endpoint.
func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	arrived := now()
	number, err := strconv.Atoi(request.URL.Path[1:])
	endpoints := *r.endpoints.Load()
	if err != nil || number >= len(endpoints) {
		http.NotFound(w, request)
		return
	}
	buffer := buffers.Get().(*[64 << 10]byte)
	defer buffers.Put(buffer)
	n, err := io.ReadFull(request.Body, buffer[:])
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return
	}
	// The number of the event stands near the start: what does not fit into the buffer is read, and not looked at.
	if err == nil {
		_, _ = io.Copy(io.Discard, request.Body)
	}
	phase, event, numbered := eventNumber(buffer[:n])
	manner := endpoints[number].manner.Load()
	if manner.held != nil {
		select {
		case <-request.Context().Done(): // the sender gave up
			return
		case <-manner.held:
			arrived = now()
		}
	}
	if manner.fails {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	p := r.phase.Load()
	if !numbered || p == nil || phase != p.number || event >= p.events {
		return
	}
	if manner.once && p.refused[p.slot(event, number)].CompareAndSwap(0, now()) {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	p.note(event, number, arrived)
}

// endpoint is one address of the receiver.
type endpoint struct {
	url    string
	manner atomic.Pointer[manner]
}

// manner is how an endpoint answers; the zero manner is 200 at once.
type manner struct {
	fails bool          // with 500
	once  bool          // refuses each delivery the first time, with 503
	held  chan struct{} // not before this is closed; nil: at once
}

// become changes the manner. Those who were kept waiting by the one before are answered.
func (e *endpoint) become(m manner) {
	if before := e.manner.Swap(&m); before != nil && before.held != nil {
		close(before.held)
	}
}

func (e *endpoint) answer()     { e.become(manner{}) }
func (e *endpoint) fail()       { e.become(manner{fails: true}) }
func (e *endpoint) refuseOnce() { e.become(manner{once: true}) }
func (e *endpoint) hang()       { e.become(manner{held: make(chan struct{})}) }
