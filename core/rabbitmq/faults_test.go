package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/rabbitmq/brokertest"
)

func isReady(b *backend) bool { return len(b.queue.Unready()) == 0 }

func publishOne(ctx context.Context, b *backend) error {
	return b.Publish(ctx, core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(benchEvent())})
}

// wantUnavailable publishes, and wants that to fail within a moment, without a secret in the error.
func wantUnavailable(t *testing.T, b *backend) {
	t.Helper()
	began := time.Now()
	err := publishOne(t.Context(), b)
	if !errors.Is(err, core.ErrUnavailable) {
		t.Errorf("publish: got %v, want ErrUnavailable", err)
	} else if strings.Contains(err.Error(), "guest") {
		t.Errorf("the error holds user and password: %v", err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("publish took %v to be refused", took)
	}
}

func TestNothingIsLostWhenTheBroker(t *testing.T) {
	node := brokertest.Start(t, brokertest.Config{})

	t.Run("closes all connections", func(t *testing.T) {
		l := startLoad(newPlaceOn(t, node.URL()).open(t), 16)
		for range 3 {
			l.accepts(t, 500)
			node.Ctl(t, "close_all_connections", "a test")
		}
		l.accepts(t, 500)
		l.stop(t)
	})

	t.Run("is killed", func(t *testing.T) {
		kills := 3
		if testing.Short() {
			kills = 1
		}
		l := startLoad(newPlaceOn(t, node.URL()).open(t), 16)
		for range kills {
			l.accepts(t, 500)
			node.Kill()
			until(t, "the queue notices", func() bool { return !isReady(l.b) })
			wantUnavailable(t, l.b)
			node.Restart(t)
		}
		l.accepts(t, 500)
		l.stop(t)
	})

	t.Run("runs out of memory", func(t *testing.T) {
		l := startLoad(newPlaceOn(t, node.URL()).open(t), 16)
		l.accepts(t, 500)
		node.Ctl(t, "set_vm_memory_high_watermark", "0.00001")
		until(t, "the queue notices", func() bool { return !isReady(l.b) })
		if why := l.b.queue.Unready()[0]; !strings.Contains(why, "memory") {
			t.Errorf("unready because: %s", why)
		}
		wantUnavailable(t, l.b)
		node.Ctl(t, "set_vm_memory_high_watermark", "0.4")
		until(t, "the queue is ready again", func() bool { return isReady(l.b) })
		l.accepts(t, 500)
		l.stop(t)
	})

	// A broker that is short of memory goes on to take acknowledgements, which come on another connection than what is published.
	t.Run("takes no successors before it closes all connections", func(t *testing.T) {
		b := newPlaceOn(t, node.URL()).open(t)
		const handlers = 50
		var accepted []core.EventID
		publish := func() {
			e := benchEvent()
			if b.Publish(t.Context(), core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)}) == nil {
				accepted = append(accepted, e.ID)
			}
		}
		for range handlers {
			publish()
		}
		var handed atomic.Int64
		var delivered sync.Map // by event
		ctx, cancel := context.WithCancel(t.Context())
		done, short := make(chan error, 2), make(chan struct{})
		go func() {
			done <- b.Consume(ctx, core.EventQueue, handlers, func(_ context.Context, m core.Message) (core.Result, error) {
				handed.Add(1)
				<-short
				return core.Result{Next: []core.Outgoing{{Queue: core.DeliveryQueue, Message: core.DeliveryMessage(m.Event, 1, m.Since)}}}, nil
			})
		}()
		go func() {
			done <- b.Consume(ctx, core.DeliveryQueue, handlers, func(_ context.Context, m core.Message) (core.Result, error) {
				delivered.Store(m.Event, true)
				return core.Result{}, nil
			})
		}()
		until(t, "each handler has one", func() bool { return handed.Load() == handlers })
		node.Ctl(t, "set_vm_memory_high_watermark", "0.00001")
		until(t, "the queue notices", func() bool { publish(); return !isReady(b) })
		close(short)
		node.Ctl(t, "close_all_connections", "a test")
		node.Ctl(t, "set_vm_memory_high_watermark", "0.4")
		for i, id := range accepted {
			until(t, fmt.Sprintf("what follows from event %d of %d has come", i+1, len(accepted)), func() bool { _, came := delivered.Load(id); return came })
		}
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})

	t.Run("deletes a queue that is consumed", func(t *testing.T) {
		p := newPlaceOn(t, node.URL())
		l := startLoad(p.open(t), 1)
		l.accepts(t, 10)
		l.stopping.Store(true)
		l.group.Wait()
		until(t, "all is consumed", func() bool { return l.sent.Load() == 2*l.count.Load() })
		was := l.b.queue.link.Load()
		control(t, node.URL(), func(channel *amqp.Channel) error {
			_, err := channel.QueueDelete(p.prefix+eventSuffix, false, false, false)
			return err
		})
		until(t, "there is another connection", func() bool { now := l.b.queue.link.Load(); return now != nil && now != was })
		if !strings.Contains(was.why.Error(), p.prefix+eventSuffix) {
			t.Errorf("why the connection ended: %v", was.why)
		}
		if err := publishOne(t.Context(), l.b); err != nil {
			t.Error(err)
		}
		sent := l.sent.Load()
		until(t, "what is published then is consumed", func() bool { return l.sent.Load() == sent+2 })
		l.stop(t)
	})
}

// control runs a question to the broker on a connection of its own.
func control(t *testing.T, url string, question func(*amqp.Channel) error) {
	t.Helper()
	connection, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	channel, err := connection.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if err := question(channel); err != nil {
		t.Fatal(err)
	}
}

func TestNothingIsLostWhenTheNetwork(t *testing.T) {
	node := broker.Start(t)

	t.Run("stops carrying anything", func(t *testing.T) {
		p := newPlaceOn(t, node.URL())
		proxy := newProxy(t, node.Addr())
		p.url = "amqp://guest:guest@" + proxy.addr + "/"
		l := startLoad(p.open(t), 16)
		l.accepts(t, 500)
		proxy.hold()
		until(t, "the queue notices", func() bool { return !isReady(l.b) })
		wantUnavailable(t, l.b)
		proxy.release()
		until(t, "the queue is ready again", func() bool { return isReady(l.b) })
		l.accepts(t, 500)
		l.stop(t)
	})

	t.Run("refuses connections for a while", func(t *testing.T) {
		p := newPlaceOn(t, node.URL())
		proxy := newProxy(t, node.Addr())
		p.url = "amqp://guest:guest@" + proxy.addr + "/"
		proxy.refuse(true)
		b := p.openAnyway(t)
		wantUnavailable(t, b)
		until(t, "the reason is known", func() bool { return strings.Contains(b.queue.Unready()[0], "amqp://"+proxy.addr+"/") })
		proxy.refuse(false)
		until(t, "the queue is ready", func() bool { return isReady(b) })
		l := startLoad(b, 4)
		l.accepts(t, 100)
		proxy.refuse(true)
		until(t, "the queue notices", func() bool { return !isReady(b) })
		proxy.refuse(false)
		l.accepts(t, 100)
		l.stop(t)
	})
}

// proxy carries connections to the broker until it is told not to.
type proxy struct {
	addr     string
	target   string
	listener net.Listener

	mu      sync.Mutex
	refused bool
	held    chan struct{} // nil: it carries; closed: it goes on
	alter   func([]byte)  // nil: it carries what it got
	conns   map[net.Conn]bool
	group   sync.WaitGroup
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: listener.Addr().String(), target: target, listener: listener, conns: map[net.Conn]bool{}}
	p.group.Go(p.accept)
	t.Cleanup(func() {
		listener.Close()
		p.release()
		p.refuse(true)
		p.group.Wait()
	})
	return p
}

func (p *proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.target)
		if err != nil {
			near.Close()
			continue
		}
		p.mu.Lock()
		if p.refused {
			p.mu.Unlock()
			near.Close()
			far.Close()
			continue
		}
		p.conns[near], p.conns[far] = true, true
		p.mu.Unlock()
		p.group.Go(func() { p.carry(near, far) })
		p.group.Go(func() { p.carry(far, near) })
	}
}

// carry copies until one end closes. While the proxy holds it neither reads nor closes anything.
func (p *proxy) carry(from, to net.Conn) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		p.mu.Lock()
		held, alter := p.held, p.alter
		p.mu.Unlock()
		if alter != nil {
			alter(buffer[:n])
		}
		if held != nil {
			<-held
		}
		if err == nil {
			_, err = to.Write(buffer[:n])
		}
		if err != nil && !errors.Is(err, io.ErrShortWrite) {
			from.Close()
			to.Close()
			return
		}
	}
}

func (p *proxy) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = make(chan struct{})
}

func (p *proxy) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held != nil {
		close(p.held)
		p.held = nil
	}
}

// refuse cuts every connection and takes no more, or takes them again.
func (p *proxy) refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refused = on; on {
		for c := range p.conns {
			c.Close()
		}
		clear(p.conns)
	}
}

func TestASecondDaemonWaitsUntilTheFirstIsGone(t *testing.T) {
	p := newPlaceOn(t, broker.Start(t).URL())
	first := p.open(t)
	other := p
	other.dir = t.TempDir()
	second := other.openAnyway(t)
	until(t, "the second says why it is not ready", func() bool {
		why := second.queue.Unready()
		return len(why) == 1 && strings.Contains(why[0], "another daemon")
	})
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	until(t, "the second is ready", func() bool { return isReady(second) })
}

func TestAMessageForAQueueThatIsMissingIsNoSuccess(t *testing.T) {
	p := newPlaceOn(t, broker.Start(t).URL())
	b := p.open(t)
	control(t, p.url, func(channel *amqp.Channel) error {
		_, err := channel.QueueDelete(p.prefix+eventSuffix, false, false, false)
		return err
	})
	e := benchEvent()
	out := core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)}
	err := b.Publish(t.Context(), out)
	if !errors.Is(err, core.ErrUnavailable) || !strings.Contains(err.Error(), p.prefix+eventSuffix) {
		t.Errorf("publish to a missing queue: got %v", err)
	}
	if _, err := b.Event(t.Context(), e.ID); !errors.Is(err, core.ErrNotFound) {
		t.Errorf("the event that was not accepted: got %v", err)
	}
	until(t, "the queue is declared again, and the publish accepted", func() bool { return b.Publish(t.Context(), out) == nil })
	until(t, "the message is there", func() bool {
		depths, err := b.Depths(t.Context())
		return err == nil && depths[0].Ready == 1
	})
}
