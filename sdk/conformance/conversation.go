package conformance

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"

	"github.com/postrider/postrider/proto/pluginv1"
	"github.com/postrider/postrider/sdk/host"
)

// firstID is where the ids of the checks' own requests begin: beyond what a float64 can tell apart, and beyond a signed integer.
const firstID = 1<<63 + 1

// conversation is what is said on the one stream between host and plugin: it sees every message, and can add its own.
type conversation struct {
	address atomic.Value // of the plugin's socket, a net.Addr

	sending sync.Mutex // a stream takes one message at a time
	stream  grpc.ClientStream

	mu      sync.Mutex
	last    uint64
	open    map[uint64]chan answer // by id; nil for what the host asked
	mistake []string
}

func newConversation() *conversation {
	return &conversation{last: firstID, open: make(map[uint64]chan answer)}
}

// socket returns the address of the plugin's socket.
func (c *conversation) socket() (net.Addr, bool) {
	address, ok := c.address.Load().(net.Addr)
	return address, ok
}

// join begins to watch a stream.
func (c *conversation) join(s grpc.ClientStream) grpc.ClientStream {
	c.sending.Lock()
	defer c.sending.Unlock()
	c.stream = s
	return &watched{ClientStream: s, conversation: c}
}

// watched is the host's stream, listened in on.
type watched struct {
	grpc.ClientStream
	conversation *conversation
}

// SendMsg notes what the host asks.
func (w *watched) SendMsg(m any) error {
	w.conversation.asked(m)
	w.conversation.sending.Lock()
	defer w.conversation.sending.Unlock()
	return w.ClientStream.SendMsg(m)
}

// RecvMsg takes out the answers to what the checks asked. The host ignores answers to what it didn't ask.
func (w *watched) RecvMsg(m any) error {
	if err := w.ClientStream.RecvMsg(m); err != nil {
		return err
	}
	for _, a := range answersOf(m) {
		w.conversation.answered(a)
	}
	return nil
}

func (c *conversation) asked(m any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch m := m.(type) {
	case *pluginv1.ResolveRequests:
		for _, q := range m.GetRequests() {
			c.open[q.GetId()] = nil
		}
	case *pluginv1.NotifyRequests:
		for _, q := range m.GetRequests() {
			c.open[q.GetId()] = nil
		}
	}
}

func (c *conversation) answered(a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting, open := c.open[a.id]
	if !open && len(c.mistake) < 5 {
		c.mistake = append(c.mistake, fmt.Sprintf("it answered %d, which is not the id of a request in flight: every request gets one answer, "+
			"with its own id, an unsigned integer of 64 bits (a JavaScript number can't hold it)", a.id))
	}
	delete(c.open, a.id)
	if waiting != nil {
		waiting <- a // has room for it
	}
}

// strays says which answers came that nobody had asked for.
func (c *conversation) strays() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mistake
}

// send asks requests in one message, and cancels them in the same one if it is told to.
func (c *conversation) send(role string, requests []request, cancelled bool) ([]pending, error) {
	c.mu.Lock()
	asked := make([]pending, len(requests))
	for i := range requests {
		asked[i] = pending{id: c.last, answer: make(chan answer, 1)}
		c.open[c.last] = asked[i].answer
		c.last++
	}
	c.mu.Unlock()
	var ids []uint64
	if cancelled {
		for _, q := range asked {
			ids = append(ids, q.id)
		}
	}
	return asked, c.write(role, requests, asked, ids)
}

func (c *conversation) cancel(role string, ids []uint64) error { return c.write(role, nil, nil, ids) }

func (c *conversation) write(role string, requests []request, asked []pending, cancelled []uint64) error {
	var message any
	if role == host.RoleResolver {
		m := &pluginv1.ResolveRequests{Cancelled: cancelled}
		for i, q := range requests {
			m.Requests = append(m.Requests, q.resolve(asked[i].id))
		}
		message = m
	} else {
		m := &pluginv1.NotifyRequests{Cancelled: cancelled}
		for i, q := range requests {
			m.Requests = append(m.Requests, q.notify(asked[i].id))
		}
		message = m
	}
	c.sending.Lock()
	defer c.sending.Unlock()
	if c.stream == nil {
		return errors.New("there is no stream")
	}
	return c.stream.SendMsg(message)
}
