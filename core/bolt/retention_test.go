package bolt

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postrider/postrider/core"
)

func TestRetentionRemovesWhatIsOldAndDone(t *testing.T) {
	db := opened(t, Config{Path: filepath.Join(t.TempDir(), "postrider.db")})
	maker := newEventMaker()
	publish := func(e core.Event, out ...core.Outgoing) core.Event {
		t.Helper()
		out = append([]core.Outgoing{{Queue: core.EventQueue, Message: core.EventMessage(e)}}, out...)
		if err := db.Publish(t.Context(), out...); err != nil {
			t.Fatal(err)
		}
		return e
	}
	// A thousand that are done, more than one transaction takes; one under an id of its publisher's own.
	publishAll(t, db, maker, 1000)
	named := maker.event("order.created")
	named.ID = "chosen-by-the-publisher"
	publish(named)
	consumeAll(t, db, 1001, nil)
	// One that waits, one with a delivery that waits, one with a dead letter of a delivery, one that died itself.
	waits := publish(maker.event("order.created"))
	var kept []core.Event
	for i := range 3 {
		e := maker.event("order.created")
		records := []core.Record{core.EventRecord{Event: e, State: core.EventDispatched, Payload: []byte("payload")},
			core.AttemptRecord{Attempt: core.Attempt{Event: e.ID, Subscriber: 1, Number: 1, First: 1, Outcome: core.Retry}}}
		if i > 0 {
			id := []string{"", string(core.DeliveryIDOf(e.ID, 1)), string(e.ID)}[i]
			records = append(records, core.DeadLetterRecord{DeadLetter: core.DeadLetter{ID: id, Event: e.ID, Died: time.Now()}})
		}
		if err := db.Append(t.Context(), records...); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			later := core.Outgoing{Queue: core.DeliveryQueue, Message: core.DeliveryMessage(e.ID, 1, e.Accepted), Due: time.Now().Add(time.Hour)}
			if err := db.Publish(t.Context(), later); err != nil {
				t.Fatal(err)
			}
		}
		kept = append(kept, e)
	}
	young := maker.event("order.created")
	young.Accepted = time.Now().Add(time.Hour)
	publish(young)

	removed, err := db.sweep(t.Context(), time.Now().Add(time.Minute))
	if err != nil || removed != 1001 {
		t.Errorf("removed %d events, %v, want 1001", removed, err)
	}
	for _, e := range append(kept, waits, young) {
		if _, err := db.Event(t.Context(), e.ID); err != nil {
			t.Errorf("event %s was removed: %v", e.ID, err)
		}
	}
	for _, id := range []core.EventID{named.ID} {
		if _, err := db.Event(t.Context(), id); !errors.Is(err, core.ErrNotFound) {
			t.Errorf("event %s was kept: %v", id, err)
		}
	}
	wantSound(t, db)
	if stats := statsOf(t, db.config.Path); stats.Events != 5 || stats.Attempts != 3 {
		t.Errorf("what is left: %+v, want 5 events and 3 attempts", stats)
	}
}

func TestAFileThatIsMostlyFreeIsCompactedWhenItIsOpened(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a file of 64 MiB")
	}
	path := filepath.Join(t.TempDir(), "postrider.db")
	db := opened(t, Config{Path: path})
	maker := newEventMaker()
	var out []core.Outgoing
	for range 60_000 {
		out = append(out, core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(maker.event("order.created"))})
		if len(out) == 5000 {
			if err := db.Publish(t.Context(), out...); err != nil {
				t.Fatal(err)
			}
			out = nil
		}
	}
	last := maker.event("order.created")
	last.Accepted = time.Now().Add(time.Hour)
	err := db.Publish(t.Context(), core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(last)})
	if err != nil {
		t.Fatal(err)
	}
	consumeAll(t, db, 60_000, nil)
	if _, err := db.sweep(t.Context(), time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	db = opened(t, Config{Path: path})
	after, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if after.Size() > before.Size()/2 {
		t.Errorf("size: %d MiB, then %d MiB", before.Size()>>20, after.Size()>>20)
	}
	if files, _ := filepath.Glob(path + ".new*"); len(files) > 0 {
		t.Errorf("left behind: %v", files)
	}
	if _, err := db.Event(t.Context(), last.ID); err != nil {
		t.Error(err)
	}
	publishAll(t, db, maker, 10) // it goes on, under numbers that were never used
	if _, err := Open(Config{Path: path}); err == nil {
		t.Error("the compacted file is not locked")
	}
	wantSound(t, db)
}

func TestAnErrorOfOneRequestLeavesTheOthersOfItsGroupAlone(t *testing.T) {
	hold, held := make(chan struct{}), make(chan struct{}, 1)
	db := opened(t, Config{Path: filepath.Join(t.TempDir(), "postrider.db"), hooks: hooks{beforeCommit: func() error {
		select {
		case held <- struct{}{}:
			<-hold
		default:
		}
		return nil
	}}})
	maker := newEventMaker()
	errs := make(chan error, 10)
	publish := func(ctx context.Context, e core.Event) {
		errs <- db.Publish(ctx, core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)})
	}
	e := maker.event("order.created")
	go publish(t.Context(), e)
	<-held // the first group is at its commit: the next ones wait together
	conflicting := e
	conflicting.Arguments = []byte(`{"other":true}`)
	go publish(t.Context(), conflicting)
	go publish(t.Context(), maker.event("order.created"))
	orphan := core.AttemptRecord{Attempt: core.Attempt{Event: "unknown", Number: 1}}
	go func() {
		errs <- db.Append(t.Context(), core.EventRecord{Event: maker.event("order.created"), State: core.EventUnwanted}, orphan)
	}()
	for waiting := 0; waiting < 3; {
		db.committer.mu.Lock()
		waiting = len(db.committer.waiting)
		db.committer.mu.Unlock()
	}
	close(hold)
	var fine, conflicts, unknown int
	for range 4 {
		switch err := <-errs; {
		case err == nil:
			fine++
		case errors.Is(err, core.ErrConflict):
			conflicts++
		case errors.Is(err, core.ErrNotFound):
			unknown++
		}
	}
	if fine != 2 || conflicts != 1 || unknown != 1 {
		t.Errorf("got %d fine, %d conflicts, %d unknown, want 2, 1, 1", fine, conflicts, unknown)
	}
	// Nothing is left of the request that failed half way.
	wantSound(t, db)
	if stats := statsOf(t, db.config.Path); stats.Events != 2 {
		t.Errorf("events: got %d, want 2", stats.Events)
	}
}
