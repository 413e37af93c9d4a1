//go:build linux

package faultfs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
)

// file is what the real file system's handle is to FUSE, as far as it is used.
type file interface {
	fs.FileReader
	fs.FileWriter
	fs.FileFlusher
	fs.FileReleaser
	fs.FileLseeker
	fs.FileGetattrer
}

// handle is an open file.
type handle struct {
	file
	f       *FS
	history *history
}

// handle wraps the handle of the file at path. The lock is held.
func (f *FS) handle(real fs.FileHandle, path string) (*handle, syscall.Errno) {
	h, err := f.historyOf(path)
	if err != nil {
		return nil, fs.ToErrno(err)
	}
	return &handle{real.(file), f, h}, 0
}

func (h *handle) Write(ctx context.Context, data []byte, at int64) (uint32, syscall.Errno) {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if errno := h.f.change(); errno != 0 {
		return 0, errno
	}
	size, err := h.history.size()
	if err != nil {
		return 0, fs.ToErrno(err)
	}
	if errno := h.f.take(at + int64(len(data)) - size); errno != 0 {
		return 0, errno
	}
	if err := h.history.before(at, len(data)); err != nil {
		return 0, fs.ToErrno(err)
	}
	return h.file.Write(ctx, data, at)
}

func (h *handle) Fsync(context.Context, uint32) syscall.Errno {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if errno := h.f.sync(); errno != 0 {
		return errno
	}
	return fs.ToErrno(h.history.synced())
}
