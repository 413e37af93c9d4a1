package bolt

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/postrider/postrider/core"
)

// backedUp writes a snapshot of db to a file and returns its path.
func backedUp(t *testing.T, db *DB) string {
	t.Helper()
	content, size, err := db.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	path := filepath.Join(t.TempDir(), "backup.db")
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(file, content)
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	if n != size {
		t.Errorf("a snapshot of %d bytes has %d", size, n)
	}
	return path
}

func TestASnapshotUnderLoadIsSoundAndHasWhatWasAcknowledgedBefore(t *testing.T) {
	db := opened(t, Config{Path: filepath.Join(t.TempDir(), "postrider.db")})
	maker := newEventMaker()
	publishAll(t, db, maker, 200)
	before, _, err := db.Deliveries(t.Context(), core.DeliveryFilter{})
	if err != nil || len(before) != 0 {
		t.Fatal(before, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var publishers sync.WaitGroup
	for range 4 {
		publishers.Go(func() {
			for ctx.Err() == nil {
				e := maker.event("order.created")
				if err := db.Publish(t.Context(), core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	e := maker.event("order.created")
	if err := db.Publish(t.Context(), core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)}); err != nil {
		t.Fatal(err)
	}
	path := backedUp(t, db)
	stop()
	publishers.Wait()
	if err := inspected(t, path); err != nil {
		t.Fatalf("the snapshot: %v", err)
	}
	if got := statsOf(t, path).Events; got < 201 {
		t.Errorf("the snapshot has %d events, 201 were acknowledged before it", got)
	}
	copied := opened(t, Config{Path: path})
	if _, err := copied.Event(t.Context(), e.ID); err != nil {
		t.Errorf("an event that was acknowledged before the snapshot: %v", err)
	}
	if left, _ := filepath.Glob(db.config.Path + ".snapshot-*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestASnapshotLeavesTheReserveAlone(t *testing.T) {
	db := opened(t, Config{Path: filepath.Join(t.TempDir(), "postrider.db"), Reserve: 1 << 20, freeSpace: func(string) (int64, error) { return 1<<20 + 5, nil }})
	_, _, err := db.Snapshot(t.Context())
	if !errors.Is(err, core.ErrNoSpace) {
		t.Errorf("got %v, want an error that there is no space", err)
	}
	wantError(t, err, "a snapshot takes", "free some space")
}

func TestARestoreBringsTheBackupBackAndKeepsWhatWasThere(t *testing.T) {
	backup, path := filled(t), filled(t)
	want := statsOf(t, backup)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, before[:len(before)/2], 0o600); err != nil { // damaged: what backups are for
		t.Fatal(err)
	}
	kept, err := Restore(t.Context(), backup, path)
	if err != nil {
		t.Fatal(err)
	}
	got := statsOf(t, path)
	if got.Path, got.Free = want.Path, want.Free; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if content, err := os.ReadFile(kept); err != nil || len(content) != len(before)/2 {
		t.Errorf("what was there is kept with %d of %d bytes: %v", len(content), len(before)/2, err)
	}
	if err := inspected(t, path); err != nil {
		t.Errorf("the restored file: %v", err)
	}
	if left, _ := filepath.Glob(path + ".new-*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestARestoreWithoutAFileMakesOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postrider.db")
	kept, err := Restore(t.Context(), filled(t), path)
	if err != nil || kept != "" {
		t.Fatalf("kept %q: %v", kept, err)
	}
	if err := inspected(t, path); err != nil {
		t.Error(err)
	}
}

func TestARestoreChangesNothingWhenItCannotBeDone(t *testing.T) {
	path := filled(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := readMeta(path)
	if err != nil {
		t.Fatal(err)
	}
	used := m.pages * m.pageSize
	damaged := filepath.Join(t.TempDir(), "damaged.db")
	content := bytes.ReplaceAll(before, []byte("order.created"), []byte("order.createe")) // one bit of each record with an event's name, the live ones among them
	for name, test := range map[string]struct {
		content []byte
		say     string
	}{
		"a damaged backup": {content, "of no use"},
		"half a backup":    {before[:used/2], "of no use"},
		"no backup at all": {[]byte("order 1, order 2"), "of no use"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(damaged, test.content, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Restore(t.Context(), damaged, path)
			wantError(t, err, test.say)
		})
	}
	t.Run("the file is in use", func(t *testing.T) {
		db := opened(t, Config{Path: path})
		_, err := Restore(t.Context(), filled(t), path)
		wantError(t, err, "a daemon uses the database", "stop it")
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	})
	if err := inspected(t, path); err != nil {
		t.Errorf("the file: %v", err)
	}
	if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
}
