package bolt

import (
	"bytes"
	"maps"
	"slices"

	"go.etcd.io/bbolt"
)

// tree is a bucket as the open transaction sees it.
//
// The trees of messages are brief: what is added to them stays out of the bucket until somebody reads that in order, or writes it to the file. Nearly all of it
// is removed before, within milliseconds. With cursors that are kept, publishing and consuming an event takes 31 µs of CPU instead of 35, and 54 allocations
// instead of 75 (BenchmarkSteady).
type tree struct {
	bucket *bbolt.Bucket
	cursor *bbolt.Cursor     // the way to a key; a new one for each takes four allocations
	number byte              // in the journal
	young  map[string][]byte // what was added, and is not in the bucket; nil: the tree is not brief
}

// get returns the value of key, which lives as long as the transaction; nil: there is none.
func (t tree) get(key []byte) []byte {
	if value, is := t.young[string(key)]; is {
		return value
	}
	found, value := t.cursor.Seek(key)
	if !bytes.Equal(found, key) {
		return nil
	}
	return value
}

// add is put where nothing is under key, of a tree that is brief.
func (t tree) add(key, value []byte) { t.young[string(key)] = value }

func (t tree) put(key, value []byte) error {
	if _, is := t.young[string(key)]; is {
		t.young[string(key)] = value
		return nil
	}
	return t.bucket.Put(key, value)
}

func (t tree) remove(key []byte) error {
	if _, is := t.young[string(key)]; is {
		delete(t.young, string(key))
		return nil
	}
	if found, _ := t.cursor.Seek(key); !bytes.Equal(found, key) {
		return nil
	}
	return t.cursor.Delete()
}

// grow puts what is young into the bucket.
func (t tree) grow() error {
	for _, key := range slices.Sorted(maps.Keys(t.young)) {
		if err := t.bucket.Put([]byte(key), t.young[key]); err != nil {
			return err
		}
	}
	clear(t.young)
	return nil
}
