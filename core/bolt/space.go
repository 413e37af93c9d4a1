package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/postrider/postrider/core"
)

// spaceInterval is how old the figure may be that new work is admitted by. At 200 MiB/s that is 20 MiB, well inside any sensible reserve.
const spaceInterval = 100 * time.Millisecond

// space admits new work while there is room for it and for consuming what was admitted before: bbolt needs free pages to delete, too.
type space struct {
	path    string
	reserve int64
	maxSize int64
	file    *bbolt.DB
	page    int64                            // size of a page of the file
	free    func(path string) (int64, error) // freeSpace, or a test's

	checked atomic.Int64 // when, in nanoseconds since start
	start   time.Time
	full    atomic.Bool
	room    atomic.Int64
}

// admit returns core.ErrNoSpace when nothing new may be written.
func (s *space) admit() error {
	now := int64(time.Since(s.start)) + 1
	if last := s.checked.Load(); last == 0 || now-last > int64(spaceInterval) {
		if s.checked.CompareAndSwap(last, now) {
			s.measure()
		}
	}
	if s.full.Load() {
		return fmt.Errorf("%w: %d MiB are left for %s, less than its reserve of %d MiB, so nothing new is accepted: free some space",
			core.ErrNoSpace, s.room.Load()>>20, s.path, s.reserve>>20)
	}
	return nil
}

// measure counts what the file system has left and what is free inside the file.
func (s *space) measure() {
	free, err := s.free(s.path)
	if err != nil {
		return // the commit will tell
	}
	inside := int64(s.file.Stats().FreePageN) * s.page
	if s.maxSize > 0 {
		var size int64
		if err := s.file.View(func(tx *bbolt.Tx) error { size = tx.Size(); return nil }); err == nil {
			free = min(free, s.maxSize-size-int64(s.file.AllocSize))
		}
	}
	s.room.Store(max(0, free+inside))
	s.full.Store(free+inside < s.reserve)
}

// ranOut notes a commit that found no room.
func (s *space) ranOut() {
	s.checked.Store(int64(time.Since(s.start)) + 1)
	s.room.Store(0)
	s.full.Store(true)
}

// freeSpace returns what an ordinary user may still write to the file system of path.
func freeSpace(path string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(path), &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:unconvert // the types differ between systems
}

// defaultReserve returns what stays free on the disk of path where nobody said how much.
func defaultReserve(path string) int64 {
	const most, share = 64 << 20, 8
	var s syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(path), &s); err != nil {
		return most
	}
	return min(most, int64(s.Blocks)*int64(s.Bsize)/share) //nolint:unconvert // the types differ between systems
}

// isNoSpace reports whether a commit failed before anything of it could count, because the disk is full, a quota or MaxSize reached. An
// fsync that fails is never of that kind, whatever its reason: what it left on the disk is unknown.
func isNoSpace(err error) bool {
	if errors.Is(err, berrors.ErrMaxSizeReached) || strings.HasPrefix(err.Error(), "file resize error") {
		return true
	}
	var path *fs.PathError
	if !errors.As(err, &path) || path.Op != "write" && path.Op != "open" {
		return false
	}
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}
