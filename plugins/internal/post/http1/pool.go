package http1

import (
	"container/list"
	"slices"
	"sync"
	"time"
)

// sweepEvery is how often the connections that are kept are looked at, so that those that receivers closed don't hold descriptors until they would be used.
const sweepEvery = time.Second

// key is what a connection can be used for.
type key struct{ scheme, host string }

// pool holds the connections that are kept, up to most of them.
type pool struct {
	most    int
	timeout time.Duration

	mu      sync.Mutex
	byKey   map[key][]*conn // the one used last at the end
	byAge   list.List       // of *conn, the one used last at the end
	looking bool            // in a while
	closed  bool            // keeps nothing, until something is asked for
}

// take returns a connection that can be used; nil: there is none.
func (p *pool) take(k key) *conn {
	for {
		c := p.last(k)
		if c == nil || c.silent() {
			return c
		}
		c.close()
	}
}

func (p *pool) last(k key) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = false
	own := p.byKey[k]
	if len(own) == 0 {
		return nil
	}
	return p.remove(own[len(own)-1])
}

// put keeps a connection. If there are too many, the one that was not used for longest gives way.
func (p *pool) put(c *conn) {
	if gone := p.add(c); gone != nil {
		gone.close()
	}
}

func (p *pool) add(c *conn) (gone *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return c
	}
	c.kept, c.since = true, time.Now()
	c.place = p.byAge.PushBack(c)
	p.byKey[c.key] = append(p.byKey[c.key], c)
	p.lookLater()
	if p.byAge.Len() <= p.most {
		return nil
	}
	return p.remove(p.byAge.Front().Value.(*conn))
}

func (p *pool) remove(c *conn) *conn {
	p.byAge.Remove(c.place)
	c.place = nil
	own := p.byKey[c.key]
	i := len(own) - 1
	if own[i] != c { // most often it is the last
		i = slices.Index(own, c)
	}
	if own = slices.Delete(own, i, i+1); len(own) > 0 {
		p.byKey[c.key] = own
	} else {
		delete(p.byKey, c.key)
	}
	return c
}

// close closes all of them.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.drop(func(*conn) bool { return true })
}

// lookLater sees to it that they are looked at, as long as there are any.
func (p *pool) lookLater() {
	if p.looking || p.byAge.Len() == 0 {
		return
	}
	p.looking = true
	time.AfterFunc(sweepEvery, func() {
		p.sweep()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.looking = false
		p.lookLater()
	})
}

// sweep closes those that can't be used any more.
func (p *pool) sweep() {
	p.drop(func(c *conn) bool { return time.Since(c.since) > p.timeout || !c.silent() })
}

// drop closes those that are unwanted, which is found out with the pool locked, so it must not wait. Thousands may have to be looked at: others may use the
// pool between one and the next.
func (p *pool) drop(unwanted func(*conn) bool) {
	p.mu.Lock()
	idle := make([]*conn, 0, p.byAge.Len())
	for e := p.byAge.Front(); e != nil; e = e.Next() {
		idle = append(idle, e.Value.(*conn))
	}
	p.mu.Unlock()
	for _, c := range idle {
		p.mu.Lock()
		gone := c.place != nil && unwanted(c)
		if gone {
			p.remove(c)
		}
		p.mu.Unlock()
		if gone {
			c.close()
		}
	}
}
