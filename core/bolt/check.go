package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/postrider/postrider/core"
)

// maxFindings is how many faults Check names.
const maxFindings = 20

// Check verifies the checksum of every record, and that the buckets agree with each other; the pages are sound, or [Inspect] had refused
// the file. It returns nil, or up to 20 faults joined, each naming bucket and key.
func (i *Inspection) Check(ctx context.Context) error {
	c := &check{ctx: ctx}
	err := i.view(func(tx *bbolt.Tx) error {
		c.tx = tx
		c.events()
		c.messages()
		c.log()
		c.rest()
		return ctx.Err()
	})
	return errors.Join(append(c.faults, err)...)
}

type check struct {
	ctx    context.Context
	tx     *bbolt.Tx
	faults []error
}

func (c *check) found(err error) {
	if err != nil && len(c.faults) < maxFindings {
		c.faults = append(c.faults, err)
	}
}

// each visits all records of a bucket until there are too many faults.
func (c *check) each(bucket []byte, visit func(k, v []byte) error) {
	cursor := c.tx.Bucket(bucket).Cursor()
	for k, v := cursor.First(); k != nil && len(c.faults) < maxFindings && c.ctx.Err() == nil; k, v = cursor.Next() {
		c.found(visit(k, v))
	}
}

func (c *check) has(bucket, key []byte) bool {
	k, _ := c.tx.Bucket(bucket).Cursor().Seek(key)
	return bytes.Equal(k, key)
}

// of checks that the event that a record of bucket belongs to is there.
func (c *check) of(bucket, key []byte) error {
	if !c.has(bucketEvents, key[:8]) {
		return damaged(bucket, key, "its event is missing")
	}
	return nil
}

func (c *check) events() {
	c.each(bucketEvents, func(k, v []byte) error {
		event, err := decodeEvent(k, v)
		if err != nil {
			return err
		}
		if seq, err := seqOf(c.tx.Bucket(bucketIDs), event.ID); err != nil || seq != binary.BigEndian.Uint64(k) {
			return damaged(bucketEvents, k, "its id does not lead to it")
		}
		return nil
	})
	c.each(bucketIDs, func(k, v []byte) error {
		seq, err := decodeNumber(bucketIDs, k, v)
		if err != nil {
			return err
		}
		if !c.has(bucketEvents, seqKey(seq)) {
			return damaged(bucketIDs, k, "its event is missing")
		}
		return nil
	})
	c.each(bucketStates, func(k, v []byte) error {
		if _, err := decodeNumber(bucketStates, k, v); err != nil {
			return err
		}
		return c.of(bucketStates, k)
	})
	c.each(bucketPayloads, func(k, v []byte) error {
		if _, err := decodeBytes(bucketPayloads, k, v); err != nil {
			return err
		}
		return c.of(bucketPayloads, k)
	})
}

func (c *check) messages() {
	c.each(bucketOpen, func(k, v []byte) error {
		m, err := decodeWaiting(k, v)
		if err != nil {
			return err
		}
		if m.life == elsewhere {
			return c.of(bucketOpen, k)
		}
		index, key := bucketReady, refOf(k).readyKey(m.lane)
		if m.due != 0 {
			index, key = bucketDue, refOf(k).dueKey(m.due)
		}
		if !c.has(index, key) {
			return damaged(bucketOpen, k, fmt.Sprintf("bucket %q does not lead to it", index))
		}
		return c.of(bucketOpen, k)
	})
	indexed := func(bucket []byte, read func(k []byte) (ref, int64, []byte)) {
		c.each(bucket, func(k, _ []byte) error {
			r, due, lane := read(k)
			key := r.key()
			value := c.tx.Bucket(bucketOpen).Get(key)
			if value == nil {
				return damaged(bucket, k, "its message is missing")
			}
			m, err := decodeWaiting(key, value)
			if err == nil && (m.due != due || lane != nil && m.lane != string(lane)) {
				err = damaged(bucket, k, "its message is elsewhere")
			}
			return err
		})
	}
	indexed(bucketReady, func(k []byte) (ref, int64, []byte) { lane, r := readyOf(k); return r, 0, lane })
	indexed(bucketDue, func(k []byte) (ref, int64, []byte) { ms, r := dueOf(k); return r, ms, nil })
}

func (c *check) log() {
	c.each(bucketAttempts, func(k, v []byte) error {
		if _, err := decodeAttempt("", k, v); err != nil {
			return err
		}
		return c.of(bucketAttempts, k)
	})
	c.each(bucketDeliveries, func(k, _ []byte) error {
		_, _, ok, err := findDelivery(c.tx, core.DeliveryID(k))
		if err == nil && !ok {
			err = damaged(bucketDeliveries, k, "its delivery is missing")
		}
		return err
	})
}

func (c *check) rest() {
	c.each(bucketDead, func(k, v []byte) error {
		l, err := decodeDeadLetter(k, v)
		if err == nil && !c.has(bucketDeadTime, deadTimeKey(l)) {
			err = damaged(bucketDead, k, "its time does not lead to it")
		}
		return err
	})
	c.each(bucketDeadTime, func(k, _ []byte) error {
		if len(k) <= 8 || c.tx.Bucket(bucketDead).Get(k[8:]) == nil {
			return damaged(bucketDeadTime, k, "its dead letter is missing")
		}
		return nil
	})
	c.each(bucketSubscribers, func(k, v []byte) error {
		_, err := decodeSubscriber(k, v)
		return err
	})
}
