package bolt

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"go.etcd.io/bbolt"

	"github.com/postrider/postrider/core"
)

// Append logs records that come from another queue than this one. The hand-overs of this queue log theirs themselves.
func (db *DB) Append(ctx context.Context, records ...core.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := checkRecords(records); err != nil {
		return err
	}
	r := &request{size: recordsSize(records), apply: func(w *write) error { return w.log(records) }}
	if err := db.committer.do(r); err != nil {
		return err
	}
	db.notify(r.effects.subscribers)
	return nil
}

// checkRecords refuses what has no place in the file, before a transaction runs into it.
func checkRecords(records []core.Record) error {
	for _, record := range records {
		var err error
		switch r := record.(type) {
		case core.EventRecord:
			err = r.Event.ID.Check()
		case core.AttemptRecord:
			if err = r.Attempt.Event.Check(); err == nil && (r.Attempt.Number < 1 || r.Attempt.Subscriber < 0) {
				err = core.Invalidf("attempt", "attempt %d of event %s for subscriber %d: attempts and subscribers are numbered from 1",
					r.Attempt.Number, r.Attempt.Event, r.Attempt.Subscriber)
			}
		case core.DeadLetterRecord:
			if id := r.DeadLetter.ID; id == "" || len(id) > core.MaxEventIDLength {
				err = core.Invalidf("id", "dead letter id of %d characters: it must have 1 to %d", len(id), core.MaxEventIDLength)
			}
		case core.ResurrectRecord, core.DisableRecord:
		default:
			err = fmt.Errorf("records of type %T are unknown to this store", record)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func recordsSize(records []core.Record) int {
	size := 0
	for _, record := range records {
		size += 256
		switch r := record.(type) {
		case core.EventRecord:
			size += len(r.Payload)
		case core.DeadLetterRecord:
			size += len(r.DeadLetter.Original)
		}
	}
	return size
}

// log applies records in order. Doing it twice changes nothing.
func (w *write) log(records []core.Record) error {
	for _, record := range records {
		var err error
		switch r := record.(type) {
		case core.EventRecord:
			err = w.logEvent(r)
		case core.AttemptRecord:
			err = w.logAttempt(r.Attempt)
		case core.DeadLetterRecord:
			err = w.logDeadLetter(r.DeadLetter)
		case core.ResurrectRecord:
			err = w.resurrect(r.ID)
		case core.DisableRecord:
			err = w.disable(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// logEvent writes only what the file doesn't say already: "dispatched" is what an event is that has no state.
func (w *write) logEvent(r core.EventRecord) error {
	seq, err := w.ensureEvent(r.Event)
	if err != nil {
		return err
	}
	key := seqKey(seq)
	known := w.states.get(key) != nil
	switch {
	case r.State != core.EventDispatched:
		err = w.put(w.states, key, encodeNumber(uint64(r.State)))
	case known:
		err = w.remove(w.states, key)
	}
	if err != nil || r.Payload == nil {
		return err
	}
	return w.put(w.payloads, key, encodeBytes(r.Payload))
}

func (w *write) logAttempt(a core.Attempt) error {
	seq, err := w.seqOf(a.Event)
	if err != nil {
		return err
	}
	if seq == 0 {
		return unknownEvent(a.Event)
	}
	r := ref{seq, a.Subscriber}
	key := r.attemptKey(a.Number)
	if w.attempts.get(key) != nil {
		return nil
	}
	if err := w.indexDelivery(a.Event, r); err != nil {
		return err
	}
	return w.put(w.attempts, key, encodeAttempt(a))
}

// indexDelivery makes a delivery's id lead to it, where the id doesn't do that by itself.
func (w *write) indexDelivery(event core.EventID, r ref) error {
	if r.sub == 0 {
		return nil
	}
	id := core.DeliveryIDOf(event, r.sub)
	if prefix, _ := eventPrefixOf(id); strings.HasPrefix(string(event), prefix) {
		return nil
	}
	key := []byte(id)
	if w.deliveries.get(key) != nil {
		return nil
	}
	e := newEncoder(refLength)
	e.uint(r.seq)
	e.uint(uint64(r.sub))
	return w.put(w.deliveries, key, e)
}

// Ids that Postrider makes: a prefix, ten characters of time, and 16 others (see core.DeliveryIDOf).
const (
	eventPrefix    = "evt_"
	deliveryPrefix = "dlv_"
	timeLength     = 10
	restLength     = 16
)

// eventPrefixOf returns what starts the id of a delivery's event, if Postrider made that. A publisher's own is in the index.
func eventPrefixOf(id core.DeliveryID) (prefix string, ok bool) {
	rest, ok := strings.CutPrefix(string(id), deliveryPrefix)
	if !ok || len(rest) != timeLength+restLength {
		return "", false
	}
	return eventPrefix + rest[:timeLength], true
}

// findDelivery returns what a delivery's id stands for. It looks into the index; then at every event of the id's millisecond.
func findDelivery(tx *bbolt.Tx, id core.DeliveryID) (ref, core.EventID, bool, error) {
	key := []byte(id)
	if value := tx.Bucket(bucketDeliveries).Get(key); value != nil {
		d, err := unseal(bucketDeliveries, key, value)
		if err != nil {
			return ref{}, "", false, err
		}
		r := ref{d.uint(), core.SubscriberID(d.uint())}
		if err := d.end(bucketDeliveries, key); err != nil {
			return ref{}, "", false, err
		}
		event, err := eventOf(tx, r.seq)
		return r, event.ID, err == nil, err
	}
	prefix, ok := eventPrefixOf(id)
	if !ok {
		return ref{}, "", false, nil
	}
	var found ref
	var event core.EventID
	err := hasPrefix(tx.Bucket(bucketIDs).Cursor(), []byte(prefix), func(k, v []byte) (bool, error) {
		seq, err := decodeNumber(bucketIDs, k, v)
		if err != nil {
			return false, err
		}
		event = core.EventID(k)
		_, err = subscribersOf(tx, seq, func(sub core.SubscriberID) bool {
			if core.DeliveryIDOf(event, sub) == id {
				found = ref{seq, sub}
			}
			return found.seq == 0
		})
		return found.seq == 0, err
	})
	return found, event, found.seq != 0, err
}

// subscribersOf visits the subscribers to whom an event has, or had, a delivery, until visit returns false. Some come twice.
func subscribersOf(tx *bbolt.Tx, seq uint64, visit func(core.SubscriberID) bool) (all bool, err error) {
	for _, bucket := range [][]byte{bucketOpen, bucketAttempts} {
		c := tx.Bucket(bucket).Cursor()
		next := ref{seq, 1}
		for {
			k, _ := c.Seek(next.key())
			if k == nil || binary.BigEndian.Uint64(k) != seq {
				break
			}
			r := refOf(k)
			if !visit(r.sub) {
				return false, nil
			}
			next.sub = r.sub + 1
		}
	}
	return true, nil
}

// eventOf reads an event by its sequence number.
func eventOf(tx *bbolt.Tx, seq uint64) (core.Event, error) {
	key := seqKey(seq)
	value := tx.Bucket(bucketEvents).Get(key)
	if value == nil {
		return core.Event{}, fmt.Errorf("event number %d is missing: %w", seq, errDamaged)
	}
	return decodeEvent(key, value)
}
