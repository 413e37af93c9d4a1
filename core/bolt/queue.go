package bolt

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"github.com/postrider/postrider/core"
)

// prepared is a message that is ready to be written.
type prepared struct {
	message core.Message
	waiting waiting
	record  encoder // of the event, if the message carries it
}

// Publish implements [core.Queue]. Once handed to the committer it is no longer cancelled by ctx.
func (db *DB) Publish(ctx context.Context, out ...core.Outgoing) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	batch, size, err := db.prepare(out)
	if err != nil || len(batch) == 0 {
		return err
	}
	if err := db.space.admit(); err != nil {
		return err
	}
	return db.committer.do(&request{
		size:  size,
		check: func(w *write) error { return w.admissible(batch) },
		apply: func(w *write) error {
			for _, o := range batch {
				if err := w.publish(o); err != nil {
					return err
				}
			}
			return nil
		},
	})
}

// prepare checks and encodes out, outside of any transaction.
func (db *DB) prepare(out []core.Outgoing) (batch []prepared, size int, err error) {
	batch = make([]prepared, len(out))
	for i, o := range out {
		m := o.Message
		if err := checkMessage(o.Queue, m); err != nil {
			return nil, 0, err
		}
		p := prepared{message: m, waiting: waiting{
			attempt: max(1, m.Attempt), first: max(1, m.First), since: m.Since, due: db.clock.due(o.Due), lane: m.Lane,
		}}
		if m.Content != nil {
			p.record, p.message.Content = encodeEvent(*m.Content)
		}
		size += len(p.record.b) + 128
		batch[i] = p
	}
	return batch, size, nil
}

// checkMessage refuses what has no place in the file.
func checkMessage(q core.QueueName, m core.Message) error {
	switch {
	case q != core.EventQueue && q != core.DeliveryQueue:
		return core.Invalidf("queue", "no queue is called %q", string(q))
	case (m.Subscriber == 0) != (q == core.EventQueue):
		return core.Invalidf("queue", "message of event %s for subscriber %d does not belong into queue %q", m.Event, m.Subscriber, string(q))
	case m.Subscriber < 0:
		return core.Invalidf("subscriber", "message of event %s for subscriber %d: subscribers are numbered from 1", m.Event, m.Subscriber)
	case m.Content == nil && q == core.EventQueue:
		return core.Invalidf("event", "message of event %s does not carry the event", m.Event)
	case m.Content != nil && m.Content.ID != m.Event:
		return core.Invalidf("event", "message of event %s carries event %s", m.Event, m.Content.ID)
	case len(m.Lane) > maxLane || strings.IndexByte(m.Lane, 0) >= 0:
		return core.Invalidf("lane", "message of event %s: lane of %d bytes: at most %d, without zero bytes", m.Event, len(m.Lane), maxLane)
	}
	return m.Event.Check()
}

// Depths implements [core.Queue].
func (db *DB) Depths(context.Context) ([]core.Depth, error) {
	due := db.schedule.depths()
	return []core.Depth{
		{Queue: core.EventQueue, Ready: db.lanes[core.EventQueue].depth(), Due: due[core.EventQueue]},
		{Queue: core.DeliveryQueue, Ready: db.lanes[core.DeliveryQueue].depth(), Due: due[core.DeliveryQueue]},
	}, nil
}

// applied brings a durable request into memory. Only the committer calls it, in the order of the commits.
func (db *DB) applied(r *request) {
	fx := &r.effects
	if fx.own != nil || len(fx.filed) > 0 || len(fx.replaced) > 0 {
		db.recent.applied(fx) // before a lane offers them
	}
	if fx.own != nil || len(fx.ready) > 0 || len(fx.dropped) > 0 {
		for _, l := range db.lanes {
			l.applied(fx)
		}
	}
	if len(fx.scheduled) > 0 || fx.earliest != 0 {
		db.schedule.applied(fx)
	}
	if len(fx.subscribers) > 0 {
		db.subscribers.applied(fx.subscribers)
	}
}

// readLane returns up to n messages of a lane that follow after.
func (db *DB) readLane(q core.QueueName) func(lane string, after ref, n int) ([]ref, error) {
	return func(lane string, after ref, n int) (found []ref, err error) {
		prefix := lanePrefix(q, lane)
		from := after.append(slices.Clone(prefix))
		err = db.look(func(tx *bbolt.Tx) error {
			c := tx.Bucket(bucketReady).Cursor()
			k, _ := c.Seek(from)
			if bytes.Equal(k, from) {
				k, _ = c.Next()
			}
			for ; k != nil && bytes.HasPrefix(k, prefix) && len(found) < n; k, _ = c.Next() {
				_, r := readyOf(k)
				found = append(found, r)
			}
			return nil
		})
		return found, err
	}
}

// load finds the message that c claimed. ok is false if it is no longer there.
func (db *DB) load(c *claim) (m core.Message, ok bool, err error) {
	f, ok := db.recent.take(c.ref)
	if !ok {
		if f, ok, err = db.read(c.ref); !ok || err != nil {
			return m, false, err
		}
	}
	if f.waiting.due != 0 || f.waiting.lane != c.lane.name {
		return m, false, nil
	}
	w, event := f.waiting, f.event
	fresh := w.life == db.life && c.failed != w.attempt
	m = core.Message{
		Event: event.ID, Subscriber: c.ref.sub, Attempt: w.attempt, First: w.first, Since: w.since, Lane: w.lane,
		Fresh: fresh, Redelivered: !fresh,
	}
	if c.ref.sub == 0 {
		m.Content = &event
	}
	c.event, c.attempt = event.ID, w.attempt
	return m, true, nil
}

// read reads the message of r from the file. ok is false if there is none.
func (db *DB) read(r ref) (f filed, ok bool, err error) {
	err = db.look(func(tx *bbolt.Tx) error {
		key := r.key()
		value := tx.Bucket(bucketOpen).Get(key)
		if value == nil {
			return nil
		}
		w, err := decodeWaiting(key, value)
		if err != nil {
			return err
		}
		event, err := eventOf(tx, r.seq)
		f, ok = filed{r, w, event}, true
		return err
	})
	return f, ok, err
}

// clock tells wall-clock time that never jumps: it is read once, and runs on monotonically.
type clock struct{ start time.Time }

func newClock() clock { return clock{time.Now()} }

func (c clock) now() time.Time { return c.start.Add(time.Since(c.start)) }

// due returns t in milliseconds of this clock, rounded up, or 0 if that is not in the future.
func (c clock) due(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	left := time.Until(t)
	if left <= 0 {
		return 0
	}
	return c.now().Add(left + time.Millisecond - 1).UnixMilli()
}
