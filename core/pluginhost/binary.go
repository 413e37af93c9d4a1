package pluginhost

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// binary is a plugin's executable file, opened and trusted. What is run is what was opened, whatever lies at its path by then: nothing can slip in
// between the look at a file and its execution, and a plugin that crashes after a bad new version was put in its place is restarted as what it was.
type binary struct {
	path string
	file *os.File
	seen fingerprint
	sum  string // SHA-256 in hexadecimal; "": not read yet
}

// openBinary opens a file of the plugin directory to run it. Its errors complete the sentence "it …".
func openBinary(path string, listed sums) (*binary, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		if looks := trust(path); looks != nil { // that says it better
			return nil, looks
		}
		return nil, fmt.Errorf("can't be opened: %w", errors.Unwrap(err))
	}
	b := &binary{path: path, file: file}
	if err := b.check(listed); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *binary) check(listed sums) error {
	info, err := b.file.Stat()
	if err != nil {
		return fmt.Errorf("can't be looked at: %w", err)
	}
	if err := trustInfo(b.path, info); err != nil {
		return err
	}
	b.seen = fingerprintOf(info)
	return b.verify(listed)
}

// verify compares the file with what was written down of it. It reads what is open.
func (b *binary) verify(listed sums) error {
	if listed == nil {
		return nil
	}
	if b.sum == "" {
		hash := sha256.New()
		if _, err := io.Copy(hash, io.NewSectionReader(b.file, 0, 1<<62)); err != nil {
			return fmt.Errorf("can't be read: %w", err)
		}
		b.sum = hex.EncodeToString(hash.Sum(nil))
	}
	return listed.check(filepath.Base(b.path), b.sum)
}

func (b *binary) close() {
	if b.file != nil {
		b.file.Close()
	}
}

// fingerprint tells one version of a file from another without reading it.
type fingerprint struct {
	device, inode uint64
	size          int64
	modified      int64 // nanoseconds
	mode          fs.FileMode
	owner, group  uint32
}

func fingerprintOf(info fs.FileInfo) fingerprint {
	f := fingerprint{size: info.Size(), modified: info.ModTime().UnixNano(), mode: info.Mode()}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		f.device, f.inode, f.owner, f.group = uint64(stat.Dev), uint64(stat.Ino), stat.Uid, stat.Gid
	}
	if info.IsDir() {
		f.size, f.modified = 0, 0 // of a directory, only who may write to it matters
	}
	return f
}
