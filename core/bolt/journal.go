package bolt

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
)

// journal is a file beside the trees that says what was changed since they were last written, so that a group of requests is durable after one write and
// one sync of what it changed, and the trees are written once for a thousand of them.
//
// It is a row of frames, one for each group, each at a multiple of blockSize, so that writing one never touches a block of another. A frame is a header
// and changes. Numbers in the header are big-endian:
//
//	name(8) index(8) length(4) crc(4) check(4)
//
// The name is random. The trees say by which one their journal goes, and take another whenever they are written: frames of the old name are then
// done with, and overwritten. Index counts from 0, length is that of the changes, crc their CRC32C, and check the CRC32C of the header before it.
type journal struct {
	path   string
	file   *os.File
	name   uint64
	frames uint64 // how many there are
	end    int64  // where the next one goes
}

const (
	blockSize   = 4096
	frameHeader = 28
)

// journalPath returns where the journal of the file at path is.
func journalPath(path string) string { return path + ".journal" }

// noJournal is the name of none.
const noJournal = 0

// newJournalName returns a name that no journal has.
func newJournalName() uint64 {
	var b [8]byte
	rand.Read(b[:]) //nolint:errcheck // never fails
	return binary.BigEndian.Uint64(b[:]) | 1
}

// createJournal makes a journal at path, in the place of any that is there. It takes frames once it has a name by restart.
func createJournal(path string) (*journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(file.Sync(), syncDir(path)); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &journal{path: path, file: file}, nil
}

// openJournal opens the journal at path whose name the trees have. What is in it is found by replay.
func openJournal(path string, name uint64) (*journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing: it holds what was accepted last before the daemon was killed: put it back beside the database; "+
			"or bring back a backup by `postrider db restore`", path)
	}
	if err != nil {
		return nil, err
	}
	return &journal{path: path, file: file, name: name}, nil
}

// restart forgets all frames. The next ones go by another name.
func (j *journal) restart(name uint64) { j.name, j.frames, j.end = name, 0, 0 }

// append makes frame durable: room for a header, and changes. Where it could not be written, it is as if append had not been called; where it could not be
// synced, nobody knows.
func (j *journal) append(frame []byte) error {
	changes := frame[frameHeader:]
	header := binary.BigEndian.AppendUint64(frame[:0], j.name)
	header = binary.BigEndian.AppendUint64(header, j.frames)
	header = binary.BigEndian.AppendUint32(header, uint32(len(changes)))
	header = binary.BigEndian.AppendUint32(header, crc32.Checksum(changes, castagnoli))
	binary.BigEndian.AppendUint32(header, crc32.Checksum(header, castagnoli))
	if _, err := j.file.WriteAt(frame, j.end); err != nil {
		return err
	}
	if err := syncData(j.file); err != nil {
		return fmt.Errorf("sync %s: %w", j.path, err)
	}
	j.frames++
	j.end += blocks(int64(len(frame)))
	return nil
}

// blocks rounds n bytes up to whole blocks.
func blocks(n int64) int64 { return (n + blockSize - 1) / blockSize * blockSize }

// replay gives the changes of every frame to visit, in order, and goes on behind the last one. A frame that was cut off by a crash was never acknowledged,
// and nothing follows it; if there are others behind a broken one, the journal is damaged.
func (j *journal) replay(visit func(changes []byte) error) error {
	j.restart(j.name)
	for {
		changes, ok, err := j.read()
		if err != nil {
			return err
		}
		if !ok {
			return j.checkTail()
		}
		if err := visit(changes); err != nil {
			return err
		}
		j.frames++
		j.end += blocks(int64(frameHeader + len(changes)))
	}
}

// read returns the changes of the frame at j.end; ok is false where there is no whole one of this journal.
func (j *journal) read() (changes []byte, ok bool, err error) {
	length, crc, ok, err := j.readHeader(j.end, func(index uint64) bool { return index == j.frames })
	if !ok || err != nil {
		return nil, false, err
	}
	changes = make([]byte, length)
	if _, err := j.file.ReadAt(changes, j.end+frameHeader); err != nil {
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return nil, false, err
	}
	return changes, crc32.Checksum(changes, castagnoli) == crc, nil
}

func (j *journal) readHeader(at int64, wanted func(index uint64) bool) (length, crc uint32, ok bool, err error) {
	var h [frameHeader]byte
	if _, err := j.file.ReadAt(h[:], at); err != nil {
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return 0, 0, false, err
	}
	length, crc = binary.BigEndian.Uint32(h[16:]), binary.BigEndian.Uint32(h[20:])
	ok = binary.BigEndian.Uint64(h[:]) == j.name && wanted(binary.BigEndian.Uint64(h[8:])) &&
		binary.BigEndian.Uint32(h[24:]) == crc32.Checksum(h[:24], castagnoli)
	return length, crc, ok, nil
}

// checkTail makes sure that no frame follows the last whole one.
func (j *journal) checkTail() error {
	info, err := j.file.Stat()
	if err != nil {
		return err
	}
	for at := j.end; at < info.Size(); at += blockSize {
		_, _, ok, err := j.readHeader(at, func(index uint64) bool { return index > j.frames })
		if err != nil {
			return err
		}
		if ok {
			return fmt.Errorf("%s, frame %d at byte %d: %w", j.path, j.frames, j.end, errDamaged)
		}
	}
	return nil
}

func (j *journal) close() error { return j.file.Close() }

// remove closes the journal and takes its file away: the trees say that they have none.
func (j *journal) remove() error { return errors.Join(j.file.Close(), os.Remove(j.path)) }
