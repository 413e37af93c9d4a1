//go:build linux

package faultfs

import (
	"context"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// node is a file or a directory. What changes it goes through the FS; everything else is the real file system's.
type node struct {
	*fs.LoopbackNode
	f *FS
}

// WrapChild makes a node of what the real file system found or made.
func (n *node) WrapChild(_ context.Context, child fs.InodeEmbedder) fs.InodeEmbedder {
	return &node{child.(*fs.LoopbackNode), n.f}
}

// real returns the path of a child, or with "" of the node itself, in the real directory.
func (n *node) real(name string) string {
	return filepath.Join(n.f.dir, n.Path(n.Root()), name)
}

func (n *node) Create(
	ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut,
) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	if errno := n.f.change(); errno != 0 {
		return nil, nil, 0, errno
	}
	_, err := os.Lstat(n.real(name))
	existed := err == nil
	inode, handle, more, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	if errno != 0 {
		return nil, nil, 0, errno
	}
	if !existed {
		n.f.made(n.real(""), name)
	}
	wrapped, errno := n.f.handle(handle, n.real(name))
	return inode, wrapped, more, errno
}

func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	handle, more, errno := n.LoopbackNode.Open(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	wrapped, errno := n.f.handle(handle, n.real(""))
	return wrapped, more, errno
}

func (n *node) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	handle, more, errno := n.LoopbackNode.OpendirHandle(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	return &dirHandle{dirStream: handle.(dirStream), f: n.f, path: n.real("")}, more, 0
}

// Setattr is a change where it sets the size.
func (n *node) Setattr(ctx context.Context, handle fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	size, sets := in.GetSize()
	if !sets {
		return n.LoopbackNode.Setattr(ctx, nil, in, out)
	}
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	if errno := n.f.change(); errno != 0 {
		return errno
	}
	h, err := n.f.historyOf(n.real(""))
	if err != nil {
		return fs.ToErrno(err)
	}
	old, err := h.size()
	if err != nil {
		return fs.ToErrno(err)
	}
	if errno := n.f.take(int64(size) - old); errno != 0 {
		return errno
	}
	return n.LoopbackNode.Setattr(ctx, nil, in, out)
}

func (n *node) Mknod(ctx context.Context, name string, mode, device uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return n.make(name, func() (*fs.Inode, syscall.Errno) { return n.LoopbackNode.Mknod(ctx, name, mode, device, out) })
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return n.make(name, func() (*fs.Inode, syscall.Errno) { return n.LoopbackNode.Mkdir(ctx, name, mode, out) })
}

func (n *node) Link(ctx context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return n.make(name, func() (*fs.Inode, syscall.Errno) {
		return n.LoopbackNode.Link(ctx, target.(*node).LoopbackNode, name, out)
	})
}

// make makes an entry.
func (n *node) make(name string, real func() (*fs.Inode, syscall.Errno)) (*fs.Inode, syscall.Errno) {
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	if errno := n.f.change(); errno != 0 {
		return nil, errno
	}
	inode, errno := real()
	if errno == 0 {
		n.f.made(n.real(""), name)
	}
	return inode, errno
}

func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	if errno := n.f.change(); errno != 0 {
		return errno
	}
	errno := n.LoopbackNode.Rmdir(ctx, name)
	if errno == 0 {
		n.f.removedDir(n.real(""), name)
	}
	return errno
}

func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	if errno := n.f.change(); errno != 0 {
		return errno
	}
	kept, err := n.f.bury(n.real(name))
	if err != nil {
		return fs.ToErrno(err)
	}
	errno := n.LoopbackNode.Unlink(ctx, name)
	if errno == 0 {
		n.f.removed(n.real(""), name, kept)
	}
	return errno
}

func (n *node) Rename(ctx context.Context, name string, parent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	if errno := n.f.change(); errno != 0 {
		return errno
	}
	to := parent.(*node)
	replaced := ""
	if _, err := os.Lstat(to.real(newName)); err == nil {
		if replaced, err = n.f.bury(to.real(newName)); err != nil {
			return fs.ToErrno(err)
		}
	}
	errno := n.LoopbackNode.Rename(ctx, name, to.LoopbackNode, newName, flags)
	if errno == 0 {
		n.f.renamed(n.real(name), to.real(newName), replaced)
	}
	return errno
}

// dirStream is what the real file system's directory handle is to FUSE.
type dirStream interface {
	fs.FileReaddirenter
	fs.FileReleasedirer
	fs.FileSeekdirer
	fs.FileFsyncdirer
}

type dirHandle struct {
	dirStream
	f    *FS
	path string
}

func (d *dirHandle) Fsyncdir(context.Context, uint32) syscall.Errno {
	d.f.mu.Lock()
	defer d.f.mu.Unlock()
	if errno := d.f.sync(); errno != 0 {
		return errno
	}
	d.f.syncedDir(d.path)
	return 0
}
