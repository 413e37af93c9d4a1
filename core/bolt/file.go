package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/postrider/postrider/core"
)

// lockTimeout is how long Open waits for another daemon that is just ending.
const lockTimeout = time.Second

// pageSize is that of a new file, in bytes; one that is there keeps its own until it is compacted. Events of 1 KiB fit into it with little left over: a backlog of
// them takes 1.28 times their payloads, in pages of 4 KiB 1.58 times, and the daemon is as fast.
const pageSize = 16 << 10

// compactFrom is the size below which a file is never worth compacting.
const compactFrom = 64 << 20

// openFile opens the bbolt file at path for writing: it makes it if there is none, brings into it what its journal has, and compacts it if more than half of
// it is free.
func openFile(path string, maxSize int64) (*bbolt.DB, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(journalPath(path)); err == nil {
			return nil, fmt.Errorf("%s is there without %s, and has what that accepted last: put it back, or move both away to start with an empty one",
				journalPath(path), path)
		}
		if err := createFile(path); err != nil {
			return nil, fmt.Errorf("create %s: %w", path, err)
		}
	}
	if err := walkFile(path); err != nil {
		return nil, err
	}
	file, err := openLocked(path, maxSize)
	if err != nil {
		return nil, err
	}
	if err := recoverJournal(file, path); err != nil {
		return nil, errors.Join(fmt.Errorf("bring the journal of %s into it: %w", path, err), file.Close())
	}
	compacted, err := compactFile(file, path, maxSize)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("compact %s: %w", path, err), file.Close())
	}
	return compacted, nil
}

// openLocked opens path, makes sure that what was locked still is the file of that name (another daemon may have compacted it in
// between), and checks the version of its format.
func openLocked(path string, maxSize int64) (*bbolt.DB, error) {
	var opened *os.File
	file, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:        lockTimeout,
		NoFreelistSync: true, // FACTS: else every commit writes the whole list
		FreelistType:   bbolt.FreelistMapType,
		MaxSize:        int(maxSize),
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			var err error
			opened, err = os.OpenFile(name, flag, mode)
			return opened, err
		},
	})
	if err != nil {
		return nil, openError(path, err)
	}
	locked, err := opened.Stat()
	if err == nil {
		var named os.FileInfo
		if named, err = os.Stat(path); err == nil && !os.SameFile(locked, named) {
			err = &inUse{path}
		}
	}
	if err == nil {
		err = file.View(func(tx *bbolt.Tx) error { return checkFormat(path, tx) })
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// inUse is the error of a file that a daemon has open.
type inUse struct{ path string }

func (e *inUse) Error() string {
	return e.path + " is in use by another postrider daemon: stop that one, or give this one a data_dir of its own"
}

func openError(path string, err error) error {
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return &inUse{path}
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrVersionMismatch), errors.Is(err, berrors.ErrChecksum):
		return unreadable(path, err.Error())
	}
	return fmt.Errorf("open %s: %w", path, err)
}

func unreadable(path, what string) error {
	return fmt.Errorf("%s cannot be read (%s): %w; or move it and its journal away to start with an empty one", path, what, errDamaged)
}

func checkFormat(path string, tx *bbolt.Tx) error {
	meta := tx.Bucket(bucketMeta)
	if meta == nil || meta.Get(keyFormat) == nil {
		return fmt.Errorf("%s is a bbolt file, but not Postrider's: give the daemon a data_dir of its own", path)
	}
	version, err := decodeNumber(bucketMeta, keyFormat, meta.Get(keyFormat))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if version < oldestFormat || version > formatVersion {
		return fmt.Errorf("%s has format version %d, this Postrider reads versions %d to %d: start the Postrider that wrote it, or use another data_dir",
			path, version, oldestFormat, formatVersion)
	}
	for _, name := range buckets {
		if tx.Bucket(name) == nil {
			return unreadable(path, fmt.Sprintf("bucket %q is missing", name))
		}
	}
	return nil
}

// createFile makes an empty file under a temporary name first, so that a crash never leaves half of one under path.
func createFile(path string) error {
	temporary, err := temporaryName(path)
	if err != nil {
		return err
	}
	defer os.Remove(temporary)
	file, err := bbolt.Open(temporary, 0o600, &bbolt.Options{
		Timeout: lockTimeout, PageSize: pageSize, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType,
	})
	if err != nil {
		return err
	}
	err = file.Update(func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketMeta).Put(keyFormat, seal(keyFormat, encodeNumber(formatVersion)))
	})
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	// A link, because unlike a rename it never replaces the file of a daemon that was started at the same time.
	if err := os.Link(temporary, path); err != nil && !errors.Is(err, fs.ErrExist) {
		if err := os.Rename(temporary, path); err != nil { // a file system without links
			return err
		}
	}
	return syncDir(path)
}

// compactFile rewrites file when more than half of it is free, and returns the one to go on with.
func compactFile(file *bbolt.DB, path string, maxSize int64) (*bbolt.DB, error) {
	var size int64
	if err := file.View(func(tx *bbolt.Tx) error { size = tx.Size(); return nil }); err != nil {
		return nil, err
	}
	free := int64(file.Stats().FreePageN) * int64(file.Info().PageSize)
	if size < compactFrom || free*2 < size {
		return file, nil
	}
	if available, err := freeSpace(path); err != nil || available < size-free {
		return file, nil // nothing breaks without it: the free pages are used again
	}
	temporary, err := temporaryName(path)
	if err != nil {
		return nil, err
	}
	defer os.Remove(temporary)
	target, err := bbolt.Open(temporary, 0o600, &bbolt.Options{
		Timeout: lockTimeout, PageSize: pageSize, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType, NoSync: true,
	})
	if err != nil {
		return nil, err
	}
	const transaction = 8 << 20
	if err := errors.Join(bbolt.Compact(target, file, transaction), target.Sync(), target.Close()); err != nil {
		return nil, err
	}
	if err := os.Rename(temporary, path); err != nil {
		return nil, err
	}
	if err := syncDir(path); err != nil {
		return nil, err
	}
	fresh, err := openLocked(path, maxSize)
	if err != nil {
		return nil, err
	}
	return fresh, file.Close() // only now: the old lock kept others out
}

// temporaryName makes an empty file beside path.
func temporaryName(path string) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return "", err
	}
	return f.Name(), f.Close()
}

func syncDir(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// walkFile visits every page before bbolt does (see walkPages).
func walkFile(path string) error {
	file, _, err := openSound(path)
	if err != nil {
		return err
	}
	return file.Close()
}

// openSound opens path for reading, which keeps those who write out, and returns how many of its pages are in use.
func openSound(path string) (file *bbolt.DB, used int64, err error) {
	if _, err := readMeta(path); err != nil { // a file that was cut off would kill the process with SIGBUS
		return nil, 0, err
	}
	file, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout, ReadOnly: true})
	if err != nil {
		return nil, 0, openError(path, err)
	}
	m, err := readMeta(path)
	if err == nil {
		if used, err = walkPages(path, m); err != nil {
			err = unreadable(path, err.Error())
		}
	}
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, used, nil
}

// guard runs f and turns a panic, also one from touching a page that the file does not have, into an error.
func guard(f func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if p := recover(); p != nil {
			err = fmt.Errorf("%v: %w", p, errDamaged)
		}
	}()
	return f()
}

// view reads the file once it has everything, in a transaction of its own beside which others write: for what takes long. A page that cannot be read is an error.
func (db *DB) view(f func(tx *bbolt.Tx) error) error {
	if !db.trees.isWritten() {
		if err := db.committer.do(&request{settle: true}); err != nil && !errors.Is(err, core.ErrClosed) {
			return db.look(f) // the disk is full, or failed
		}
	}
	return readable(func() error { return db.file.View(f) })
}

// look reads what is there now, and keeps others from writing meanwhile: for what is short. A page that cannot be read is an error.
func (db *DB) look(f func(tx *bbolt.Tx) error) error {
	return readable(func() error { return db.trees.look(f) })
}

func readable(read func() error) error {
	err := guard(read)
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return core.ErrClosed
	}
	return err
}
