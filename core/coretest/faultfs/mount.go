//go:build linux

package faultfs

import (
	"fmt"
	"os"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// FS is a mounted file system. Its methods may be called from any goroutine. The process that serves it must not use the mount point itself: a
// page fault on it would wait for a goroutine of the same process.
type FS struct {
	dir    string // the real directory
	server *fuse.Server

	mu       sync.Mutex
	files    map[uint64]*history // by inode
	entries  []entry
	grave    string // keeps what was unlinked or replaced, until its directory is synced
	buried   int
	left     int           // changes until the power goes; negative: it does not
	changes  int           // so far
	dark     chan struct{} // closed when the power is gone
	syncs    int           // how many of the next syncs work; negative: all
	writable int64         // bytes that may still be written; negative: no limit
}

// Mount shows dir at point; both must exist. What dir holds counts as synced.
func Mount(dir, point string) (*FS, error) {
	if _, err := os.Stat("/dev/fuse"); err != nil || os.Getuid() != 0 {
		return nil, fmt.Errorf("mounting a faulty file system takes root and /dev/fuse: %w", os.ErrPermission)
	}
	grave, err := os.MkdirTemp(dir, ".grave-")
	if err != nil {
		return nil, err
	}
	f := &FS{dir: dir, grave: grave, files: map[uint64]*history{}, left: -1, syncs: -1, writable: -1, dark: make(chan struct{})}
	var st syscall.Stat_t
	if err := syscall.Stat(dir, &st); err != nil {
		return nil, err
	}
	root := &fs.LoopbackRoot{Path: dir, Dev: uint64(st.Dev)} //nolint:unconvert // the types differ between systems
	root.RootNode = &node{&fs.LoopbackNode{RootData: root}, f}
	options := &fs.Options{MountOptions: fuse.MountOptions{DirectMountStrict: true, FsName: "faultfs", Name: "faultfs"}}
	if f.server, err = fs.Mount(point, root.RootNode, options); err != nil {
		return nil, fmt.Errorf("mount %s: %w", point, err)
	}
	return f, nil
}

// CutAfter lets the power fail at the nth change from now: a write, a growth, a sync, or a change of a directory. That change
// and everything after it answers EIO.
func (f *FS) CutAfter(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left = n
}

// Dark is closed when the power has failed.
func (f *FS) Dark() <-chan struct{} { return f.dark }

// Changes counts the changes so far.
func (f *FS) Changes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changes
}

// FailSyncsAfter lets the next n syncs work, and all others answer EIO. What was written before a failed sync stays unsynced.
func (f *FS) FailSyncsAfter(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.syncs = n
}

// Limit lets writes and growths answer ENOSPC once they have taken n more bytes; negative: there is room.
func (f *FS) Limit(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writable = n
}

// Unmount ends the file system. No process may have a file of it open any more.
func (f *FS) Unmount() error { return f.server.Unmount() }

// change counts one change, and returns what is to happen instead of it.
func (f *FS) change() syscall.Errno {
	if f.isDark() {
		return syscall.EIO
	}
	f.changes++
	if f.left < 0 {
		return 0
	}
	if f.left--; f.left >= 0 {
		return 0
	}
	close(f.dark)
	return syscall.EIO
}

func (f *FS) isDark() bool {
	select {
	case <-f.dark:
		return true
	default:
		return false
	}
}

// sync counts one sync, and returns what it answers.
func (f *FS) sync() syscall.Errno {
	if errno := f.change(); errno != 0 || f.syncs < 0 {
		return errno
	}
	if f.syncs == 0 {
		return syscall.EIO
	}
	f.syncs--
	return 0
}

// take takes n bytes of what may still be written.
func (f *FS) take(n int64) syscall.Errno {
	if f.writable < 0 || n <= 0 {
		return 0
	}
	if n > f.writable {
		return syscall.ENOSPC
	}
	f.writable -= n
	return 0
}
