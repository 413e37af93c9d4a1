package bolt

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"

	"github.com/hashicorp/go-hclog"
	"go.etcd.io/bbolt"

	"github.com/postrider/postrider/core"
)

// scanLimit is how many deliveries or dead letters one call looks at. A filter that matches few of them gets a short page, and the
// cursor to go on with.
const scanLimit = 10_000

// Event returns what is known of an event, its frozen payload included, or an error wrapping [core.ErrNotFound].
func (db *DB) Event(ctx context.Context, id core.EventID) (record core.EventRecord, err error) {
	if err := ctx.Err(); err != nil {
		return record, err
	}
	err = db.look(func(tx *bbolt.Tx) error {
		seq, err := knownSeq(tx, id)
		if err != nil {
			return err
		}
		if record.Event, err = eventOf(tx, seq); err != nil {
			return err
		}
		if record.State, err = eventState(tx, seq); err != nil {
			return err
		}
		key := seqKey(seq)
		if value := tx.Bucket(bucketPayloads).Get(key); value != nil {
			record.Payload, err = decodeBytes(bucketPayloads, key, value)
		}
		return err
	})
	return record, err
}

func knownSeq(tx *bbolt.Tx, id core.EventID) (uint64, error) {
	seq, err := seqOf(tx.Bucket(bucketIDs), id)
	if err == nil && seq == 0 {
		err = unknownEvent(id)
	}
	return seq, err
}

func eventState(tx *bbolt.Tx, seq uint64) (core.EventState, error) {
	if tx.Bucket(bucketOpen).Get(ref{seq, 0}.key()) != nil {
		return core.EventAccepted, nil
	}
	key := seqKey(seq)
	value := tx.Bucket(bucketStates).Get(key)
	if value == nil {
		return core.EventDispatched, nil
	}
	state, err := decodeNumber(bucketStates, key, value)
	return core.EventState(state), err
}

// Attempt returns one attempt, or an error wrapping [core.ErrNotFound].
func (db *DB) Attempt(ctx context.Context, event core.EventID, subscriber core.SubscriberID, number int) (a core.Attempt, err error) {
	if err := ctx.Err(); err != nil {
		return a, err
	}
	err = db.look(func(tx *bbolt.Tx) error {
		seq, err := knownSeq(tx, event)
		if err != nil {
			return err
		}
		key := ref{seq, subscriber}.attemptKey(number)
		value := tx.Bucket(bucketAttempts).Get(key)
		if value == nil {
			return fmt.Errorf("attempt %d of event %s for subscriber %s: %w", number, event, subscriber, core.ErrNotFound)
		}
		a, err = decodeAttempt(event, key, value)
		return err
	})
	return a, err
}

// attemptsOf returns the attempts of r, by number.
func attemptsOf(tx *bbolt.Tx, event core.EventID, r ref) (list []core.Attempt, err error) {
	err = hasPrefix(tx.Bucket(bucketAttempts).Cursor(), r.key(), func(k, v []byte) (bool, error) {
		a, err := decodeAttempt(event, k, v)
		list = append(list, a)
		return err == nil, err
	})
	return list, err
}

// Delivery returns one delivery with all its attempts, or an error wrapping [core.ErrNotFound].
func (db *DB) Delivery(ctx context.Context, id core.DeliveryID) (d core.Delivery, err error) {
	if err := ctx.Err(); err != nil {
		return d, err
	}
	err = db.look(func(tx *bbolt.Tx) error {
		r, _, ok, err := findDelivery(tx, id)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("delivery %s: %w", id, core.ErrNotFound)
		}
		event, err := eventOf(tx, r.seq)
		if err != nil {
			return err
		}
		attempts, err := attemptsOf(tx, event.ID, r)
		if err != nil {
			return err
		}
		if d, err = delivery(tx, event, r, last(attempts)); err == nil {
			d.Attempts = attempts
		}
		return err
	})
	return d, err
}

func last(attempts []core.Attempt) *core.Attempt {
	if len(attempts) == 0 {
		return nil
	}
	a := attempts[len(attempts)-1]
	return &a
}

// delivery works out the state of r from its message, its dead letter and its last attempt, in this order.
func delivery(tx *bbolt.Tx, event core.Event, r ref, last *core.Attempt) (core.Delivery, error) {
	d := core.Delivery{
		ID: core.DeliveryIDOf(event.ID, r.sub), Event: event.ID, EventName: event.Name, Subscriber: r.sub, Last: last,
	}
	key := r.key()
	if value := tx.Bucket(bucketOpen).Get(key); value != nil {
		m, err := decodeWaiting(key, value)
		if err != nil {
			return d, err
		}
		if d.State = core.DeliveryScheduled; m.attempt == m.first {
			d.State = core.DeliveryPending
		}
		return d, nil
	}
	switch {
	case tx.Bucket(bucketDead).Get([]byte(d.ID)) != nil:
		d.State = core.DeliveryDead
	case last == nil:
		d.State = core.DeliveryPending // its message is in another queue than this one
	case last.Outcome == core.Delivered:
		d.State = core.DeliveryDelivered
	case !last.Due.IsZero():
		d.State = core.DeliveryScheduled
	default:
		d.State = core.DeliveryDead
	}
	return d, nil
}

// leftOut is what a list has not of what it should: one damaged record must not hide all others.
type leftOut struct {
	list    string
	records int
	first   error
}

func (l *leftOut) note(err error) {
	if l.records++; l.first == nil {
		l.first = err
	}
}

func (l *leftOut) log(log hclog.Logger) {
	if l.records > 0 {
		log.Error("damaged records were left out of a list", "list", l.list, "records", l.records, "first", l.first)
	}
}

// Deliveries lists deliveries, those of the newest events first, and leaves out those that are damaged. A page may be shorter than the limit
// although more follow: next is "" only at the end.
func (db *DB) Deliveries(ctx context.Context, f core.DeliveryFilter) (page []core.Delivery, next string, err error) {
	leftOut := leftOut{list: "deliveries"}
	defer leftOut.log(db.log)
	read := db.view
	if f.Event != "" { // the dispatcher asks for these, event by event
		read = db.look
	}
	err = read(func(tx *bbolt.Tx) error {
		before, only, err := startOf(tx, f)
		if err != nil || f.Event != "" && only == 0 {
			return err
		}
		walk := newestFirst{open: tx.Bucket(bucketOpen).Cursor(), attempts: tx.Bucket(bucketAttempts).Cursor()}
		events := eventReader{tx: tx}
		limit := min(max(1, f.Limit), 1000)
		for range scanLimit {
			if err := ctx.Err(); err != nil {
				return err
			}
			r, attempt, value, ok := walk.before(before)
			if !ok || only != 0 && r.seq != only {
				next = ""
				return nil
			}
			before, next = r, hex.EncodeToString(r.key())
			if r.sub == 0 || f.Subscriber != 0 && r.sub != f.Subscriber {
				continue
			}
			d, event, err := events.delivery(r, attempt, value)
			if err != nil {
				leftOut.note(err)
				continue
			}
			if f.EventName != "" && event.Name != f.EventName || f.State != 0 && d.State != f.State {
				continue
			}
			if page = append(page, d); len(page) == limit {
				return nil
			}
		}
		return nil
	})
	return page, next, err
}

// startOf returns what a page of deliveries begins before, and the number of the one event that is asked for; 0: of any, or it is not known.
func startOf(tx *bbolt.Tx, f core.DeliveryFilter) (before ref, only uint64, err error) {
	before = ref{^uint64(0), -1} // -1: after all subscribers
	if f.Event != "" {
		if only, err = seqOf(tx.Bucket(bucketIDs), f.Event); err != nil || only == 0 {
			return before, 0, err
		}
		before = ref{only, -1}
	}
	if f.Cursor == "" {
		return before, only, nil
	}
	key, err := hex.DecodeString(f.Cursor)
	if err != nil || len(key) != refLength {
		return before, only, core.Invalidf("cursor", "cursor %q did not come from an earlier page", f.Cursor)
	}
	return refOf(key), only, nil
}

// eventReader reads deliveries with their events. Those of one event come together, so it remembers the last one.
type eventReader struct {
	tx    *bbolt.Tx
	seq   uint64 // of event; 0: there is none
	event core.Event
}

// delivery returns the delivery of r, whose last attempt is found at key and value; no value: it has none yet.
func (e *eventReader) delivery(r ref, key, value []byte) (d core.Delivery, event core.Event, err error) {
	if r.seq != e.seq {
		e.seq = 0
		if e.event, err = eventOf(e.tx, r.seq); err != nil {
			return d, event, err
		}
		e.seq = r.seq
	}
	var last *core.Attempt
	if value != nil {
		a, err := decodeAttempt(e.event.ID, key, value)
		if err != nil {
			return d, event, err
		}
		last = &a
	}
	d, err = delivery(e.tx, e.event, r, last)
	return d, e.event, err
}

// newestFirst walks the deliveries that are open or have attempts, backwards.
type newestFirst struct{ open, attempts *bbolt.Cursor }

// before returns the greatest ref below r, and the last attempt of it, if there is one.
func (w *newestFirst) before(r ref) (found ref, attemptKey, attempt []byte, ok bool) {
	bound := r.key()
	open := lastBefore(w.open, bound)
	key, value := lastPair(w.attempts, bound)
	switch {
	case open == nil && key == nil:
		return ref{}, nil, nil, false
	case key == nil || open != nil && bytes.Compare(open, key[:refLength]) > 0:
		return refOf(open), nil, nil, true
	}
	return refOf(key), key, value, true
}

func lastBefore(c *bbolt.Cursor, bound []byte) []byte {
	k, _ := lastPair(c, bound)
	return k
}

// lastPair returns the last pair of a key below bound.
//
// In the open transaction, pages may have been emptied. Going forwards, bbolt passes over them; going backwards, Prev stops at each, and Last goes round for ever
// where there are no others.
func lastPair(c *bbolt.Cursor, bound []byte) (k, v []byte) {
	if first, _ := c.First(); first == nil || bytes.Compare(first, bound) >= 0 {
		return nil, nil
	}
	if k, _ = c.Seek(bound); k == nil {
		return c.Last()
	}
	for k = nil; k == nil; { // there is one: the first
		k, v = c.Prev()
	}
	return k, v
}

// DeadLetter returns a dead letter with its attempts, or an error wrapping [core.ErrNotFound].
func (db *DB) DeadLetter(ctx context.Context, id string) (l core.DeadLetter, err error) {
	if err := ctx.Err(); err != nil {
		return l, err
	}
	err = db.look(func(tx *bbolt.Tx) error {
		key := []byte(id)
		value := tx.Bucket(bucketDead).Get(key)
		if value == nil {
			return unknownDeadLetter(id)
		}
		if l, err = decodeDeadLetter(key, value); err != nil {
			return err
		}
		seq, err := seqOf(tx.Bucket(bucketIDs), l.Event)
		if err != nil || seq == 0 {
			return err // an event that could not even be read has no attempts
		}
		l.Attempts, err = attemptsOf(tx, l.Event, ref{seq, l.Subscriber})
		return err
	})
	return l, err
}

func unknownDeadLetter(id string) error {
	return fmt.Errorf("dead letter %s: %w", id, core.ErrNotFound)
}

// DeadLetters lists dead letters, the newest first, and leaves out those that are damaged. A page may be shorter than the limit although more
// follow: next is "" only at the end.
func (db *DB) DeadLetters(ctx context.Context, f core.DeadLetterFilter) (page []core.DeadLetter, next string, err error) {
	leftOut := leftOut{list: "dead letters"}
	defer leftOut.log(db.log)
	err = db.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketDeadTime).Cursor()
		letters := tx.Bucket(bucketDead)
		bound := bytes.Repeat([]byte{0xff}, 9) // behind any time
		if f.Cursor != "" {
			var err error
			if bound, err = hex.DecodeString(f.Cursor); err != nil || len(bound) <= 8 {
				return core.Invalidf("cursor", "cursor %q did not come from an earlier page", f.Cursor)
			}
		}
		k, _ := lastPair(c, bound)
		limit := min(max(1, f.Limit), 1000)
		for seen := 0; k != nil; seen++ {
			if err := ctx.Err(); err != nil {
				return err
			}
			if len(page) == limit || seen == scanLimit {
				return nil
			}
			next = hex.EncodeToString(k)
			id := k[8:]
			l, err := decodeDeadLetter(id, letters.Get(id))
			if err != nil {
				leftOut.note(err)
			} else if (f.Kind == "" || l.Kind == f.Kind) && (f.EventName == "" || l.EventName == f.EventName) &&
				(f.Subscriber == 0 || l.Subscriber == f.Subscriber) {
				page = append(page, l)
			}
			k, _ = lastPair(c, k)
		}
		next = ""
		return nil
	})
	return page, next, err
}
