package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"syscall"
)

// What follows reads pages as bbolt lays them out (internal/common of bbolt: page.go, meta.go, bucket.go), all in the machine's own byte
// order, and visits every page before bbolt does. bbolt trusts what it reads: it panics on a page that is none, partly in goroutines of its own
// where nobody can catch that, and goes round for ever where a page leads back to itself.
const (
	pageHeader  = 16 // page number 8, kind 2, count 2, overflow 4
	element     = 16 // of a branch: position 4, key size 4, page 8; of a leaf: kind 4, position 4, key size 4, value size 4
	bucketEntry = 16 // root page 8, sequence 8; then, if the root page is 0, a page of its own

	branchPage = 1
	leafPage   = 2
	bucketLeaf = 1
)

// meta is what the newest sound meta page says.
type meta struct {
	transaction, root uint64
	pageSize, pages   int64
}

// readMeta reads the meta pages: after a page header magic, version, page size and flags of 4 bytes each; the root bucket's page and sequence,
// the freelist's page, the number of pages, the transaction and an FNV-1a checksum of 8 bytes each.
func readMeta(path string) (meta, error) {
	const length, magic = 64, 0xED0CDAED
	var newest meta
	f, err := os.Open(path)
	if err != nil {
		return newest, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return newest, err
	}
	if !info.Mode().IsRegular() {
		return newest, fmt.Errorf("%s is not a regular file: give the daemon a data_dir of its own", path)
	}
	// The second meta page is found by the page size, which the first one may be too broken to tell.
	for _, offset := range []int64{0, 1 << 12, 1 << 13, 1 << 14, 1 << 15, 1 << 16} {
		page := make([]byte, pageHeader+length)
		if _, err := f.ReadAt(page, offset); err != nil {
			break
		}
		m := page[pageHeader:]
		sum := fnv.New64a()
		sum.Write(m[:length-8])
		if binary.NativeEndian.Uint32(m) != magic || binary.NativeEndian.Uint64(m[length-8:]) != sum.Sum64() {
			continue
		}
		size := int64(binary.NativeEndian.Uint32(m[8:]))
		if offset != 0 && offset != size {
			continue
		}
		if transaction := binary.NativeEndian.Uint64(m[48:]); newest.pageSize == 0 || transaction > newest.transaction {
			newest = meta{
				transaction: transaction, root: binary.NativeEndian.Uint64(m[16:]),
				pageSize: size, pages: int64(binary.NativeEndian.Uint64(m[40:])),
			}
		}
	}
	if newest.pageSize == 0 {
		return newest, unreadable(path, "it does not start like a bbolt file")
	}
	if info.Size()/newest.pageSize < newest.pages {
		return newest, unreadable(path, fmt.Sprintf("it was cut off: %d bytes of %d pages of %d are there", info.Size(), newest.pages, newest.pageSize))
	}
	return newest, nil
}

// pages are those of one file.
type pages struct {
	meta
	data []byte
	seen []bool
	used int64 // pages reached, and the meta pages
}

// walkPages visits every page that m leads to: it must be where it says it is, be reached once, and hold keys in order, all of them
// between the keys of the page above. It returns how many pages are in use. The file must not change meanwhile.
func walkPages(path string, m meta) (used int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	data, err := syscall.Mmap(int(f.Fd()), 0, int(m.pages*m.pageSize), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return 0, os.NewSyscallError("mmap", err)
	}
	w := &pages{meta: m, data: data, seen: make([]bool, m.pages), used: 2}
	// A disk that cannot read a page makes touching it a fault.
	err = guard(func() error { return w.tree(m.root, true, nil, nil) })
	if e := syscall.Munmap(data); err == nil {
		err = os.NewSyscallError("munmap", e)
	}
	return w.used, err
}

// tree visits a page and all below. Its keys are at least least and below the bound, where these are not nil. top: they name buckets.
func (w *pages) tree(id uint64, top bool, least, bound []byte) error {
	p, err := w.page(id)
	if err != nil {
		return err
	}
	if kind := binary.NativeEndian.Uint16(p[8:]); kind == leafPage {
		return w.leaf(id, p, top, least, bound)
	} else if kind != branchPage {
		return fmt.Errorf("page %d is of kind %#x, neither branch nor leaf", id, kind)
	}
	count := int(binary.NativeEndian.Uint16(p[10:]))
	if count == 0 {
		return fmt.Errorf("page %d leads nowhere", id)
	}
	entry := func(i int) (key []byte, child uint64, err error) {
		e := p[min(len(p), pageHeader+i*element):]
		if len(e) < element {
			return nil, 0, fmt.Errorf("page %d is full before its entry %d", id, i)
		}
		key, _, err = cell(e, count-i, binary.NativeEndian.Uint32(e), binary.NativeEndian.Uint32(e[4:]), 0)
		if err != nil {
			return nil, 0, fmt.Errorf("page %d, entry %d: %w", id, i, err)
		}
		return key, binary.NativeEndian.Uint64(e[8:]), nil
	}
	key, child, err := entry(0)
	for i := range count {
		if err != nil {
			return err
		}
		if !ordered(least, i == 0, key, bound) {
			return fmt.Errorf("page %d, entry %d is out of order", id, i)
		}
		next, nextChild := bound, uint64(0)
		if i+1 < count {
			next, nextChild, err = entry(i + 1)
		}
		if err == nil {
			err = w.tree(child, top, key, next)
		}
		least, key, child = key, next, nextChild
	}
	return err
}

// leaf visits the page p of keys and values.
func (w *pages) leaf(id uint64, p []byte, top bool, least, bound []byte) error {
	count := int(binary.NativeEndian.Uint16(p[10:]))
	for i := range count {
		e := p[min(len(p), pageHeader+i*element):]
		if len(e) < element {
			return fmt.Errorf("page %d is full before its entry %d", id, i)
		}
		number := func(at int) uint32 { return binary.NativeEndian.Uint32(e[at:]) }
		key, value, err := cell(e, count-i, number(4), number(8), number(12))
		switch isBucket := number(0) == bucketLeaf; {
		case err != nil:
		case !ordered(least, i == 0, key, bound):
			err = errors.New("its key is out of order")
		case isBucket != top || number(0) > bucketLeaf:
			err = errors.New("buckets contain records, and are in none themselves")
		case top:
			err = w.bucket(value)
		}
		if err != nil {
			return fmt.Errorf("page %d, entry %d: %w", id, i, err)
		}
		least = key
	}
	return nil
}

// bucket visits the pages of a bucket. A small one has none of its own.
func (w *pages) bucket(entry []byte) error {
	if len(entry) < bucketEntry {
		return errors.New("the bucket is cut off")
	}
	if root := binary.NativeEndian.Uint64(entry); root != 0 {
		return w.tree(root, false, nil, nil)
	}
	inline := entry[bucketEntry:]
	if len(inline) < pageHeader || binary.NativeEndian.Uint16(inline[8:]) != leafPage {
		return errors.New("the bucket has no page")
	}
	return w.leaf(0, inline, false, nil, nil)
}

// page returns the page of that number, with those that it runs over into, and notes that it was reached.
func (w *pages) page(id uint64) ([]byte, error) {
	if id < 2 || id >= uint64(w.pages) {
		return nil, fmt.Errorf("page %d of %d is no place for records", id, w.pages)
	}
	p := w.data[int64(id)*w.pageSize:]
	if own := binary.NativeEndian.Uint64(p); own != id {
		return nil, fmt.Errorf("page %d calls itself %d", id, own)
	}
	n := 1 + uint64(binary.NativeEndian.Uint32(p[12:]))
	if n > uint64(w.pages)-id {
		return nil, fmt.Errorf("page %d runs over the end of the file", id)
	}
	for at := id; at < id+n; at++ {
		if w.seen[at] {
			return nil, fmt.Errorf("page %d is used twice", at)
		}
		w.seen[at] = true
	}
	w.used += int64(n)
	return p[:int64(n)*w.pageSize], nil
}

// cell returns the key and value of an element, which lie at a distance from it, behind it and the elements that follow: left in all.
func cell(e []byte, left int, at, keySize, valueSize uint32) (key, value []byte, err error) {
	end := uint64(at) + uint64(keySize)
	if uint64(at) < uint64(left)*element || end+uint64(valueSize) > uint64(len(e)) {
		return nil, nil, errors.New("it lies outside its page")
	}
	return e[at:end], e[end : end+uint64(valueSize)], nil
}

// ordered reports whether last < key < bound; where or is set, key may be last, too. No bound: nil.
func ordered(last []byte, or bool, key, bound []byte) bool {
	c := bytes.Compare(last, key)
	return (c < 0 || or && c == 0) && (bound == nil || bytes.Compare(key, bound) < 0)
}
