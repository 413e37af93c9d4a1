//go:build linux

package faultfs

import (
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// sector is what a disk writes in one piece.
const sector = 512

// history is what a file was before its last sync.
type history struct {
	file     *os.File
	known    int64              // its size when it was synced
	versions map[int64][][]byte // the versions of each sector that was written since, the last one not included
}

// historyOf returns the history of the file at path. The lock is held.
func (f *FS) historyOf(path string) (*history, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return nil, err
	}
	if h := f.files[st.Ino]; h != nil {
		return h, nil
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	h := &history{file: file, known: st.Size, versions: map[int64][][]byte{}}
	f.files[st.Ino] = h
	return h, nil
}

func (h *history) size() (int64, error) {
	info, err := h.file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// before keeps what n bytes at an offset are about to replace.
func (h *history) before(at int64, n int) error {
	for s := at / sector; s*sector < at+int64(n); s++ {
		content := make([]byte, sector) // zeros behind the end
		if _, err := h.file.ReadAt(content, s*sector); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		h.versions[s] = append(h.versions[s], content)
	}
	return nil
}

// synced makes what the file holds now what a power cut leaves.
func (h *history) synced() (err error) {
	clear(h.versions)
	h.known, err = h.size()
	return err
}

// lose makes the file what the disk may hold after a power cut.
func (h *history) lose(random *rand.Rand) error {
	for _, s := range slices.Sorted(maps.Keys(h.versions)) { // in order, so that a seed says what is lost
		versions := h.versions[s]
		if n := random.IntN(len(versions) + 1); n < len(versions) {
			if _, err := h.file.WriteAt(versions[n], s*sector); err != nil {
				return err
			}
		}
	}
	size, err := h.size()
	if err == nil && size != h.known && random.IntN(2) == 0 {
		err = h.file.Truncate(h.known)
	}
	return err
}

// entry is a change of a directory that was not synced yet.
type entry struct {
	dirs []string
	undo func() error
}

// made notes a new entry of a directory. The lock is held for this and all that follow.
func (f *FS) made(dir, name string) {
	f.entries = append(f.entries, entry{[]string{dir}, func() error { return os.Remove(filepath.Join(dir, name)) }})
}

func (f *FS) removed(dir, name, kept string) {
	f.entries = append(f.entries, entry{[]string{dir}, func() error { return os.Link(kept, filepath.Join(dir, name)) }})
}

func (f *FS) removedDir(dir, name string) {
	f.entries = append(f.entries, entry{[]string{dir}, func() error { return os.Mkdir(filepath.Join(dir, name), 0o700) }})
}

// renamed notes that from became to, and what was called to before; "": nothing.
func (f *FS) renamed(from, to, replaced string) {
	f.entries = append(f.entries, entry{[]string{filepath.Dir(from), filepath.Dir(to)}, func() error {
		if err := os.Rename(to, from); err != nil || replaced == "" {
			return err
		}
		return os.Link(replaced, to)
	}})
}

// bury keeps the file at path, which is about to lose that name.
func (f *FS) bury(path string) (kept string, err error) {
	f.buried++
	kept = filepath.Join(f.grave, strconv.Itoa(f.buried))
	return kept, os.Link(path, kept)
}

// syncedDir makes the entries of a directory count.
func (f *FS) syncedDir(dir string) {
	f.entries = slices.DeleteFunc(f.entries, func(e entry) bool { return slices.Contains(e.dirs, dir) })
}

// Lose makes of the real directory what a disk may hold after the power cut. Call it once, after Unmount.
func (f *FS) Lose(random *rand.Rand) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for _, number := range slices.Sorted(maps.Keys(f.files)) {
		h := f.files[number]
		errs = append(errs, h.lose(random), h.file.Close())
	}
	kept := random.IntN(len(f.entries) + 1)
	for _, e := range slices.Backward(f.entries[kept:]) {
		errs = append(errs, e.undo())
	}
	return errors.Join(append(errs, os.RemoveAll(f.grave))...)
}
