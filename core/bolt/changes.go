package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"
)

// What a transaction changes is noted as it is done, key by key, for the journal: for each change a byte that says what of which bucket, the key after its
// length, and what was put, after its own. Lengths are varints.

// changes is such a list, behind room for the header of a frame.
type changes struct{ b []byte }

// removal is added to the bucket's number where a key was removed.
const removal = 0x80

// journaled are the buckets that have numbers in the journal: their places in this list. It only ever grows at its end.
var journaled = [][]byte{
	bucketEvents, bucketIDs, bucketStates, bucketPayloads, bucketOpen, bucketReady, bucketDue, bucketAttempts, bucketDeliveries, bucketDead, bucketDeadTime,
	bucketSubscribers,
}

// numberOf returns the number of a bucket that is in the list.
func numberOf(bucket []byte) int {
	return slices.IndexFunc(journaled, func(name []byte) bool { return bytes.Equal(name, bucket) })
}

// maxKept is how much memory is kept from one group to the next.
const maxKept = 1 << 20

func (c *changes) reset() {
	if cap(c.b) > maxKept || c.b == nil {
		c.b = make([]byte, 0, maxKept/4)
	}
	c.b = c.b[:frameHeader]
}

func (c *changes) isEmpty() bool { return len(c.b) == frameHeader }

func (c *changes) put(bucket byte, key, value []byte) {
	c.b = append(c.b, bucket)
	c.b = append(binary.AppendUvarint(c.b, uint64(len(key))), key...)
	c.b = append(binary.AppendUvarint(c.b, uint64(len(value))), value...)
}

func (c *changes) remove(bucket byte, key []byte) {
	c.b = append(c.b, bucket|removal)
	c.b = append(binary.AppendUvarint(c.b, uint64(len(key))), key...)
}

// errCutOff is the error of changes that end in the middle of one, which no checksum should let happen.
var errCutOff = errors.New("a change is cut off")

// redo makes the changes of one frame once more. Doing it twice changes nothing.
func redo(tx *bbolt.Tx, list []byte) error {
	d := decoder{b: list}
	for len(d.b) > 0 {
		what := d.b[0]
		d.b = d.b[1:]
		number := int(what &^ removal)
		if number >= len(journaled) {
			return fmt.Errorf("the journal changes bucket %d, which this Postrider does not know: start the one that wrote it", number)
		}
		b := tx.Bucket(journaled[number])
		key := d.view()
		var err error
		if what&removal != 0 {
			err = b.Delete(key)
		} else if value := d.view(); !d.short {
			err = errors.Join(b.Put(key, value), countTo(b, number, key))
		}
		if d.short {
			err = errCutOff
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// countTo makes sure that a number that is in key is not given again.
func countTo(b *bbolt.Bucket, number int, key []byte) error {
	if number != numberOf(bucketEvents) && number != numberOf(bucketSubscribers) {
		return nil
	}
	if len(key) != 8 {
		return errCutOff
	}
	if n := binary.BigEndian.Uint64(key); n > b.Sequence() {
		return b.SetSequence(n)
	}
	return nil
}
