package bolt

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/postrider/postrider/core"
)

// dead is what a daemon left that died: a file, its journal, and what was accepted, in the order of the journal's frames from the second on. The first of
// all was written with the file.
type dead struct {
	path     string
	accepted []core.Event
}

func newDead(t *testing.T, h hooks) dead {
	t.Helper()
	d := dead{path: filepath.Join(t.TempDir(), "postrider.db")}
	armed := false
	h.afterCommit = func() error {
		if armed {
			return errors.New("died by the test")
		}
		return nil
	}
	db := opened(t, Config{Path: d.path, hooks: h})
	maker := newEventMaker()
	for range 20 {
		armed = len(d.accepted) == 19 // the last one is durable, and nobody was told
		e := maker.event("order.created")
		err := db.Publish(t.Context(), core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)})
		if armed != errors.Is(err, core.ErrUnavailable) {
			t.Fatalf("publish: %v", err)
		}
		d.accepted = append(d.accepted, e)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return d
}

// wantAll checks that the first n events are there, and no others, and that the queue hands them over.
func (d dead) wantAll(t *testing.T, n int) {
	t.Helper()
	db := opened(t, Config{Path: d.path})
	for i, e := range d.accepted {
		if _, err := db.Event(t.Context(), e.ID); (i < n) != (err == nil) {
			t.Errorf("event %d of %d: %v", i+1, n, err)
		}
	}
	consumeAll(t, db, n, nil)
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if err := inspected(t, d.path); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(journalPath(d.path)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the journal of a file that has everything: %v", err)
	}
}

// change lets alter change the bytes of the journal.
func (d dead) change(t *testing.T, alter func(b []byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(journalPath(d.path))
	if err == nil {
		err = os.WriteFile(journalPath(d.path), alter(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatAJournalHasIsThereAfterTheNextStart(t *testing.T) {
	newDead(t, hooks{}).wantAll(t, 20)
}

func TestAnInspectionSeesWhatTheJournalHas(t *testing.T) {
	d := newDead(t, hooks{})
	i, err := Inspect(d.path)
	if err != nil {
		t.Fatal(err)
	}
	stats, err := i.Stats(t.Context())
	if err := errors.Join(err, i.Check(t.Context()), i.Close()); err != nil {
		t.Fatal(err)
	}
	if stats.Events != 20 || stats.Open != 20 {
		t.Errorf("got %+v, want 20 events", stats)
	}
	d.wantAll(t, 20)
}

func TestAFrameThatWasCutOffWasNeverAcknowledged(t *testing.T) {
	for name, alter := range map[string]func(b []byte) []byte{
		"in its changes": func(b []byte) []byte { return b[:len(b)-100] },
		"in its header":  func(b []byte) []byte { return b[:(len(b)-1)/blockSize*blockSize+frameHeader/2] },
		"not written":    func(b []byte) []byte { clear(b[len(b)-100:]); return b },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDead(t, hooks{})
			d.change(t, alter)
			d.wantAll(t, 19)
		})
	}
}

func TestADamagedJournalIsRefused(t *testing.T) {
	for name, at := range map[string]int64{"in its header": 3 * blockSize, "in its changes": 3*blockSize + 100} {
		t.Run(name, func(t *testing.T) {
			d := newDead(t, hooks{})
			d.change(t, func(b []byte) []byte { b[at] ^= 1; return b })
			_, err := Open(Config{Path: d.path})
			if !errors.Is(err, core.ErrDamaged) {
				t.Errorf("got %v, want ErrDamaged", err)
			}
			wantError(t, err, journalPath(d.path), "frame 3", "postrider db restore")
			d.change(t, func(b []byte) []byte { b[at] ^= 1; return b }) // nothing was changed meanwhile
			d.wantAll(t, 20)
		})
	}
}

func TestAMissingJournalIsRefused(t *testing.T) {
	d := newDead(t, hooks{})
	aside := journalPath(d.path) + ".aside"
	if err := os.Rename(journalPath(d.path), aside); err != nil {
		t.Fatal(err)
	}
	_, err := Open(Config{Path: d.path})
	wantError(t, err, journalPath(d.path), "is missing", "put it back", "postrider db restore")
	if err := os.Rename(aside, journalPath(d.path)); err != nil {
		t.Fatal(err)
	}
	d.wantAll(t, 20)
}

func TestACrashInTheMiddleOfACheckpointLosesNothing(t *testing.T) {
	for _, point := range []string{"before the file is written", "before the journal begins anew"} {
		t.Run(point, func(t *testing.T) {
			d := dead{path: filepath.Join(t.TempDir(), "postrider.db")}
			var armed atomic.Bool // the committer writes the file when it likes
			crash := func(here string) func() error {
				return func() error {
					if armed.Load() && here == point {
						return errors.New("died by the test")
					}
					return nil
				}
			}
			db := opened(t, Config{Path: d.path, hooks: hooks{
				beforeCheckpoint: crash("before the file is written"), afterCheckpoint: crash("before the journal begins anew"),
			}})
			maker := newEventMaker()
			for range 20 {
				e := maker.event("order.created")
				if err := db.Publish(t.Context(), core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)}); err != nil {
					t.Fatal(err)
				}
				d.accepted = append(d.accepted, e)
			}
			armed.Store(true)
			if err := db.committer.do(&request{settle: true}); !errors.Is(err, core.ErrUnavailable) {
				t.Errorf("got %v, want ErrUnavailable", err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			d.wantAll(t, 20)
		})
	}
}

func TestNoNumberIsGivenAgainThatIsInTheJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postrider.db")
	db := opened(t, Config{Path: path})
	create := func() core.SubscriberID {
		s, err := db.CreateSubscriber(t.Context(), core.Subscriber{Event: "order.created", URL: "https://example.com", Enabled: true})
		if err != nil {
			t.Fatal(err)
		}
		return s.ID
	}
	create() // with the file
	last := create()
	if err := db.DeleteSubscriber(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	db.committer.fail(errors.New("died by the test"), nil)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = opened(t, Config{Path: path})
	if next := create(); next != last+1 {
		t.Errorf("got subscriber %d, want %d", next, last+1)
	}
}

func TestARestoreKeepsTheJournalOfWhatWasThere(t *testing.T) {
	d := newDead(t, hooks{})
	kept, err := Restore(t.Context(), filled(t), d.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := inspected(t, d.path); err != nil {
		t.Errorf("the restored file: %v", err)
	}
	d.path = kept
	d.wantAll(t, 20)
}

// A list of changes comes from a frame whose checksum is right; whatever it says, it is refused, or done.
func FuzzRedo(f *testing.F) {
	var c changes
	c.reset()
	c.put(0, seqKey(7), []byte("record"))
	c.remove(4, ref{7, 1}.key())
	c.put(5, ref{7, 0}.readyKey("order.created"), nil)
	f.Add(c.b[frameHeader:])
	f.Add([]byte{0, 3, 1, 2, 3, 0})
	f.Add([]byte{0x7f, 0})
	path := filepath.Join(f.TempDir(), "postrider.db")
	if err := createFile(path); err != nil {
		f.Fatal(err)
	}
	file, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { file.Close() })
	f.Fuzz(func(t *testing.T, list []byte) {
		tx, err := file.Begin(true)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback() //nolint:errcheck // nothing is kept
		if err := redo(tx, list); err == nil && len(list) > 0 && int(list[0]&^removal) >= len(journaled) {
			t.Error("a change of no bucket was done")
		}
	})
}

// A journal may hold anything behind a crash, or after a disk went bad: what is replayed of it is whole frames, in order.
func FuzzReplayJournal(f *testing.F) {
	const name = 11
	frame := func(index uint64, list string) []byte {
		b := binary.BigEndian.AppendUint64(nil, name)
		b = binary.BigEndian.AppendUint64(b, index)
		b = binary.BigEndian.AppendUint32(b, uint32(len(list)))
		b = binary.BigEndian.AppendUint32(b, crc32.Checksum([]byte(list), castagnoli))
		b = append(binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)), list...)
		return append(b, make([]byte, blocks(int64(len(b)))-int64(len(b)))...)
	}
	f.Add(append(frame(0, "one"), frame(1, "two")...))
	f.Add(append(frame(0, "one"), frame(2, "three")...))
	f.Add(frame(0, "one")[:frameHeader+1])
	path := filepath.Join(f.TempDir(), "journal")
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := openJournal(path, name)
		if err != nil {
			t.Fatal(err)
		}
		defer j.close()
		frames, size := uint64(0), int64(0)
		err = j.replay(func(list []byte) error {
			frames++
			size += blocks(int64(frameHeader + len(list)))
			return nil
		})
		if err != nil && !errors.Is(err, core.ErrDamaged) {
			t.Fatal(err)
		}
		if j.frames != frames || j.end != size || size > blocks(int64(len(content))) {
			t.Errorf("%d frames up to %d of %d bytes, visited %d up to %d", j.frames, j.end, len(content), frames, size)
		}
	})
}

// A journal that begins anew writes over its frames: what is left of the old ones fits behind the new ones by place and index, and must not be taken for them.
func TestFramesFromBeforeACheckpointAreNotReplayed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, err := createJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, lists := range [][]string{{"a", "b", "c"}, {"d"}} {
		j.restart(uint64(name + 1))
		for _, list := range lists {
			if err := j.append(append(make([]byte, frameHeader), list...)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	if j, err = openJournal(path, 2); err != nil {
		t.Fatal(err)
	}
	defer j.close()
	var got []string
	if err := j.replay(func(list []byte) error { got = append(got, string(list)); return nil }); err != nil || len(got) != 1 || got[0] != "d" {
		t.Errorf("got %q, %v, want one frame", got, err)
	}
}

func TestAJournalWithoutItsFileIsNotThrownAway(t *testing.T) {
	d := newDead(t, hooks{})
	aside := d.path + ".aside"
	if err := os.Rename(d.path, aside); err != nil {
		t.Fatal(err)
	}
	_, err := Open(Config{Path: d.path})
	wantError(t, err, journalPath(d.path), "is there without", "put it back")
	if err := os.Rename(aside, d.path); err != nil {
		t.Fatal(err)
	}
	d.wantAll(t, 20)
}

// The page that names a journal may be on the disk although its sync failed.
func TestAFileWhoseFirstWriteFailsToSyncOpensAgain(t *testing.T) {
	d := newDead(t, hooks{})
	if err := inspected(t, d.path); err != nil {
		t.Fatal(err)
	}
	db := opened(t, Config{Path: d.path, hooks: hooks{afterCheckpoint: func() error { return errors.New("fdatasync: input/output error") }}})
	e := newEventMaker().event("order.created")
	err := db.Publish(t.Context(), core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)})
	if !errors.Is(err, core.ErrUnavailable) {
		t.Errorf("publish: got %v, want ErrUnavailable", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	d.accepted = append(d.accepted, e)
	d.wantAll(t, 21)
}

func TestWhatAFailedWriteLeftOpenIsNotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postrider.db")
	var fails atomic.Bool
	db := opened(t, Config{Path: path, hooks: hooks{beforeCommit: func() error {
		if fails.Load() {
			return errors.New("fdatasync: input/output error")
		}
		return nil
	}}})
	maker := newEventMaker()
	publishAll(t, db, maker, 1) // into the file
	publishAll(t, db, maker, 1) // into the journal
	fails.Store(true)
	e := maker.event("order.created")
	err := db.Publish(t.Context(), core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)})
	wantError(t, err, path, "input/output error", "started again")
	if _, err := db.Event(t.Context(), e.ID); !errors.Is(err, core.ErrUnavailable) {
		t.Errorf("read what was not written: got %v, want ErrUnavailable", err)
	}
	if _, _, err := db.Deliveries(t.Context(), core.DeliveryFilter{}); !errors.Is(err, core.ErrUnavailable) {
		t.Errorf("list after a failure: got %v, want ErrUnavailable", err)
	}
}

// Whoever reads has what is young written into the trees first, and may meet a damaged page there.
func TestWhatAReaderLeftHalfDoneIsNeitherReadNorWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postrider.db")
	if err := createFile(path); err != nil {
		t.Fatal(err)
	}
	file, err := openLocked(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	trees := &trees{file: file, life: 1, long: checkpointSize}
	put := func(number uint64) error {
		return trees.change(func(w *write) bool { return w.index(w.due, ref{number, 1}.dueKey(1)) == nil })
	}
	for number := range uint64(2) { // one into the file, one into the journal
		if err := put(number + 1); err != nil {
			t.Fatal(err)
		}
	}
	trees.open.ready = tree{young: map[string][]byte{"a": {}}} // without a bucket: it panics as bbolt does on a damaged page
	look := func() error {
		return readable(func() error {
			return trees.look(func(*bbolt.Tx) error { t.Error("it is read"); return nil })
		})
	}
	if err := look(); !errors.Is(err, core.ErrDamaged) {
		t.Errorf("the reader: got %v, want ErrDamaged", err)
	}
	if err := look(); !errors.Is(err, core.ErrUnavailable) {
		t.Errorf("the next reader: got %v, want ErrUnavailable", err)
	}
	if err := put(3); !errors.Is(err, core.ErrUnavailable) {
		t.Errorf("a write: got %v, want ErrUnavailable", err)
	}
	if err := trees.checkpoint(); !errors.Is(err, core.ErrUnavailable) {
		t.Errorf("a checkpoint: got %v, want ErrUnavailable", err)
	}
	if err := trees.close(); err != nil {
		t.Fatal(err)
	}
	if file, err = openFile(path, 0); err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	err = file.View(func(tx *bbolt.Tx) error {
		if n := tx.Bucket(bucketDue).Stats().KeyN; n != 2 {
			t.Errorf("after the next start there are %d of 2", n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAFirstWriteThatFindsNoSpaceIsMadeUpFor(t *testing.T) {
	d := dead{path: filepath.Join(t.TempDir(), "postrider.db")}
	var isFull atomic.Bool
	isFull.Store(true)
	db := opened(t, Config{Path: d.path, hooks: hooks{beforeCheckpoint: func() error {
		if isFull.Load() {
			return &fs.PathError{Op: "write", Path: d.path, Err: syscall.ENOSPC}
		}
		return nil
	}}})
	maker := newEventMaker()
	publish := func() error {
		e := maker.event("order.created")
		err := db.Publish(t.Context(), core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)})
		if err == nil {
			d.accepted = append(d.accepted, e)
		}
		return err
	}
	if err := publish(); !errors.Is(err, core.ErrNoSpace) {
		t.Errorf("publish to a full disk: got %v, want ErrNoSpace", err)
	}
	isFull.Store(false)
	for len(d.accepted) < 5 { // what the start asked for may be tried again meanwhile, and this be refused with it
		db.space.measure()
		if err := publish(); err != nil && !errors.Is(err, core.ErrNoSpace) {
			t.Fatal(err)
		}
	}
	db.committer.fail(errors.New("died by the test"), nil)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	d.wantAll(t, 5)
}
