package bolt

import (
	"bytes"
	"encoding/binary"

	"go.etcd.io/bbolt"

	"github.com/postrider/postrider/core"
)

// The file format, version 2. Numbers in keys are big-endian, so that they sort; values are records as codec.go has them.
//
//	bucket       key                                value
//	meta         "format", "life", "journal"        the format's version; how many times the file was opened; the name of its journal, 0 for none
//	events       seq(8)                             accepted, id, name, arguments: written once, never changed
//	ids          event id                           seq
//	states       seq(8)                             an event's recorded state, where it is not "dispatched"
//	payloads     seq(8)                             the frozen payload
//	open         seq(8) subscriber(8)               the one message of a delivery (subscriber 0: of an event) that waits or is in flight
//	ready        queue(1) lane 0x00 seq(8) sub(8)   nothing: the index of open messages that are to be handed over now
//	due          ms(8) seq(8) subscriber(8)         nothing: the index of open messages that are due later
//	attempts     seq(8) subscriber(8) number(4)     one attempt; subscriber 0: of resolving the event
//	deliveries   delivery id                        seq(8) subscriber(8), of events whose publisher chose the id
//	dead         dead letter's id                   the dead letter
//	dead.time    ms(8) dead letter's id             nothing: the index by time
//	subscribers  number(8)                          the subscriber, as JSON
//
// seq numbers events in the order of their acceptance, so that every insert lands at the end of its bucket, where pages are filled
// to the brim, and so that one event's attempts and messages are one range.
//
// An event that is delivered at once costs two small puts beside its record (ids, attempts): its message gets into open and ready only where it waits longer
// (see tree). Its state is not written: "accepted" is an event whose message is open, "dispatched" one whose message is gone. The id of a delivery
// of an event with an id of Postrider's own begins with that id's time (see core.DeliveryIDOf), so that the few events of
// that millisecond are asked instead of an index.
//
// What was compared before this was fixed, and again with all of it in place: POSTRIDER_BACKLOG=200000, events of 1 KiB in four lanes, 64
// publishers, 64 handlers, on two cores that others used too, so that only rows of one run compare (events/s; "empty" is publishing
// and consuming at the same time, "filling" publishing alone, "draining" consuming alone):
//
//	                                      empty   filling  draining  file
//	as it is                              16,700  24,900   25,000    385 MiB
//	with an index of all delivery ids     13,400  19,600   20,200    401 MiB
//	pages filled to one half              12,200  17,500   20,100    578 MiB
//	freelist as an array (another run)    17,800  19,400   25,100    385 MiB   (with the map: 22,200, 26,400, 27,100)
//
// A backlog of 1,000,000: empty 18,600, filling 24,800 (slowest tenth 23,300), draining 24,500 (slowest tenth 16,900), empty again
// 19,800; RssAnon 28 MiB at most, file 1,620 MiB, reopened in 1.5 s.
var (
	bucketMeta        = []byte("meta")
	bucketEvents      = []byte("events")
	bucketIDs         = []byte("ids")
	bucketStates      = []byte("states")
	bucketPayloads    = []byte("payloads")
	bucketOpen        = []byte("open")
	bucketReady       = []byte("ready")
	bucketDue         = []byte("due")
	bucketAttempts    = []byte("attempts")
	bucketDeliveries  = []byte("deliveries")
	bucketDead        = []byte("dead")
	bucketDeadTime    = []byte("dead.time")
	bucketSubscribers = []byte("subscribers")

	buckets = [][]byte{
		bucketMeta, bucketEvents, bucketIDs, bucketStates, bucketPayloads, bucketOpen, bucketReady, bucketDue, bucketAttempts,
		bucketDeliveries, bucketDead, bucketDeadTime, bucketSubscribers,
	}

	keyFormat  = []byte("format")
	keyLife    = []byte("life")
	keyJournal = []byte("journal")
)

// formatVersion is the version that this package writes. It reads those from oldestFormat on; version 1 had no journal.
const (
	formatVersion = 2
	oldestFormat  = 1
)

// sequentialFill is how full pages get whose keys only ever grow.
const sequentialFill = 0.95

// maxLane is the longest lane, in bytes.
const maxLane = 1024

// ref names a delivery or, with sub 0, the resolution of an event. It is also the name of its one message.
type ref struct {
	seq uint64
	sub core.SubscriberID
}

func (r ref) compare(o ref) int {
	if r.seq != o.seq {
		if r.seq < o.seq {
			return -1
		}
		return 1
	}
	if r.sub != o.sub {
		if uint64(r.sub) < uint64(o.sub) {
			return -1
		}
		return 1
	}
	return 0
}

func (r ref) queue() core.QueueName {
	if r.sub == 0 {
		return core.EventQueue
	}
	return core.DeliveryQueue
}

func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(make([]byte, 0, 8), seq) }

func (r ref) key() []byte { return r.append(make([]byte, 0, 16)) }

func (r ref) append(b []byte) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, r.seq), uint64(r.sub))
}

// refOf reads the ref that starts key.
func refOf(key []byte) ref {
	return ref{seq: binary.BigEndian.Uint64(key), sub: core.SubscriberID(binary.BigEndian.Uint64(key[8:]))}
}

// refLength is the length of a ref in a key.
const refLength = 16

func (r ref) attemptKey(number int) []byte {
	return binary.BigEndian.AppendUint32(r.append(make([]byte, 0, refLength+4)), uint32(number))
}

func attemptOf(key []byte) (ref, int) {
	return refOf(key), int(binary.BigEndian.Uint32(key[refLength:]))
}

func queueByte(q core.QueueName) byte {
	if q == core.EventQueue {
		return 'e'
	}
	return 'd'
}

// lanePrefix starts the ready keys of a lane. No lane holds a zero byte, so no lane's prefix starts another's.
func lanePrefix(q core.QueueName, lane string) []byte {
	b := make([]byte, 0, len(lane)+2+refLength)
	return append(append(append(b, queueByte(q)), lane...), 0)
}

func (r ref) readyKey(lane string) []byte { return r.append(lanePrefix(r.queue(), lane)) }

// readyOf reads a ready key. The lane lives as long as the transaction.
func readyOf(key []byte) (lane []byte, r ref) {
	return key[1 : len(key)-refLength-1], refOf(key[len(key)-refLength:])
}

func (r ref) dueKey(ms int64) []byte {
	return r.append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+refLength), uint64(ms)))
}

func dueOf(key []byte) (ms int64, r ref) { return int64(binary.BigEndian.Uint64(key)), refOf(key[8:]) }

func deadTimeKey(l core.DeadLetter) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(l.ID)), uint64(max(0, l.Died.UnixMilli()))), l.ID...)
}

// hasPrefix walks c from prefix on, while keys have it.
func hasPrefix(c *bbolt.Cursor, prefix []byte, visit func(k, v []byte) (goOn bool, err error)) error {
	for k, v := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if goOn, err := visit(k, v); err != nil || !goOn {
			return err
		}
	}
	return nil
}
