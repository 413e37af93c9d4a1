package bolt

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/postrider/postrider/core"
)

const (
	retentionInterval = time.Minute
	retentionBatch    = 256 // events looked at in one transaction
	minRetention      = 24 * time.Hour
	defaultRetention  = 72 * time.Hour
)

// retain removes old events every minute until ctx ends.
func (db *DB) retain(ctx context.Context) {
	tick := time.NewTicker(retentionInterval)
	defer tick.Stop()
	for {
		if removed, err := db.sweep(ctx, db.clock.now().Add(-db.config.Retention)); err != nil && ctx.Err() == nil {
			db.log.Error("old events cannot be removed", "error", err)
		} else if removed > 0 {
			db.log.Info("old events were removed", "events", removed, "older_than", db.config.Retention)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sweep removes all events that were accepted before, with everything that belongs to them. Those with an open message or a dead
// letter stay. It goes in small transactions, between which others get their turn, from the oldest up to the first that is young enough.
func (db *DB) sweep(ctx context.Context, before time.Time) (removed int, err error) {
	for seq, more := uint64(0), true; more && ctx.Err() == nil; {
		n, last := 0, seq
		err := db.committer.do(&request{
			essential: true, // makes room
			size:      retentionBatch << 11,
			apply: func(w *write) error {
				var old []core.Event
				var seqs []uint64
				n, more, last = 0, false, seq
				c := w.events.bucket.Cursor()
				for k, v := c.Seek(seqKey(seq + 1)); k != nil; k, v = c.Next() {
					event, err := decodeEvent(k, v)
					if err != nil {
						return err
					}
					if !event.Accepted.Before(before) {
						break
					}
					last = binary.BigEndian.Uint64(k)
					event.Arguments = nil // a batch of them may be large
					old, seqs = append(old, event), append(seqs, last)
					if more = len(old) == retentionBatch; more {
						break
					}
				}
				for i, event := range old {
					gone, err := w.forget(event, seqs[i])
					if err != nil {
						return err
					}
					if gone {
						n++
					}
				}
				return nil
			},
		})
		if err != nil {
			return removed, err
		}
		seq, removed = last, removed+n
	}
	return removed, nil
}

// forget removes an event with everything that belongs to it, unless somebody may still want it.
func (w *write) forget(event core.Event, seq uint64) (bool, error) {
	if w.dead.get([]byte(event.ID)) != nil {
		return false, nil
	}
	if err := w.open.grow(); err != nil {
		return false, err
	}
	if k, _ := w.open.bucket.Cursor().Seek(seqKey(seq)); k != nil && refOf(k).seq == seq {
		return false, nil
	}
	var subscribers []core.SubscriberID
	if _, err := subscribersOf(w.tx, seq, func(sub core.SubscriberID) bool { subscribers = append(subscribers, sub); return true }); err != nil {
		return false, err
	}
	for _, sub := range subscribers {
		id := []byte(core.DeliveryIDOf(event.ID, sub))
		if w.dead.get(id) != nil {
			return false, nil
		}
	}
	for _, sub := range subscribers {
		if err := w.remove(w.deliveries, []byte(core.DeliveryIDOf(event.ID, sub))); err != nil { // there only if its publisher chose the id
			return false, err
		}
	}
	var attempts [][]byte // never delete under a cursor
	err := hasPrefix(w.attempts.bucket.Cursor(), seqKey(seq), func(k, _ []byte) (bool, error) { attempts = append(attempts, k); return true, nil })
	if err != nil {
		return false, err
	}
	for _, k := range attempts {
		if err := w.remove(w.attempts, append([]byte(nil), k...)); err != nil {
			return false, err
		}
	}
	w.knownID = ""
	key := seqKey(seq)
	for _, err := range []error{
		w.remove(w.states, key), w.remove(w.payloads, key), w.remove(w.ids, []byte(event.ID)), w.remove(w.events, key),
	} {
		if err != nil {
			return false, err
		}
	}
	return true, nil
}
