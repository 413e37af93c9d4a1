package bolt

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/core"
)

func TestTheReserveRefusesWhatIsNewAndLetsTheRestGoOn(t *testing.T) {
	var free atomic.Int64
	free.Store(1 << 40)
	db := opened(t, Config{
		Path: filepath.Join(t.TempDir(), "postrider.db"), Reserve: 100 << 20,
		freeSpace: func(string) (int64, error) { return free.Load(), nil },
	})
	maker := newEventMaker()
	publishAll(t, db, maker, 10)
	free.Store(50 << 20)
	db.space.checked.Store(0)
	err := db.Publish(t.Context(), core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(maker.event("order.created"))})
	if !errors.Is(err, core.ErrNoSpace) {
		t.Errorf("publish below the reserve: got %v, want ErrNoSpace", err)
	}
	wantError(t, err, "50 MiB are left", "reserve of 100 MiB")
	consumeAll(t, db, 10, nil)
	free.Store(1 << 40)
	db.space.checked.Store(0)
	publishAll(t, db, maker, 1)
}

func TestAFileAtItsMaxSizeAcceptsNothingMoreAndHandsOverWhatItHas(t *testing.T) {
	db := opened(t, Config{Path: filepath.Join(t.TempDir(), "postrider.db"), MaxSize: 40 << 20, Reserve: 4 << 20})
	maker := newEventMaker()
	accepted := 0
	var err error
	for err == nil && accepted < 100_000 {
		var out []core.Outgoing
		for range 100 {
			out = append(out, core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(maker.event("order.created"))})
		}
		if err = db.Publish(t.Context(), out...); err == nil {
			accepted += 100
		}
	}
	if !errors.Is(err, core.ErrNoSpace) || accepted == 0 {
		t.Fatalf("after %d events: got %v, want ErrNoSpace", accepted, err)
	}
	consumeAll(t, db, accepted, nil)
	wantSound(t, db)
	if info, err := os.Stat(db.config.Path); err != nil || info.Size() > 40<<20 {
		t.Errorf("size of the file: %d, %v", info.Size(), err)
	}
}

// swap makes every write to path, which this process has open once, go to another device, and returns what takes that back. It is the fault that bbolt has no
// hook for: /dev/null takes them and refuses fsync.
func swap(t *testing.T, path, device string) (undo func()) {
	t.Helper()
	var fd int
	links, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc/self/fd here")
	}
	for _, link := range links {
		if target, err := os.Readlink("/proc/self/fd/" + link.Name()); err == nil && target == path {
			for _, digit := range link.Name() {
				fd = fd*10 + int(digit-'0')
			}
		}
	}
	replace := func(with int) {
		if err := syscall.Dup3(with, fd, syscall.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := syscall.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	fault, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer fault.Close()
	replace(int(fault.Fd()))
	return func() {
		replace(kept)
		syscall.Close(kept) //nolint:errcheck // a descriptor of the test
	}
}

func TestADiskThatFillsUpLosesNothing(t *testing.T) {
	var isFull atomic.Bool
	noSpace := func() error {
		if isFull.Load() {
			return &fs.PathError{Op: "write", Path: "postrider.db", Err: syscall.ENOSPC}
		}
		return nil
	}
	db := opened(t, Config{Path: filepath.Join(t.TempDir(), "postrider.db"), checkpoint: 64 << 10, hooks: hooks{beforeCheckpoint: noSpace}})
	maker := newEventMaker()
	n := 1500
	publishAll(t, db, maker, n)
	goOn, full := make(chan struct{}), make(chan struct{})
	handled := make(chan core.EventID, n)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- db.Consume(ctx, core.EventQueue, 1, func(_ context.Context, m core.Message) (core.Result, error) {
			select {
			case <-full:
			default:
				close(full)
				<-goOn
			}
			handled <- m.Event
			return delivered(m), nil
		})
	}()
	<-full
	isFull.Store(true)
	// What is new goes into the journal until that is as long as it may get.
	var err error
	for accepted := 0; err == nil && accepted < 2*patience; accepted++ {
		e := maker.event("order.created")
		e.Arguments = json.RawMessage(`{"text":"` + strings.Repeat("x", 64<<10) + `"}`)
		db.space.measure() // which takes this disk for one with room
		if err = db.Publish(t.Context(), core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)}); err == nil {
			n++
		}
	}
	if !errors.Is(err, core.ErrNoSpace) {
		t.Errorf("publish to a full disk: got %v, want ErrNoSpace", err)
	}
	close(goOn)
	first := <-handled
	// Its hand-over waits for space; so it is still open, and no attempt is logged.
	if _, err := db.Attempt(t.Context(), first, 1, 1); !errors.Is(err, core.ErrNotFound) {
		t.Errorf("attempt on a full disk: got %v, want ErrNotFound", err)
	}
	isFull.Store(false)
	seen := map[core.EventID]bool{first: true}
	for len(seen) < n {
		select {
		case id := <-handled:
			if seen[id] {
				t.Errorf("event %s was handed over twice", id)
			}
			seen[id] = true
		case err := <-done:
			t.Fatalf("Consume ended after %d events: %v", len(seen), err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	db.space.measure() // as the first publish after a while would
	publishAll(t, db, maker, 5)
	wantSound(t, db)
}

// What the journal has no room for is as if it had not been asked for: what was written before it, and what comes after, is there.
func TestAJournalThatFindsNoSpaceLosesNothing(t *testing.T) {
	var isFull atomic.Bool
	noSpace := func() error {
		if isFull.Load() {
			return &fs.PathError{Op: "write", Path: "postrider.db.journal", Err: syscall.ENOSPC}
		}
		return nil
	}
	db := opened(t, Config{Path: filepath.Join(t.TempDir(), "postrider.db"), hooks: hooks{beforeCommit: noSpace}})
	maker := newEventMaker()
	publishAll(t, db, maker, 1500)
	isFull.Store(true)
	refused := maker.event("order.created")
	err := db.Publish(t.Context(), core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(refused)})
	if !errors.Is(err, core.ErrNoSpace) {
		t.Errorf("publish to a full disk: got %v, want ErrNoSpace", err)
	}
	if _, err := db.Event(t.Context(), refused.ID); !errors.Is(err, core.ErrNotFound) {
		t.Errorf("the event that was refused: got %v, want ErrNotFound", err)
	}
	isFull.Store(false)
	db.space.measure()
	publishAll(t, db, maker, 5)
	consumeAll(t, db, 1505, nil)
	wantSound(t, db)
}

func TestAFailedFsyncEndsTheDB(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postrider.db")
	db := opened(t, Config{Path: path})
	maker := newEventMaker()
	publishAll(t, db, maker, 1500)
	undo := swap(t, journalPath(path), "/dev/null")
	e := maker.event("order.created")
	message := core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)}
	if err := db.Publish(t.Context(), message); !errors.Is(err, core.ErrUnavailable) {
		t.Errorf("publish with a failing fsync: got %v, want ErrUnavailable", err)
	}
	undo()
	select {
	case err := <-db.Failed():
		wantError(t, err, path, "started again")
	case <-time.After(10 * time.Second):
		t.Error("Failed says nothing")
	}
	if err := db.Publish(t.Context(), message); !errors.Is(err, core.ErrUnavailable) {
		t.Errorf("publish afterwards: got %v, want ErrUnavailable", err)
	}
	err := db.Consume(t.Context(), core.EventQueue, 1, func(context.Context, core.Message) (core.Result, error) {
		return core.Result{}, nil
	})
	if !errors.Is(err, core.ErrUnavailable) {
		t.Errorf("consume afterwards: got %v, want ErrUnavailable", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	db = opened(t, Config{Path: path})
	consumeAll(t, db, 1500, nil)
}
