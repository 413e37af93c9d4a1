package rabbitmq

import (
	"context"
	"fmt"
	"slices"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Found is one queue of the topology, as it is on the broker.
type Found struct {
	QueueSpec
	Exists    bool // else it would be declared
	Messages  int  // that wait; those in hand don't count
	Consumers int
	Unused    bool // a delay queue that an earlier configuration needed
}

// Inspect asks the broker of c which queues of the topology exist, and which delay queues are left of earlier configurations. It declares nothing, and a
// daemon may run meanwhile.
func Inspect(ctx context.Context, c Config) (found []Found, err error) {
	c, t, l, err := dialFor(ctx, c)
	if err != nil {
		return nil, err
	}
	defer l.close()
	specs := t.Queues
	unused, err := l.unused(c, t)
	if err != nil {
		return nil, err
	}
	for _, spec := range append(slices.Clone(specs), unused...) {
		f := Found{QueueSpec: spec, Unused: spec.Delay > 0 && !slices.ContainsFunc(specs, func(s QueueSpec) bool { return s.Name == spec.Name })}
		err := l.ask(func(channel *amqp.Channel) error {
			q, err := channel.QueueDeclarePassive(spec.Name, true, false, false, false, nil)
			f.Exists, f.Messages, f.Consumers = err == nil, q.Messages, q.Consumers
			return err
		})
		if err != nil && !isCode(err, amqp.NotFound) {
			return nil, fmt.Errorf("look for queue %s: %w", spec.Name, err)
		}
		if f.Exists || !f.Unused {
			found = append(found, f)
		}
	}
	return found, nil
}

func dialFor(ctx context.Context, c Config) (Config, Topology, *link, error) {
	c, err := c.withDefaults()
	if err != nil {
		return c, Topology{}, nil, err
	}
	t, err := TopologyOf(c)
	if err != nil {
		return c, t, nil, err
	}
	l, err := dial(ctx, c)
	return c, t, l, err
}

// unused returns the delay queues of the register that t does not need. They may be gone.
func (l *link) unused(c Config, t Topology) (specs []QueueSpec, err error) {
	err = l.ask(func(channel *amqp.Channel) error {
		known, read, err := readRegister(channel, c.Prefix+registrySuffix)
		if isCode(err, amqp.NotFound) {
			return nil // nobody has ever declared anything
		}
		if err != nil {
			return err
		}
		for _, ms := range known {
			_, spec := delayOf(c.Prefix, time.Duration(ms)*time.Millisecond)
			if _, needed := t.queue(spec.Name); !needed {
				specs = append(specs, spec)
			}
		}
		if read.messages == 0 {
			return nil
		}
		return channel.Nack(read.last, true, true)
	})
	return specs, err
}

// Purged is one delay queue that is gone.
type Purged struct {
	Queue string
	Moved int // messages that it held, which now wait elsewhere for what was left of their time
}

// PurgeDelays removes the delay queues that earlier configurations needed and c does not, after moving what they hold. A daemon may run meanwhile; one that
// still runs with an earlier configuration declares its delay queues again when it connects anew.
func PurgeDelays(ctx context.Context, c Config) (purged []Purged, err error) {
	c, t, l, err := dialFor(ctx, c)
	if err != nil {
		return nil, err
	}
	defer l.close()
	unused, err := l.unused(c, t)
	if err != nil {
		return nil, err
	}
	d := delays{c.Prefix, rungs(c.Delays)}
	for _, spec := range unused {
		moved, err := l.empty(ctx, spec, d)
		if err != nil {
			return purged, fmt.Errorf("remove delay queue %s: %w", spec.Name, err)
		}
		err = l.ask(func(channel *amqp.Channel) error {
			return register(channel, c.Prefix, func(known []int64) []int64 {
				return slices.DeleteFunc(known, func(ms int64) bool { return ms == spec.Delay.Milliseconds() })
			})
		})
		if err != nil {
			return purged, err
		}
		purged = append(purged, Purged{spec.Name, moved})
	}
	return purged, nil
}

// emptyFor is how long a delay queue must have been empty before it is deleted: what has just left it is kept by it until the queue that it goes to
// has confirmed it, and counted nowhere.
const emptyFor = 2 * time.Second

// empty moves what a delay queue holds, then deletes it together with its exchange. The exchange goes first, so that nothing comes in any more: whoever
// publishes to it is told, and tries again.
func (l *link) empty(ctx context.Context, spec QueueSpec, d delays) (moved int, err error) {
	err = l.ask(func(channel *amqp.Channel) error { return channel.ExchangeDelete(spec.Name, false, false) })
	if err != nil {
		return 0, err
	}
	for checked := false; ; {
		n, err := l.moveSome(ctx, spec, d)
		if isCode(err, amqp.NotFound) {
			return moved, nil
		}
		if err != nil {
			return moved, err
		}
		moved += n
		switch {
		case n > 0:
			checked = false
		case checked: // a quorum queue can't be told to go only if it is empty
			return moved, l.ask(func(channel *amqp.Channel) error {
				_, err := channel.QueueDelete(spec.Name, false, false, false)
				return err
			})
		default:
			checked = true
			select {
			case <-time.After(emptyFor):
			case <-ctx.Done():
				return moved, ctx.Err()
			}
		}
	}
}

// moveSome moves some messages to where they wait for what is left of their time: each bears when it is due, and for which queue it is.
func (l *link) moveSome(ctx context.Context, spec QueueSpec, d delays) (int, error) {
	now := time.Now()
	moved := 0
	err := l.ask(func(channel *amqp.Channel) error {
		var postings []*posting
		var last uint64
		for len(postings) < departures {
			m, ok, err := channel.Get(spec.Name, false)
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			last = m.DeliveryTag
			e, err := decode(&m)
			if err != nil || e.due.IsZero() { // then it bears no time, and had at most this queue's
				e.due = now.Add(spec.Delay)
			}
			p := d.send(m.RoutingKey, e, now)
			if err != nil { // it is not ours to read: it goes on as it is
				p = &posting{key: m.RoutingKey, message: asIs(m)}
			}
			postings = append(postings, p)
		}
		if len(postings) == 0 {
			return nil
		}
		if err := l.deliver(ctx, postings); err != nil {
			return err
		}
		moved = len(postings)
		return channel.Ack(last, true)
	})
	return moved, err
}

// asIs returns a message for publishing it once more.
func asIs(m amqp.Delivery) amqp.Publishing {
	return amqp.Publishing{
		Headers: m.Headers, ContentType: m.ContentType, ContentEncoding: m.ContentEncoding, DeliveryMode: amqp.Persistent, MessageId: m.MessageId,
		Type: m.Type, AppId: m.AppId, Timestamp: m.Timestamp, Body: m.Body,
	}
}
