package bolt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/postrider/postrider/core"
)

// write is the transaction that is open, into which the committer writes group after group.
type write struct {
	tx      *bbolt.Tx
	life    uint64
	changes changes  // of the group that is being applied
	effects *effects // of the request that is being applied

	// The event that was looked up last, or added: what is asked next is about the same one nearly always.
	knownID  core.EventID
	knownSeq uint64      // 0: it is not there
	added    *core.Event // as it was stored, until something of it is filed; nil: it was looked up

	events, ids, states, payloads, open, ready, due, attempts, deliveries, dead, deadTime, subscribers tree
}

// effects are what memory must learn of a request once it is durable.
type effects struct {
	own         *claim // the consumed message, if this is a hand-over
	returned    bool   // its place is taken by another message of the same delivery, in the same lane
	dropped     []entry
	ready       []entry
	replaced    []ref                  // whose messages are others now, or none
	filed       []filed                // of what is ready
	scheduled   map[core.QueueName]int // added to what is due later, or taken from it
	earliest    int64                  // the earliest due time that was added, in milliseconds; 0: none
	subscribers []subscriberChange
}

// entry is a place in the ready index.
type entry struct {
	lane string
	ref  ref
}

func newWrite(tx *bbolt.Tx, life uint64) *write {
	w := &write{tx: tx, life: life}
	open := func(name []byte) tree {
		b := tx.Bucket(name)
		return tree{bucket: b, cursor: b.Cursor(), number: byte(numberOf(name))}
	}
	sequential := func(name []byte) tree {
		t := open(name)
		t.bucket.FillPercent = sequentialFill
		return t
	}
	brief := func(t tree) tree {
		t.young = map[string][]byte{}
		return t
	}
	w.events, w.ids, w.states = sequential(bucketEvents), sequential(bucketIDs), sequential(bucketStates)
	w.payloads, w.open, w.attempts = sequential(bucketPayloads), brief(sequential(bucketOpen)), sequential(bucketAttempts)
	w.ready, w.due, w.deliveries = brief(open(bucketReady)), open(bucketDue), open(bucketDeliveries)
	w.dead, w.deadTime, w.subscribers = open(bucketDead), open(bucketDeadTime), open(bucketSubscribers)
	return w
}

// grow brings into the buckets what is young, for who reads them next.
func (w *write) grow() error { return errors.Join(w.open.grow(), w.ready.grow()) }

// put writes a record.
func (w *write) put(t tree, key []byte, e encoder) error {
	return w.set(t, key, seal(key, e))
}

// index writes a key that has no value.
func (w *write) index(t tree, key []byte) error { return w.set(t, key, []byte{}) }

func (w *write) set(t tree, key, value []byte) error {
	w.changes.put(t.number, key, value)
	return t.put(key, value)
}

// add is set where nothing is under key.
func (w *write) add(t tree, key, value []byte) {
	w.changes.put(t.number, key, value)
	t.add(key, value)
}

func (w *write) remove(t tree, key []byte) error {
	w.changes.remove(t.number, key)
	return t.remove(key)
}

// seqOf returns the sequence number of an event; 0: it is not known.
func seqOf(ids *bbolt.Bucket, id core.EventID) (uint64, error) {
	key := []byte(id)
	return decodeSeq(key, ids.Get(key))
}

// decodeSeq reads what ids has under key, if it has something.
func decodeSeq(key, value []byte) (uint64, error) {
	if value == nil {
		return 0, nil
	}
	return decodeNumber(bucketIDs, key, value)
}

// seqOf is seqOf in this transaction.
func (w *write) seqOf(id core.EventID) (uint64, error) {
	if w.knownID == id {
		return w.knownSeq, nil
	}
	key := []byte(id)
	seq, err := decodeSeq(key, w.ids.get(key))
	if err == nil {
		w.knownID, w.knownSeq, w.added = id, seq, nil
	}
	return seq, err
}

// addEvent writes the record of an event that is not known.
func (w *write) addEvent(record encoder, e *core.Event) (uint64, error) {
	seq, err := w.events.bucket.NextSequence()
	if err != nil {
		return 0, err
	}
	if err := w.put(w.events, seqKey(seq), record); err != nil {
		return 0, err
	}
	w.knownID, w.knownSeq, w.added = e.ID, seq, e
	return seq, w.put(w.ids, []byte(e.ID), encodeNumber(seq))
}

// ensureEvent returns the sequence number of e, and writes its record if it is not known yet.
func (w *write) ensureEvent(e core.Event) (uint64, error) {
	seq, err := w.seqOf(e.ID)
	if err != nil || seq != 0 {
		return seq, err
	}
	return w.addEvent(encodeEvent(e))
}

// sameEvent reports whether the known event of sequence number seq has the content of e.
func sameEvent(events *bbolt.Bucket, seq uint64, e core.Event) (bool, error) {
	key := seqKey(seq)
	known, err := decodeEvent(key, events.Get(key))
	if err != nil {
		return false, err
	}
	if known.Name != e.Name {
		return false, nil
	}
	return bytes.Equal(known.Arguments, e.Arguments) || bytes.Equal(compacted(known.Arguments), compacted(e.Arguments)), nil
}

// compacted drops what a publisher may write differently when it sends the same arguments again.
func compacted(arguments json.RawMessage) []byte {
	var b bytes.Buffer
	if err := json.Compact(&b, arguments); err != nil {
		return arguments
	}
	return b.Bytes()
}

// file puts the message of r, which is about event, where it belongs. A delivery has one message: one of the same or a later attempt that is there
// already stays, an earlier one is replaced.
func (w *write) file(event core.EventID, r ref, m waiting) error {
	key := r.key()
	inPlace := false
	added := w.takeAdded(r)
	old := w.open.get(key)
	if old != nil {
		known, err := decodeWaiting(key, old)
		if err != nil {
			return err
		}
		if known.attempt >= m.attempt {
			return nil
		}
		if err := w.unindex(r, known); err != nil {
			return err
		}
		w.effects.replaced = append(w.effects.replaced, r)
		w.effects.filed = slices.DeleteFunc(w.effects.filed, func(f filed) bool { return f.ref == r })
		switch {
		case known.life == elsewhere: // nothing in memory is of it
		case known.due != 0:
			w.scheduled(r, -1)
		case known.lane == m.lane && m.due == 0:
			inPlace = true
		default:
			w.effects.dropped = append(w.effects.dropped, entry{known.lane, r})
		}
	}
	m.life = w.life
	if m.due == 0 {
		if !inPlace {
			w.effects.ready = append(w.effects.ready, entry{m.lane, r})
		}
		if r.sub != 0 {
			w.effects.filed = append(w.effects.filed, filed{r, m, core.Event{ID: event}})
		} else if added != nil {
			w.effects.filed = append(w.effects.filed, filed{r, m, *added})
		}
		if old == nil {
			w.add(w.open, key, seal(key, encodeWaiting(m)))
			w.add(w.ready, r.readyKey(m.lane), []byte{})
			return nil
		}
		return errors.Join(w.put(w.open, key, encodeWaiting(m)), w.index(w.ready, r.readyKey(m.lane)))
	}
	if err := w.put(w.open, key, encodeWaiting(m)); err != nil {
		return err
	}
	w.scheduled(r, 1)
	if w.effects.earliest == 0 || m.due < w.effects.earliest {
		w.effects.earliest = m.due
	}
	return w.index(w.due, r.dueKey(m.due))
}

// takeAdded returns the event of r where it was added for it.
func (w *write) takeAdded(r ref) *core.Event {
	added := w.added
	if w.added = nil; w.knownSeq != r.seq {
		return nil
	}
	return added
}

func (w *write) unindex(r ref, m waiting) error {
	switch {
	case m.life == elsewhere:
		return nil
	case m.due != 0:
		return w.remove(w.due, r.dueKey(m.due))
	}
	return w.remove(w.ready, r.readyKey(m.lane))
}

func (w *write) scheduled(r ref, n int) {
	if w.effects.scheduled == nil {
		w.effects.scheduled = map[core.QueueName]int{}
	}
	w.effects.scheduled[r.queue()] += n
}

// consume ends the message that c claimed, unless a later one has taken its place.
func (w *write) consume(c *claim) error {
	w.effects.own = c
	key := c.ref.key()
	w.knownID, w.knownSeq, w.added = c.event, c.ref.seq, nil
	value := w.open.get(key)
	if value == nil {
		return nil
	}
	m, err := decodeWaiting(key, value)
	if err != nil {
		return err
	}
	if m.attempt != c.attempt {
		w.effects.returned = m.due == 0 && m.lane == c.lane.name
		return nil
	}
	if err := w.unindex(c.ref, m); err != nil {
		return err
	}
	return w.remove(w.open, key)
}

// publish files a message that comes from outside: an event that is known already is a repeat, and dropped. The one exception is an
// event that died before its first attempt: a replay of it is numbered 1, too.
func (w *write) publish(o prepared) error {
	if repeated, err := w.isRepeat(o); repeated || err != nil {
		return err
	}
	if err := w.replay(o.message); err != nil {
		return err
	}
	return w.follow(o)
}

// isRepeat reports whether o is the first publish of an event that is known already, and no replay.
func (w *write) isRepeat(o prepared) (bool, error) {
	if o.record.b == nil || o.message.Attempt > 1 {
		return false, nil
	}
	seq, err := w.seqOf(o.message.Event)
	if err != nil || seq == 0 {
		return false, err
	}
	key := []byte(o.message.Event)
	value := w.dead.get(key)
	if value == nil {
		return true, nil
	}
	l, err := decodeDeadLetter(key, value)
	return l.Last > 0, err
}

// replay takes away the dead letter that m brings back to work; one of a later attempt stays.
func (w *write) replay(m core.Message) error {
	id := string(m.Event)
	if m.Subscriber != 0 {
		id = string(core.DeliveryIDOf(m.Event, m.Subscriber))
	}
	key := []byte(id)
	value := w.dead.get(key)
	if value == nil {
		return nil
	}
	if l, err := decodeDeadLetter(key, value); err != nil || l.Last >= max(1, m.Attempt) {
		return err
	}
	return w.resurrect(id)
}

// follow files a message that takes the place of another.
func (w *write) follow(o prepared) error {
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
	return w.file(o.message.Event, r, o.waiting)
}

// admissible refuses what outgoing could not write, before anything of a request is written.
func (w *write) admissible(batch []prepared) error {
	var added map[core.EventID]core.Event
	for _, o := range batch {
		seq, err := w.seqOf(o.message.Event)
		if err != nil {
			return err
		}
		content := o.message.Content
		earlier, inBatch := added[o.message.Event]
		switch {
		case content == nil && seq == 0 && !inBatch:
			return unknownEvent(o.message.Event)
		case content == nil || o.message.Attempt > 1:
			continue
		case inBatch:
			if earlier.Name != content.Name || !bytes.Equal(compacted(earlier.Arguments), compacted(content.Arguments)) {
				return conflict(content.ID)
			}
		case seq != 0:
			same, err := sameEvent(w.events.bucket, seq, *content)
			if err != nil {
				return err
			}
			if !same {
				return conflict(content.ID)
			}
		case len(batch) > 1:
			if added == nil {
				added = make(map[core.EventID]core.Event, len(batch))
			}
			added[content.ID] = *content
		}
	}
	return nil
}

func unknownEvent(id core.EventID) error {
	return fmt.Errorf("event %s is not known here: %w", id, core.ErrNotFound)
}

func conflict(id core.EventID) error {
	return fmt.Errorf("event %s was published before with another name or other arguments: choose another id: %w", id, core.ErrConflict)
}
