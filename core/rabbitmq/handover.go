package rabbitmq

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/postrider/postrider/core"
)

// Points at which a test lets the queue die. A publish and a hand-over both come past all of them, in another order.
const (
	beforeStore  = "before the store is written"
	afterStore   = "after the store is written"
	beforeBroker = "before the broker is given anything"
	afterBroker  = "after the broker has confirmed"
)

// handle hands one message to the Handler, and what it made of it to store and broker.
func (c *consumer) handle(it *item) {
	if c.queue.aside.has(it.message) {
		c.park(it)
		return
	}
	result, err := c.handler(c.handling, it.message)
	if err == nil {
		err = c.handOver(it, it.message, result)
	}
	var held *core.Held
	switch {
	case err == nil:
		c.window.finish(it, true)
	case it.source.hasEnded(), c.handling.Err() != nil, errors.Is(err, core.ErrClosed):
		c.window.finish(it, false) // the broker delivers it again
	case needsDamaged(err):
		c.setAside(it, err)
	case errors.As(err, &held):
		c.window.giveBack(it, held)
	default:
		c.fail(it, err)
	}
}

// fail has a message come again later that a Handler failed at. It is deferred rather than rejected with requeue, which would bring it back at once, over
// and over, and closer to the delivery limit each time; or kept in hand, where some thousand of its kind would leave no room for anything else.
func (c *consumer) fail(it *item, err error) {
	m := it.message
	c.queue.log.Warn("a message was not consumed and will be offered again", "event", m.Event, "subscriber", m.Subscriber,
		"attempt", m.Attempt, "error", err)
	c.window.rest(it)
	it.failures++
	c.leave(it, c.about(min(failMax, failFirst<<min(it.failures-1, 16))))
	c.window.finish(it, false)
}

// How long a message is away that a Handler failed at, the first time and at most.
const (
	failFirst = 100 * time.Millisecond
	failMax   = 20 * time.Second
)

// handOver makes what takes the place of m durable, and only then has the broker forget it. The successors go out on the link that m came from: when
// that has ended, m comes again, and whoever gets it finds the log and computes them anew.
func (c *consumer) handOver(it *item, m core.Message, result core.Result) error {
	q := c.queue
	if err := q.at(beforeStore); err != nil {
		return err
	}
	if err := q.config.Store.HandOver(context.WithoutCancel(c.handling), m, result); err != nil {
		return err
	}
	if err := errors.Join(q.at(afterStore), q.at(beforeBroker)); err != nil {
		return err
	}
	now := time.Now()
	postings := make([]*posting, len(result.Next))
	for i, o := range result.Next {
		postings[i] = q.delays.send(q.target(o.Queue), envelope{message: o.Message, due: o.Due}, now)
	}
	if err := it.source.deliver(c.handling, postings); err != nil {
		return err
	}
	if err := q.at(afterBroker); err != nil {
		return err
	}
	it.source.acker.acknowledge(it.tag)
	return nil
}

// deliver publishes until the broker has confirmed everything, and sits out that it takes nothing for a while. It ends with the link, or with ctx.
func (l *link) deliver(ctx context.Context, postings []*posting) error {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		rejected, err := l.publisher.publish(ctx, true, postings...)
		if !errors.Is(err, errRejected) {
			return err
		}
		postings = rejected
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-l.done:
			timer.Stop()
			return errGone
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// leaving is what is on its way from the window back to the broker.
type leaving struct {
	mu     sync.Mutex
	items  []departure
	signal chan struct{}
}

// departure is an item that leaves.
type departure struct {
	item *item
	to   route
}

// route makes of what leaves now what is published.
type route func(e envelope, now time.Time) *posting

// untilDue has a message come again when it is due.
func (c *consumer) untilDue(e envelope, now time.Time) *posting {
	return c.queue.delays.send(c.target, e, now)
}

// about has a message come again after about wait.
func (c *consumer) about(wait time.Duration) route {
	return func(e envelope, _ time.Time) *posting { return c.queue.delays.about(c.target, e, wait) }
}

func (l *leaving) add(d departure) {
	l.mu.Lock()
	l.items = append(l.items, d)
	l.mu.Unlock()
	poke(l.signal)
}

// take takes up to n.
func (l *leaving) take(n int) []departure {
	l.mu.Lock()
	defer l.mu.Unlock()
	n = min(n, len(l.items))
	batch := l.items[:n:n]
	if l.items = l.items[n:]; len(l.items) == 0 {
		l.items = nil
	}
	return batch
}

// leave sends an item back to the broker. It does not block.
func (c *consumer) leave(it *item, to route) { c.leaving.add(departure{it, to}) }

// stepAside has an item leave for which there is no room: for about that time, or until it is its turn.
func (c *consumer) stepAside(it *item, soon time.Duration) {
	if soon > 0 {
		c.leave(it, c.about(soon))
		return
	}
	c.leave(it, c.inTurn)
}

// departures is how many messages are sent away together.
const departures = 512

// sendAway publishes what leaves, and has the broker forget it where it was.
func (c *consumer) sendAway(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.leaving.signal:
		}
		for batch := c.leaving.take(departures); len(batch) > 0; batch = c.leaving.take(departures) {
			if ctx.Err() != nil {
				return
			}
			c.sendBatch(batch)
		}
	}
}

func (c *consumer) sendBatch(batch []departure) {
	byLink := map[*link][]*item{}
	postings := map[*link][]*posting{}
	now := time.Now()
	for _, d := range batch {
		l := d.item.source.link
		if d.item.message.Redelivered { // the broker won't say so of what is published anew
			d.item.failures = max(1, d.item.failures)
		}
		byLink[l], postings[l] = append(byLink[l], d.item), append(postings[l], d.to(d.item.envelope, now))
	}
	for l, items := range byLink {
		if err := l.deliver(c.handling, postings[l]); err != nil {
			continue // then the link has ended, or we do: the broker delivers them again
		}
		for _, it := range items {
			it.source.acker.acknowledge(it.tag)
		}
	}
}
