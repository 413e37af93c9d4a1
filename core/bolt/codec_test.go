package bolt

import (
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/core"
)

// goldenRecords are one record of each kind, as the file holds them.
func goldenRecords() map[string][]byte {
	at := time.Date(2026, 5, 4, 3, 2, 1, 987_000_000, time.UTC)
	event := core.Event{ID: "evt_1", Name: "order.created", Arguments: []byte(`{"id":1}`), Accepted: at}
	traced := event
	traced.Trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	attempt := core.Attempt{
		Event: "evt_1", Subscriber: 2, Number: 3, First: 1, Since: at, Started: at.Add(time.Second), Duration: 1500 * time.Microsecond,
		Outcome: core.Retry, Code: 503, Reason: "busy", Excerpt: "later", Due: at.Add(time.Minute),
	}
	letter := core.DeadLetter{ID: "dlv_1", Kind: core.DeadDelivery, Event: "evt_1", EventName: "order.created", Subscriber: 2, Reason: "busy", Died: at, Last: 3}
	subscriber, err := encodeSubscriber(core.Subscriber{ID: 2, Event: "order.created", URL: "https://example.com", Token: "t", Notifier: "default", Enabled: true, Created: at, Modified: at})
	if err != nil {
		panic(err)
	}
	r := ref{1, 2}
	return map[string][]byte{
		"event":   seal(seqKey(1), recordOf(event)),
		"traced":  seal(seqKey(1), recordOf(traced)),
		"attempt": seal(r.attemptKey(3), encodeAttempt(attempt)),
		"open":    seal(r.key(), encodeWaiting(waiting{attempt: 4, first: 1, since: at, due: at.UnixMilli(), life: 5, lane: "2"})),
		"open, refiled": seal(r.key(), encodeWaiting(waiting{
			attempt: 4, first: 1, since: at, due: at.UnixMilli(), life: 5, lane: "2", delay: time.Hour.Milliseconds(),
		})),
		"dead letter": seal([]byte("dlv_1"), encodeDeadLetter(letter)),
		"number":      seal([]byte("evt_1"), encodeNumber(300)),
		"payload":     seal(seqKey(1), encodeBytes([]byte("payload"))),
		"subscriber":  seal(subscriberKey(2), subscriber),
		"ready key":   r.readyKey("2"),
		"due key":     r.dueKey(at.UnixMilli()),
	}
}

// A file that was written yesterday is read tomorrow: what these records look like never changes. To add a kind, run the test with
// POSTRIDER_GOLDEN=1, and see that the diff has new lines only.
func TestRecordsLookAsTheyAlwaysDid(t *testing.T) {
	const file = "testdata/records.golden"
	var lines []string
	for _, kind := range []string{
		"event", "traced", "attempt", "open", "open, refiled", "dead letter", "number", "payload", "subscriber", "ready key", "due key",
	} {
		lines = append(lines, kind+": "+hex.EncodeToString(goldenRecords()[kind]))
	}
	got := strings.Join(lines, "\n") + "\n"
	if os.Getenv("POSTRIDER_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestEveryFlippedBitOfARecordIsFound(t *testing.T) {
	records := goldenRecords()
	key, value := ref{1, 2}.attemptKey(3), records["attempt"]
	for i := range 8 * len(value) {
		b := append([]byte(nil), value...)
		b[i/8] ^= 1 << (i % 8)
		if _, err := decodeAttempt("evt_1", key, b); !errors.Is(err, core.ErrDamaged) {
			t.Fatalf("bit %d: got %v, want ErrDamaged", i, err)
		}
	}
	for i := range value {
		if _, err := decodeAttempt("evt_1", key, value[:i]); !errors.Is(err, core.ErrDamaged) {
			t.Fatalf("cut to %d bytes: got %v, want ErrDamaged", i, err)
		}
	}
	if _, err := decodeAttempt("evt_1", ref{1, 2}.attemptKey(4), value); !errors.Is(err, core.ErrDamaged) {
		t.Errorf("under another key: got %v, want ErrDamaged", err)
	}
}

func FuzzRecordsNeverPanic(f *testing.F) {
	for _, value := range goldenRecords() {
		f.Add(value)
	}
	f.Fuzz(func(_ *testing.T, value []byte) {
		// The checksum is made right, so that the fields behind it are read.
		key := ref{1, 2}.attemptKey(3)
		value = seal(key, encoder{b: append([]byte{recordVersion}, value...)})
		decodeEvent(key, value)                 //nolint:errcheck // it must return, that is all
		decodeWaiting(key, value)               //nolint:errcheck
		decodeAttempt("evt_1", key, value)      //nolint:errcheck
		decodeDeadLetter(key, value)            //nolint:errcheck
		decodeSubscriber(key, value)            //nolint:errcheck
		decodeNumber(bucketIDs, key, value)     //nolint:errcheck
		decodeBytes(bucketPayloads, key, value) //nolint:errcheck
	})
}

func recordOf(e core.Event) encoder {
	record, _ := encodeEvent(e)
	return record
}
