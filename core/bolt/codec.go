package bolt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/postrider/postrider/core"
)

// A record is a version byte, its fields, and the CRC32C of both and of the key it lies under: a page that turns up in the wrong
// place is found out too. Fields are varints (encoding/binary) and byte strings after their length. Times are milliseconds since 1970,
// those of attempts microseconds; 0 is the zero time.
//
// The last field of some kinds is only there where it has something to say. Any other new field comes with a new version; the decoder of a kind reads
// all versions that ever were.

// errDamaged is the [core.ErrDamaged] of a file, which says what to do.
var errDamaged error = damage("the file is damaged: stop the daemon, see what `postrider db check` finds, and bring back a backup by `postrider db restore`")

type damage string

func (d damage) Error() string        { return string(d) }
func (d damage) Is(target error) bool { return target == core.ErrDamaged }

const (
	recordVersion = 1
	crcLength     = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal makes the value that is stored under key of what an encoder wrote. The checksum goes into spare room of the encoder where there is any:
// the last of several seals of one encoder counts, as does the last run of a transaction.
func seal(key []byte, e encoder) []byte {
	crc := crc32.Update(crc32.Checksum(e.b, castagnoli), castagnoli, key)
	return binary.LittleEndian.AppendUint32(e.b, crc)
}

// unseal checks a stored value and returns a decoder of its fields.
func unseal(bucket, key, value []byte) (decoder, error) {
	if len(value) < 1+crcLength {
		return decoder{}, damaged(bucket, key, "the record is cut off")
	}
	body, crc := value[:len(value)-crcLength], binary.LittleEndian.Uint32(value[len(value)-crcLength:])
	if crc32.Update(crc32.Checksum(body, castagnoli), castagnoli, key) != crc {
		return decoder{}, damaged(bucket, key, "the checksum does not match")
	}
	if body[0] != recordVersion {
		return decoder{}, damaged(bucket, key, fmt.Sprintf("a record of version %d, this Postrider reads version %d", body[0], recordVersion))
	}
	return decoder{b: body[1:]}, nil
}

func damaged(bucket, key []byte, what string) error {
	return fmt.Errorf("record %x of bucket %q: %s: %w", key, bucket, what, errDamaged)
}

// encoder writes fields.
type encoder struct{ b []byte }

// newEncoder starts a record that will take about size bytes.
func newEncoder(size int) encoder {
	e := encoder{b: make([]byte, 0, size+crcLength+1)}
	e.b = append(e.b, recordVersion)
	return e
}

func (e *encoder) uint(v uint64)   { e.b = binary.AppendUvarint(e.b, v) }
func (e *encoder) int(v int64)     { e.b = binary.AppendVarint(e.b, v) }
func (e *encoder) bytes(v []byte)  { e.uint(uint64(len(v))); e.b = append(e.b, v...) }
func (e *encoder) string(v string) { e.uint(uint64(len(v))); e.b = append(e.b, v...) }

func (e *encoder) milli(t time.Time) {
	if t.IsZero() {
		e.int(0)
		return
	}
	e.int(t.UnixMilli())
}

func (e *encoder) micro(t time.Time) {
	if t.IsZero() {
		e.int(0)
		return
	}
	e.int(t.UnixMicro())
}

// decoder reads fields. After the first field that isn't there, short is set, and all others are zero.
type decoder struct {
	b     []byte
	short bool
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.b, d.short = nil, true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.b, d.short = nil, true
		return 0
	}
	d.b = d.b[n:]
	return v
}

// view returns a byte string that lives as long as the transaction.
func (d *decoder) view() []byte {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.b, d.short = nil, true
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) string() string { return string(d.view()) }
func (d *decoder) bytes() []byte  { return append([]byte{}, d.view()...) }

func (d *decoder) milli() time.Time {
	if v := d.int(); v != 0 {
		return time.UnixMilli(v).UTC()
	}
	return time.Time{}
}

func (d *decoder) micro() time.Time {
	if v := d.int(); v != 0 {
		return time.UnixMicro(v).UTC()
	}
	return time.Time{}
}

// end returns an error when fields were missing or are left over.
func (d *decoder) end(bucket, key []byte) error {
	if d.short || len(d.b) > 0 {
		return damaged(bucket, key, "its fields do not end where the record ends")
	}
	return nil
}

// encodeEvent returns the record of e, and e as it will be read from there. Its arguments are those in the record, so that nothing else is kept alive.
func encodeEvent(e core.Event) (encoder, *core.Event) {
	r := newEncoder(len(e.ID) + len(e.Name) + len(e.Arguments) + len(e.Trace) + 16)
	r.milli(e.Accepted)
	r.string(string(e.ID))
	r.string(e.Name)
	r.bytes(e.Arguments)
	arguments := r.b[len(r.b)-len(e.Arguments) : len(r.b) : len(r.b)]
	if e.Trace != "" {
		r.string(string(e.Trace))
	}
	if !e.Accepted.IsZero() {
		e.Accepted = e.Accepted.Truncate(time.Millisecond).UTC()
	}
	e.Arguments = arguments
	return r, &e
}

func decodeEvent(key, value []byte) (core.Event, error) {
	d, err := unseal(bucketEvents, key, value)
	if err != nil {
		return core.Event{}, err
	}
	e := core.Event{Accepted: d.milli(), ID: core.EventID(d.string()), Name: d.string(), Arguments: d.bytes()}
	if len(d.b) > 0 {
		e.Trace = core.Trace(d.string())
	}
	return e, d.end(bucketEvents, key)
}

// waiting is the stored form of a message: what the keys don't say already.
type waiting struct {
	attempt, first int
	since          time.Time
	due            int64  // milliseconds; 0: ready
	life           uint64 // the process life that filed it; elsewhere: another queue has it
	lane           string
	delay          int64 // milliseconds that it was to wait, where its handler asked for the same attempt again; 0: what the attempt before says
}

func encodeWaiting(w waiting) encoder {
	r := newEncoder(len(w.lane) + 24)
	r.uint(uint64(w.attempt))
	r.uint(uint64(w.first))
	r.milli(w.since)
	r.int(w.due)
	r.uint(w.life)
	r.string(w.lane)
	if w.delay > 0 {
		r.int(w.delay)
	}
	return r
}

func decodeWaiting(key, value []byte) (waiting, error) {
	d, err := unseal(bucketOpen, key, value)
	if err != nil {
		return waiting{}, err
	}
	w := waiting{attempt: int(d.uint()), first: int(d.uint()), since: d.milli(), due: d.int(), life: d.uint(), lane: d.string()}
	if len(d.b) > 0 {
		w.delay = d.int()
	}
	return w, d.end(bucketOpen, key)
}

func encodeAttempt(a core.Attempt) encoder {
	r := newEncoder(len(a.Reason) + len(a.Excerpt) + 48)
	r.uint(uint64(a.First))
	r.milli(a.Since)
	r.micro(a.Started)
	r.int(a.Duration.Microseconds())
	r.uint(uint64(a.Outcome))
	r.int(int64(a.Code))
	r.string(a.Reason)
	r.string(a.Excerpt)
	r.milli(a.Due)
	return r
}

func decodeAttempt(event core.EventID, key, value []byte) (core.Attempt, error) {
	d, err := unseal(bucketAttempts, key, value)
	if err != nil {
		return core.Attempt{}, err
	}
	r, number := attemptOf(key)
	a := core.Attempt{
		Event: event, Subscriber: r.sub, Number: number,
		First: int(d.uint()), Since: d.milli(), Started: d.micro(), Duration: time.Duration(d.int()) * time.Microsecond,
		Outcome: core.Outcome(d.uint()), Code: int(d.int()), Reason: d.string(), Excerpt: d.string(), Due: d.milli(),
	}
	return a, d.end(bucketAttempts, key)
}

func encodeDeadLetter(l core.DeadLetter) encoder {
	r := newEncoder(len(l.Event) + len(l.EventName) + len(l.Reason) + len(l.Original) + 56)
	r.string(string(l.Kind))
	r.string(string(l.Event))
	r.string(l.EventName)
	r.uint(uint64(l.Subscriber))
	r.string(l.Reason)
	r.milli(l.Died)
	r.uint(uint64(l.Last))
	if l.Original != nil {
		r.bytes(l.Original)
	}
	return r
}

func decodeDeadLetter(key, value []byte) (core.DeadLetter, error) {
	d, err := unseal(bucketDead, key, value)
	if err != nil {
		return core.DeadLetter{}, err
	}
	l := core.DeadLetter{
		ID: string(key), Kind: core.DeadLetterKind(d.string()), Event: core.EventID(d.string()), EventName: d.string(),
		Subscriber: core.SubscriberID(d.uint()), Reason: d.string(), Died: d.milli(), Last: int(d.uint()),
	}
	if len(d.b) > 0 {
		l.Original = d.bytes()
	}
	return l, d.end(bucketDead, key)
}

// encodeNumber and encodeBytes make the records that hold one thing.
func encodeNumber(n uint64) encoder {
	r := newEncoder(10)
	r.uint(n)
	return r
}

func decodeNumber(bucket, key, value []byte) (uint64, error) {
	d, err := unseal(bucket, key, value)
	if err != nil {
		return 0, err
	}
	n := d.uint()
	return n, d.end(bucket, key)
}

func encodeBytes(b []byte) encoder {
	r := newEncoder(len(b) + 10)
	r.bytes(b)
	return r
}

func decodeBytes(bucket, key, value []byte) ([]byte, error) {
	d, err := unseal(bucket, key, value)
	if err != nil {
		return nil, err
	}
	b := d.bytes()
	return b, d.end(bucket, key)
}
