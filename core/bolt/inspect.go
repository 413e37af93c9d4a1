package bolt

import (
	"context"
	"errors"
	"fmt"
	"io"

	"go.etcd.io/bbolt"
)

// ErrInUse says that the file is a running daemon's.
var ErrInUse = errors.New("a daemon uses the database")

// Inspection looks at a file that no daemon uses. It changes nothing, and no daemon can start on the file until it is closed.
type Inspection struct {
	path string
	file *bbolt.DB
	used int64 // pages
}

// Inspect opens the file at path after visiting every page of it. Where its daemon was killed, it first brings into it what its journal has, as the next
// start would. Its errors say what to do: a daemon uses the file, it is damaged or not Postrider's, or of another format version.
func Inspect(path string) (*Inspection, error) {
	file, used, err := openSound(path)
	if errors.As(err, new(*inUse)) {
		return nil, usedMeanwhile(path)
	}
	if err != nil {
		return nil, err
	}
	i := &Inspection{path, file, used}
	var journal uint64
	err = i.view(func(tx *bbolt.Tx) error {
		if err := checkFormat(path, tx); err != nil {
			return err
		}
		var err error
		journal, err = journalNameOf(tx)
		return err
	})
	if err != nil || journal != noJournal {
		err = errors.Join(err, i.Close())
	}
	switch {
	case err != nil:
		return nil, err
	case journal == noJournal:
		return i, nil
	}
	if err := settleFile(path); errors.As(err, new(*inUse)) {
		return nil, usedMeanwhile(path)
	} else if err != nil {
		return nil, fmt.Errorf("bring the journal of %s into it: %w", path, err)
	}
	return Inspect(path)
}

func usedMeanwhile(path string) error {
	return fmt.Errorf("%w: stop it before you look into %s", ErrInUse, path)
}

// settleFile brings into the file at path what its journal has.
func settleFile(path string) error {
	file, err := openLocked(path, 0)
	if err != nil {
		return err
	}
	return errors.Join(recoverJournal(file, path), file.Close())
}

func (i *Inspection) view(f func(tx *bbolt.Tx) error) error {
	return guard(func() error { return i.file.View(f) })
}

// Close closes the file. Closing twice is fine.
func (i *Inspection) Close() error { return i.file.Close() }

// WriteTo writes the whole file to w.
func (i *Inspection) WriteTo(w io.Writer) (n int64, err error) {
	err = i.view(func(tx *bbolt.Tx) error {
		n, err = tx.WriteTo(w)
		return err
	})
	return n, err
}

// Stats is what the file holds.
type Stats struct {
	Path        string
	Size, Free  int64 // bytes
	Events      int
	Open        int // messages that wait or are in flight
	Scheduled   int // those of them that are due later
	Attempts    int
	DeadLetters int
	Subscribers int
}

// Stats counts. It reads all pages but those of large records, so it takes about a second per million events.
func (i *Inspection) Stats(ctx context.Context) (s Stats, err error) {
	if err := ctx.Err(); err != nil {
		return s, err
	}
	s.Path = i.path
	err = i.view(func(tx *bbolt.Tx) error {
		s.Size = tx.Size()
		s.Free = s.Size - i.used*int64(i.file.Info().PageSize)
		count := func(name []byte) int { return tx.Bucket(name).Stats().KeyN }
		s.Events, s.Open, s.Scheduled = count(bucketIDs), count(bucketOpen), count(bucketDue)
		s.Attempts, s.DeadLetters, s.Subscribers = count(bucketAttempts), count(bucketDead), count(bucketSubscribers)
		return nil
	})
	return s, err
}
