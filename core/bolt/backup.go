package bolt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

	"github.com/postrider/postrider/core"
)

// Snapshot copies the file as it is at one moment, while work goes on. The copy has no name, and is gone once it is closed; it is read from its
// beginning. It needs as much free space as the file takes, beyond the reserve (else [core.ErrNoSpace]).
//
// It is a copy, not the file itself, because a reader keeps bbolt from growing: one who takes minutes would hold up every publish.
func (db *DB) Snapshot(ctx context.Context) (_ io.ReadCloser, size int64, err error) {
	copied, err := os.CreateTemp(filepath.Dir(db.config.Path), filepath.Base(db.config.Path)+".snapshot-*")
	if err != nil {
		return nil, 0, fmt.Errorf("make a snapshot: %w", err)
	}
	defer func() {
		if err != nil {
			copied.Close()
		}
	}()
	if err := os.Remove(copied.Name()); err != nil {
		return nil, 0, fmt.Errorf("make a snapshot: %w", err)
	}
	var tx *bbolt.Tx
	err = db.committer.do(&request{settle: true, still: func() (err error) { tx, err = db.file.Begin(false); return err }})
	if err == nil {
		size, err = db.writeTo(untilDone{ctx, copied}, tx)
	}
	if err == nil {
		_, err = copied.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("make a snapshot of %s: %w", db.config.Path, err)
	}
	return copied, size, nil
}

// writeTo writes the file as tx sees it, and ends tx.
func (db *DB) writeTo(to io.Writer, tx *bbolt.Tx) (size int64, err error) {
	err = guard(func() error {
		defer tx.Rollback() //nolint:errcheck // nothing was changed
		if err := db.admitSnapshot(tx.Size()); err != nil {
			return err
		}
		size, err = tx.WriteTo(to)
		return err
	})
	return size, err
}

func (db *DB) admitSnapshot(size int64) error {
	free, err := db.config.freeSpace(db.config.Path)
	if err != nil || free-size >= max(0, db.config.Reserve) {
		return err
	}
	return fmt.Errorf("%w: a snapshot takes %d MiB, %d MiB are free, and %d MiB of them are kept for what was accepted: free some space",
		core.ErrNoSpace, size>>20, free>>20, max(0, db.config.Reserve)>>20)
}

// untilDone refuses to write once ctx has ended.
type untilDone struct {
	ctx context.Context
	io.Writer
}

func (w untilDone) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.Writer.Write(p)
}

// Restore makes the file at path a copy of backup, which must be sound: every page and every record of it is checked first. The file that
// was there, damaged or not, is kept under another name, which is returned; "": there was none. No daemon may use it.
//
// A crash leaves either file at path, whole. The journal of the file that was there means nothing to the one that took its place, and the next start takes
// it away.
func Restore(ctx context.Context, backup, path string) (kept string, err error) {
	sound, err := Inspect(backup)
	if err != nil {
		return "", fmt.Errorf("the backup is of no use: %w", err)
	}
	defer sound.Close() // until then nobody writes to it
	if err := sound.Check(ctx); err != nil {
		return "", fmt.Errorf("the backup %s is of no use: %w", backup, err)
	}
	unlock, err := lockAgainstDaemons(path)
	if err != nil {
		return "", err
	}
	defer unlock()
	temporary, err := copyBeside(backup, path)
	if err != nil {
		return "", fmt.Errorf("copy the backup to %s: %w", filepath.Dir(path), err)
	}
	defer os.Remove(temporary)
	if kept, err = setAside(path); err != nil {
		return "", fmt.Errorf("keep what is there: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return kept, err
	}
	return kept, syncDir(path)
}

// lockAgainstDaemons takes the lock that a daemon holds on its file. bbolt can't be asked to, since the file may be damaged.
func lockAgainstDaemons(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: stop it before you replace %s", ErrInUse, path), file.Close())
	}
	return func() { file.Close() }, nil
}

// copyBeside copies a file to a temporary one in the directory of path, and syncs it.
func copyBeside(from, path string) (temporary string, err error) {
	source, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer source.Close()
	if temporary, err = temporaryName(path); err != nil {
		return "", err
	}
	target, err := os.OpenFile(temporary, os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return temporary, err
	}
	_, err = io.Copy(target, source)
	if err = errors.Join(err, target.Sync(), target.Close()); err != nil {
		os.Remove(temporary)
	}
	return temporary, err
}

// setAside gives the file at path a second name, if there is one, and its journal that of a journal beside it. The first is about to be taken over.
func setAside(path string) (kept string, err error) {
	kept = path + ".before-restore-" + time.Now().UTC().Format("20060102T150405Z")
	if err := os.Link(journalPath(path), journalPath(kept)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := os.Link(path, kept); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	return kept, nil
}
