package bolt

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.etcd.io/bbolt"

	"github.com/postrider/postrider/core"
)

// Config says where the file is and what it may take.
type Config struct {
	Path         string        // of the file; its directory must exist
	Logger       hclog.Logger  // nil: none
	DrainTimeout time.Duration // how long Consume waits for its handlers after the stop; 0: 20 s
	Reserve      int64         // bytes that stay free on the disk for what was accepted already; 0: 64 MiB, or an eighth of a small disk; negative: none
	MaxSize      int64         // bytes that the file may grow to; 0: whatever the disk has
	Retention    time.Duration // how long events are kept; 0: 72 h; never less than 24 h, for as long as ids must be remembered

	hooks      hooks
	checkpoint int64 // how long the journal gets before the file is written, in bytes; 0: checkpointSize
	freeSpace  func(path string) (int64, error)
}

const defaultDrain = 20 * time.Second

// DB is an open file. All methods may be called from any goroutine.
type DB struct {
	config      Config
	log         hclog.Logger
	file        *bbolt.DB
	clock       clock
	life        uint64 // how many times the file was opened: tells what was filed since
	space       *space
	trees       *trees
	committer   *committer
	lanes       map[core.QueueName]*lanes
	recent      recent
	consuming   map[core.QueueName]*sync.Mutex
	schedule    *schedule
	subscribers *subscribers

	watchMu  sync.Mutex
	watchers []func(core.SubscriberID)

	closing   chan struct{}
	closeOnce sync.Once
	closeErr  error
	stop      context.CancelFunc
	tasks     sync.WaitGroup
}

var _ core.Queue = (*DB)(nil)

// Open opens the file of c, making it if there is none. Its errors say what to do: a file that another daemon uses, one that is damaged or
// not Postrider's, or of another format version, and a full disk (wrapping [core.ErrNoSpace]).
func Open(c Config) (*DB, error) {
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = defaultDrain
	}
	if c.Reserve == 0 {
		c.Reserve = defaultReserve(c.Path)
	}
	if c.Retention == 0 {
		c.Retention = defaultRetention
	}
	c.Retention = max(c.Retention, minRetention)
	if c.freeSpace == nil {
		c.freeSpace = freeSpace
	}
	file, err := openFile(c.Path, c.MaxSize)
	if err != nil {
		if isNoSpace(err) {
			err = fmt.Errorf("%w: %w", core.ErrNoSpace, err)
		}
		return nil, err
	}
	db, err := start(c, file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return db, nil
}

func start(c Config, file *bbolt.DB) (*DB, error) {
	db := &DB{config: c, log: c.Logger.Named("bolt"), file: file, clock: newClock(), closing: make(chan struct{})}
	db.consuming = map[core.QueueName]*sync.Mutex{core.EventQueue: {}, core.DeliveryQueue: {}}
	db.lanes = map[core.QueueName]*lanes{}
	for q := range db.consuming {
		db.lanes[q] = newLanes(q, db.readLane(q))
	}
	db.schedule = newSchedule(db)
	if err := db.restore(); err != nil {
		return nil, fmt.Errorf("read %s: %w", c.Path, err)
	}
	db.space = &space{path: c.Path, reserve: c.Reserve, maxSize: c.MaxSize, file: file, free: c.freeSpace, start: time.Now()}
	db.space.page = int64(file.Info().PageSize)
	db.trees = &trees{file: file, life: db.life, hooks: c.hooks, long: cmp.Or(c.checkpoint, checkpointSize)}
	db.committer = newCommitter(db.trees, db.space, db.applied)
	ctx, stop := context.WithCancel(context.Background())
	db.stop = stop
	db.tasks.Go(func() { db.schedule.run(ctx) })
	db.tasks.Go(func() {
		if err := db.schedule.clamp(ctx); err != nil && ctx.Err() == nil {
			db.log.Error("what was scheduled by a clock that was ahead may come late", "error", err)
		}
	})
	db.tasks.Go(func() { db.retain(ctx) })
	return db, nil
}

// restore reads into memory what is kept there.
func (db *DB) restore() error {
	return readable(func() error { return db.file.View(db.restoreFrom) })
}

func (db *DB) restoreFrom(tx *bbolt.Tx) error {
	db.life = 1
	if value := tx.Bucket(bucketMeta).Get(keyLife); value != nil {
		life, err := decodeNumber(bucketMeta, keyLife, value)
		if err != nil {
			return err
		}
		db.life = life + 1
	}
	var err error
	if db.subscribers, err = loadSubscribers(tx); err != nil {
		return err
	}
	// The index is counted, lane by lane, and nothing of it kept.
	var lane []byte
	n := 0
	c := tx.Bucket(bucketReady).Cursor()
	for k, _ := c.First(); ; k, _ = c.Next() {
		if k != nil && len(k) < 2+refLength {
			return damaged(bucketReady, k, "the key is cut off")
		}
		if n > 0 && (k == nil || !bytes.Equal(lane, k[:len(k)-refLength])) {
			q := core.DeliveryQueue
			if lane[0] == queueByte(core.EventQueue) {
				q = core.EventQueue
			}
			db.lanes[q].found(string(lane[1:len(lane)-1]), n)
			n = 0
		}
		if k == nil {
			break
		}
		lane = k[:len(k)-refLength]
		n++
	}
	due := tx.Bucket(bucketDue).Cursor()
	for k, _ := due.First(); k != nil; k, _ = due.Next() {
		if len(k) != 8+refLength {
			return damaged(bucketDue, k, "the key is cut off")
		}
		_, r := dueOf(k)
		db.schedule.count[r.queue()]++
	}
	return nil
}

// Failed gives one error when nothing can be written any more: the daemon must end. Starting it again finds everything that was
// acknowledged.
func (db *DB) Failed() <-chan error { return db.committer.failed }

// Close ends the DB: a Consume that still runs ends with [core.ErrClosed], what was handed in before is committed. Closing twice is
// fine.
func (db *DB) Close() error {
	db.closeOnce.Do(func() {
		close(db.closing)
		db.stop()
		db.committer.close()
		db.tasks.Wait()
		if db.committer.wrecked {
			return // closing would wait for ever; the process has to end anyway
		}
		db.closeErr = db.trees.close()
	})
	return db.closeErr
}
