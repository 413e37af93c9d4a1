package bolt

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"github.com/postrider/postrider/core"
)

// schedule moves messages that have become due from the due index into their lanes.
type schedule struct {
	db *DB

	mu       sync.Mutex
	earliest int64 // milliseconds: nothing is due before; 0: not known
	count    map[core.QueueName]int
	signal   chan struct{}

	aside map[ref]struct{} // damaged messages, which stay in the file and wait for the next start; only run uses it
}

// dueBatch is how many messages become ready in one transaction.
const dueBatch = 1024

func newSchedule(db *DB) *schedule {
	return &schedule{db: db, count: map[core.QueueName]int{}, signal: make(chan struct{}, 1), aside: map[ref]struct{}{}}
}

// applied notes what a durable request scheduled.
func (s *schedule) applied(fx *effects) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for q, n := range fx.scheduled {
		s.count[q] += n
	}
	if fx.earliest != 0 && (s.earliest == 0 || fx.earliest < s.earliest) {
		s.earliest = fx.earliest
		poke(s.signal)
	}
}

func (s *schedule) depths() map[core.QueueName]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return map[core.QueueName]int{core.EventQueue: s.count[core.EventQueue], core.DeliveryQueue: s.count[core.DeliveryQueue]}
}

// run works until ctx ends.
func (s *schedule) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		next, err := s.next()
		wait := time.Hour
		switch {
		case err != nil:
			s.db.log.Error("the schedule cannot be read: what is due waits", "error", err)
			wait = restMax
		case next != 0:
			wait = time.UnixMilli(next).Sub(s.db.clock.now())
		}
		if next != 0 && wait <= 0 {
			if err = s.move(); err == nil {
				continue
			}
			if ctx.Err() == nil {
				s.db.log.Error("what is due cannot be made ready", "error", err)
			}
			wait = restMax
		}
		timer.Reset(min(wait, time.Hour))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.signal:
		}
	}
}

// next returns the earliest due time in the file, 0 if there is none.
func (s *schedule) next() (int64, error) {
	s.mu.Lock()
	s.earliest = 0 // what is committed from here on pokes
	s.mu.Unlock()
	var ms int64
	err := s.db.look(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketDue).Cursor()
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			at, r := dueOf(k)
			if _, damaged := s.aside[r]; !damaged {
				ms = at
				return nil
			}
		}
		return nil
	})
	s.mu.Lock()
	if ms != 0 && (s.earliest == 0 || ms < s.earliest) {
		s.earliest = ms
	}
	s.mu.Unlock()
	return ms, err
}

// move makes up to dueBatch messages ready.
func (s *schedule) move() error {
	var broken map[ref]error
	err := s.db.committer.do(&request{
		essential: true,
		size:      dueBatch * 128,
		apply: func(w *write) error {
			now := s.db.clock.now().UnixMilli()
			broken = map[ref]error{}
			var batch []ref
			c := w.due.bucket.Cursor()
			for k, _ := c.First(); k != nil && len(batch) < dueBatch; k, _ = c.Next() {
				ms, r := dueOf(k)
				if ms > now {
					break
				}
				if _, damaged := s.aside[r]; !damaged {
					batch = append(batch, r)
				}
			}
			for _, r := range batch {
				if err := w.makeReady(r); errors.Is(err, core.ErrDamaged) {
					broken[r] = err
				} else if err != nil {
					return err
				}
			}
			return nil
		},
	})
	if err != nil {
		return err
	}
	for r, err := range broken {
		s.db.log.Error("a message that is due needs a damaged record; it is kept, and offered again after the next start", "error", err)
		s.aside[r] = struct{}{}
	}
	return nil
}

// clamp brings forward what is due further ahead than the delay that was asked for: it was filed by a clock that has been set back since.
func (s *schedule) clamp(ctx context.Context) error {
	for from, next := []byte{0}, []byte(nil); from != nil && ctx.Err() == nil; from = next {
		err := s.db.committer.do(&request{
			essential: true,
			size:      dueBatch * 128,
			apply: func(w *write) error {
				now := s.db.clock.now()
				ahead := map[ref]int64{}
				c := w.due.bucket.Cursor()
				k, _ := c.Seek(from)
				for range dueBatch {
					if k == nil {
						break
					}
					ms, r := dueOf(k)
					if delay, ok := w.delayOf(r); ok && ms > now.Add(delay+time.Millisecond).UnixMilli() {
						ahead[r] = now.Add(delay).UnixMilli()
					}
					k, _ = c.Next()
				}
				next = bytes.Clone(k)
				for r, ms := range ahead {
					if err := w.reschedule(r, ms); err != nil {
						return err
					}
				}
				return nil
			},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// delayOf returns how long the message of r was to wait, as it says itself, or the attempt before does.
func (w *write) delayOf(r ref) (time.Duration, bool) {
	key := r.key()
	m, err := decodeWaiting(key, w.open.get(key))
	if err != nil {
		return 0, false // makeReady will tell
	}
	if m.delay > 0 {
		return time.Duration(m.delay) * time.Millisecond, true
	}
	key = r.attemptKey(m.attempt - 1)
	value := w.attempts.get(key)
	if value == nil {
		return 0, false
	}
	a, err := decodeAttempt("", key, value)
	if err != nil || a.Due.IsZero() || a.Started.IsZero() {
		return 0, false
	}
	return max(0, a.Due.Sub(a.Started.Add(a.Duration))), true
}

// reschedule changes when a scheduled message is due.
func (w *write) reschedule(r ref, ms int64) error {
	key := r.key()
	m, err := decodeWaiting(key, w.open.get(key))
	if err != nil {
		return err
	}
	if err := w.unindex(r, m); err != nil {
		return err
	}
	m.due = ms
	if w.effects.earliest == 0 || ms < w.effects.earliest {
		w.effects.earliest = ms
	}
	if err := w.put(w.open, key, encodeWaiting(m)); err != nil {
		return err
	}
	return w.index(w.due, r.dueKey(ms))
}

// makeReady moves one scheduled message into its lane. It changes nothing of one that is damaged.
func (w *write) makeReady(r ref) error {
	key := r.key()
	m, err := decodeWaiting(key, w.open.get(key))
	if err != nil {
		return err
	}
	if err := w.unindex(r, m); err != nil {
		return err
	}
	w.scheduled(r, -1)
	m.due, m.delay = 0, 0
	if err := w.put(w.open, key, encodeWaiting(m)); err != nil {
		return err
	}
	w.effects.ready = append(w.effects.ready, entry{m.lane, r})
	return w.index(w.ready, r.readyKey(m.lane))
}
