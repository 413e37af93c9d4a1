// Package faultproxy stands between two ends of a TCP connection and does to it what networks do: delay, slow down, reset, go silent. Start reading at
// [Start].
package faultproxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// Fault is what happens to connections. The zero Fault is a network that works.
type Fault struct {
	Latency time.Duration // before each piece that is passed on
	Rate    int           // bytes per second each way; 0: no limit
	Silent  bool          // half-open: connections are taken and stay open, nothing is read or passed on
	Reset   bool          // connections, also those that are there, end with a RST
}

// Proxy passes connections on to a target. Its methods may be called from any goroutine.
type Proxy struct {
	listener net.Listener
	target   string

	mu      sync.Mutex
	fault   Fault
	changed chan struct{} // closed at the next change of fault
	open    map[net.Conn]struct{}
	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
}

// Start listens on a port of the loopback interface, and passes on to target, host:port.
func Start(target string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: listener, target: target, changed: make(chan struct{}), open: map[net.Conn]struct{}{}}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.running.Go(p.accept)
	return p, nil
}

// Addr returns where the proxy listens, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Set makes f happen to all connections from now on.
func (p *Proxy) Set(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
	close(p.changed)
	p.changed = make(chan struct{})
	if f.Reset {
		for c := range p.open {
			reset(c)
		}
	}
}

// Close ends all connections and the proxy. Closing twice is fine.
func (p *Proxy) Close() error {
	p.stop()
	err := p.listener.Close()
	p.mu.Lock()
	for c := range p.open {
		c.Close()
	}
	p.mu.Unlock()
	p.running.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func reset(c net.Conn) {
	c.(*net.TCPConn).SetLinger(0) //nolint:errcheck // it is closed already, then
	c.Close()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.serve(client) })
	}
}

// serve passes on what comes on one connection, until one end closes it.
func (p *Proxy) serve(client net.Conn) {
	if !p.add(client) {
		return
	}
	defer p.remove(client)
	server, err := new(net.Dialer).DialContext(p.ctx, "tcp", p.target)
	if err != nil {
		return
	}
	if !p.add(server) {
		return
	}
	defer p.remove(server)
	done := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		p.running.Go(func() {
			p.pass(way[0], way[1])
			done <- struct{}{}
		})
	}
	<-done
}

// pass copies one way. How much is read at a time is little where the rate is, so that it comes evenly.
func (p *Proxy) pass(from, to net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		fault := p.await(func(f Fault) bool { return !f.Silent })
		chunk := buffer
		if fault.Rate > 0 {
			chunk = buffer[:max(1, min(len(buffer), fault.Rate/100))]
		}
		n, err := from.Read(chunk)
		fault = p.await(func(f Fault) bool { return !f.Silent })
		delay := fault.Latency
		if fault.Rate > 0 {
			delay += time.Duration(n) * time.Second / time.Duration(fault.Rate)
		}
		if p.pause(delay) != nil {
			return
		}
		if n > 0 {
			if _, err := to.Write(chunk[:n]); err != nil {
				return
			}
		}
		if errors.Is(err, io.EOF) {
			to.(*net.TCPConn).CloseWrite() //nolint:errcheck // it is closed already, then
		}
		if err != nil {
			return
		}
	}
}

// await returns the fault of now once ok is content with it, or the proxy ends.
func (p *Proxy) await(ok func(Fault) bool) Fault {
	for {
		p.mu.Lock()
		fault, changed := p.fault, p.changed
		p.mu.Unlock()
		if ok(fault) {
			return fault
		}
		select {
		case <-changed:
		case <-p.ctx.Done():
			return fault
		}
	}
}

func (p *Proxy) pause(d time.Duration) error {
	if d <= 0 {
		return p.ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}

// add takes note of a connection, or ends it where that is the fault.
func (p *Proxy) add(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault.Reset || p.ctx.Err() != nil {
		reset(c)
		return false
	}
	p.open[c] = struct{}{}
	return true
}

func (p *Proxy) remove(c net.Conn) {
	p.mu.Lock()
	delete(p.open, c)
	p.mu.Unlock()
	c.Close()
}
