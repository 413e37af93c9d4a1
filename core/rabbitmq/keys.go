package rabbitmq

import (
	"context"
	"sync"

	"github.com/postrider/postrider/core"
)

// key names a delivery or, with subscriber 0, an event.
type key struct {
	event      core.EventID
	subscriber core.SubscriberID
}

func keyOf(m core.Message) key { return key{m.Event, m.Subscriber} }

// keys keeps everything of one key in one hand: a Handler's with its message, a Publish's, or that of who files what the broker gave up on. The broker may
// have several messages of one key, and what one hand has not logged yet the other could not know of.
type keys struct {
	mu    sync.Mutex
	taken map[key][]func() // whom to call when it is free
}

func newKeys() *keys { return &keys{taken: map[key][]func(){}} }

// take takes k, or has free called once it may be taken.
func (ks *keys) take(k key, free func()) bool {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	waiting, taken := ks.taken[k]
	if taken {
		ks.taken[k] = append(waiting, free)
		return false
	}
	ks.taken[k] = nil
	return true
}

func (ks *keys) release(k key) {
	ks.mu.Lock()
	waiting := ks.taken[k]
	delete(ks.taken, k)
	ks.mu.Unlock()
	for _, free := range waiting {
		free()
	}
}

// takeAll takes the keys of out, each once, and returns what gives them back; ok is false if one of them is taken. With wait it waits for that one.
func (ks *keys) takeAll(ctx context.Context, wait bool, out []core.Outgoing) (release func(), ok bool, err error) {
	held := make(map[key]bool, len(out))
	release = func() {
		for k := range held {
			ks.release(k)
		}
		clear(held)
	}
	for i := 0; i < len(out); i++ {
		k := keyOf(out[i].Message)
		freed := make(chan struct{})
		if held[k] || ks.take(k, func() { close(freed) }) {
			held[k] = true
			continue
		}
		release() // or two who wait for each other's would wait for ever
		if !wait {
			return nil, false, nil
		}
		select {
		case <-freed:
			i = -1
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
	return release, true, nil
}
