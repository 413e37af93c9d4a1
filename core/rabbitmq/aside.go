package rabbitmq

import (
	"errors"
	"sync"

	"github.com/postrider/postrider/core"
)

// aside knows which messages are left alone in this life, because something that they need from the store is damaged. They are in the delay queue
// of an hour; when they come back from it they go there again, unseen by any Handler, which would attempt them once more in vain.
type aside struct {
	mu       sync.Mutex
	messages map[asideKey]bool
}

type asideKey struct {
	key
	attempt int
}

// asideMost bounds the memory for them. More than that are offered again whenever they come.
const asideMost = 100_000

// needsDamaged reports whether err is about a damaged record. A store that can't be written at all, whatever the cause, says nothing of the record.
func needsDamaged(err error) bool {
	return errors.Is(err, core.ErrDamaged) && !errors.Is(err, core.ErrUnavailable)
}

func (a *aside) remember(m core.Message) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.messages == nil {
		a.messages = map[asideKey]bool{}
	}
	if len(a.messages) < asideMost {
		a.messages[asideKey{keyOf(m), m.Attempt}] = true
	}
}

func (a *aside) has(m core.Message) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.messages[asideKey{keyOf(m), m.Attempt}]
}

// setAside leaves a message alone for which something must be read that is damaged.
func (c *consumer) setAside(it *item, why error) {
	m := it.message
	c.queue.log.Error("a message needs a damaged record; it is kept, and offered again after the next start", "event", m.Event, "subscriber", m.Subscriber,
		"attempt", m.Attempt, "error", why)
	c.queue.aside.remember(m)
	c.park(it)
}

// park sends away for an hour what is set aside.
func (c *consumer) park(it *item) {
	c.leave(it, c.about(asideFor))
	c.window.finish(it, false)
}
