package bolt

import (
	"context"

	"go.etcd.io/bbolt"

	"github.com/postrider/postrider/core"
)

// A DB may also be the store of a queue that is not in its file. It then knows of every message that waits there, as an entry of its "open" bucket that
// no index leads to: so an event's and a delivery's state, retention and the drop of repeats are what they are with a queue in the file.

// elsewhere is the life of a message that another queue has: this file's own count from 1.
const elsewhere = 0

// Admit returns those of out whose messages are to be sent by another queue, and changes nothing: it leaves out events that are known, unless they are
// replays, messages that wait already in the same or a later attempt, and what is in out twice. It refuses all of out as Publish would.
func (db *DB) Admit(ctx context.Context, out ...core.Outgoing) (send []core.Outgoing, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	batch, _, err := db.prepare(out)
	if err != nil {
		return nil, err
	}
	if db.committer.ended() {
		if err := db.committer.brokenBy(); err != nil {
			return nil, err
		}
		return nil, core.ErrClosed
	}
	if err := db.space.admit(); err != nil {
		return nil, err
	}
	err = db.look(func(tx *bbolt.Tx) error {
		w := newWrite(tx, db.life)
		if err := w.admissible(batch); err != nil {
			return err
		}
		type key struct {
			event      core.EventID
			subscriber core.SubscriberID
		}
		sent := make(map[key]int, len(batch)) // the attempt of each
		for i, o := range batch {
			repeated, err := w.repeats(o)
			if err != nil {
				return err
			}
			k := key{o.message.Event, o.message.Subscriber}
			if repeated || sent[k] >= o.waiting.attempt {
				continue
			}
			sent[k] = o.waiting.attempt
			send = append(send, out[i])
		}
		return nil
	})
	return send, err
}

// repeats reports whether o asks for nothing that is not known already.
func (w *write) repeats(o prepared) (bool, error) {
	if known, err := w.isRepeat(o); known || err != nil {
		return known, err
	}
	seq, err := w.seqOf(o.message.Event)
	if err != nil || seq == 0 {
		return false, err
	}
	key := ref{seq, o.message.Subscriber}.key()
	value := w.open.get(key)
	if value == nil {
		return false, nil
	}
	known, err := decodeWaiting(key, value)
	return known.attempt >= o.waiting.attempt, err
}

// Accept notes that another queue has out. An event becomes known by it, and a dead letter that is replayed goes away.
func (db *DB) Accept(ctx context.Context, out ...core.Outgoing) error {
	batch, size, err := db.prepare(out)
	if err != nil || len(batch) == 0 {
		return err
	}
	return db.committer.do(&request{
		essential: true, // the other queue has it already
		size:      size,
		apply: func(w *write) error {
			for _, o := range batch {
				if repeated, err := w.isRepeat(o); repeated || err != nil {
					if err != nil {
						return err
					}
					continue
				}
				if err := w.replay(o.message); err != nil {
					return err
				}
				if err := w.followElsewhere(o); err != nil {
					return err
				}
			}
			return nil
		},
	})
}

// HandOver writes what takes the place of m, which another queue had, in one transaction: the log, and what waits in that queue from now on.
// An event is known from then on, whatever the log says of it.
func (db *DB) HandOver(ctx context.Context, m core.Message, result core.Result) error {
	next, size, err := db.prepareHandOver(result)
	if err != nil {
		return err
	}
	r := &request{
		essential: true,
		size:      size,
		apply: func(w *write) error {
			if err := w.consumeElsewhere(m); err != nil {
				return err
			}
			if err := w.log(result.Log); err != nil {
				return err
			}
			for _, o := range next {
				if err := w.followElsewhere(o); err != nil {
					return err
				}
			}
			return nil
		},
	}
	if err := db.committer.do(r); err != nil {
		return err
	}
	db.notify(r.effects.subscribers)
	return nil
}

// consumeElsewhere ends the message of another queue, unless a later one has taken its place.
func (w *write) consumeElsewhere(m core.Message) error {
	seq, err := w.seqOf(m.Event)
	if err != nil {
		return err
	}
	if seq == 0 {
		if m.Content != nil {
			_, err = w.addEvent(encodeEvent(*m.Content))
		}
		return err
	}
	r := ref{seq, m.Subscriber}
	key := r.key()
	known, there, err := waitingElsewhere(key, w.open.get(key))
	if err != nil || !there || known.attempt != max(1, m.Attempt) {
		return err
	}
	return w.remove(w.open, key)
}

// waitingElsewhere reads a message that another queue has, if that is what value is, which lies under key.
func waitingElsewhere(key, value []byte) (known waiting, there bool, err error) {
	if value == nil {
		return waiting{}, false, nil
	}
	known, err = decodeWaiting(key, value)
	return known, err == nil && known.life == elsewhere, err
}

// Overtaken reports whether another queue has a message of m's event or delivery that belongs to another run of attempts, and asks for the same attempt or
// a later one. That is a replay, or was sent in the place of m: which of the two runs began later is not asked, as the clock may have been set back.
func (db *DB) Overtaken(ctx context.Context, m core.Message) (overtaken bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	err = db.look(func(tx *bbolt.Tx) error {
		seq, err := seqOf(tx.Bucket(bucketIDs), m.Event)
		if err != nil || seq == 0 {
			return err
		}
		key := ref{seq, m.Subscriber}.key()
		known, there, err := waitingElsewhere(key, tx.Bucket(bucketOpen).Get(key))
		overtaken = there && !known.since.Equal(m.Since) && known.attempt >= max(1, m.Attempt)
		return err
	})
	return overtaken, err
}

// followElsewhere notes a message that another queue has, or is about to have. One of a later attempt that is there stays. Of the same attempt, it is the one
// sent last that surely waits: the other was lost perhaps, and this is sent in its place.
func (w *write) followElsewhere(o prepared) error {
	seq, err := w.seqOf(o.message.Event)
	if err != nil {
		return err
	}
	if seq == 0 {
		if o.record.b == nil {
			return unknownEvent(o.message.Event)
		}
		if seq, err = w.addEvent(o.record, o.message.Content); err != nil {
			return err
		}
	}
	r := ref{seq, o.message.Subscriber}
	if err := w.indexDelivery(o.message.Event, r); err != nil {
		return err
	}
	key := r.key()
	if value := w.open.get(key); value != nil {
		known, err := decodeWaiting(key, value)
		same := known.attempt == o.waiting.attempt && known.since.Equal(o.waiting.since)
		if err != nil || known.life != elsewhere || same || known.attempt > o.waiting.attempt {
			return err
		}
	}
	waiting := o.waiting
	waiting.life = elsewhere
	return w.put(w.open, key, encodeWaiting(waiting))
}
