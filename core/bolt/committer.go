package bolt

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"github.com/postrider/postrider/core"
)

// request is one thing to be written.
type request struct {
	// check refuses the request before anything is changed. It is given what the requests before it in the group have done. May be nil.
	check func(w *write) error
	// apply changes. It may run several times, each in a transaction that knows nothing of the run before. An error takes the
	// whole transaction down; the group is then committed without this request.
	apply func(w *write) error
	// essential requests are tried again until there is space: what they write was promised, or makes room.
	essential bool
	size      int // about what it writes, in bytes

	effects  effects
	err      error
	answered bool
	done     chan struct{}
}

// maxGroup is how many bytes one commit takes at most, so that a flood of large events can't make a transaction of a gigabyte.
const maxGroup = 16 << 20

// committer commits whatever waits, in one transaction, at once: the fsync is shared by all that arrived during the one before.
type committer struct {
	file  *bbolt.DB
	space *space
	life  uint64
	apply func(*request) // tells memory what has become durable, in the order of the commits
	hooks hooks

	lifeWritten bool

	mu      sync.Mutex
	waiting []*request
	closed  bool
	broken  error // why nothing can be written any more
	wrecked bool  // bbolt panicked in a transaction: its locks are taken for ever; read after exited
	signal  chan struct{}
	failed  chan error
	dead    chan struct{} // closed once broken
	exited  chan struct{} // closed once run has returned
}

// hooks let tests die around a commit: after an error nothing is written or acknowledged any more.
type hooks struct {
	beforeCommit func() error
	afterCommit  func() error // before memory learns of it, and before anybody is answered
}

func newCommitter(file *bbolt.DB, s *space, life uint64, h hooks, apply func(*request)) *committer {
	c := &committer{
		file: file, space: s, life: life, hooks: h, apply: apply,
		signal: make(chan struct{}, 1), failed: make(chan error, 1), dead: make(chan struct{}), exited: make(chan struct{}),
	}
	go c.run()
	return c
}

// do returns when r is durable, or why it is not. It can't be cancelled: what was handed in may be on its way to the disk.
func (c *committer) do(r *request) error {
	r.done = make(chan struct{})
	c.mu.Lock()
	switch {
	case c.broken != nil:
		c.mu.Unlock()
		return c.broken
	case c.closed:
		c.mu.Unlock()
		return core.ErrClosed
	}
	c.waiting = append(c.waiting, r)
	c.mu.Unlock()
	poke(c.signal)
	<-r.done
	return r.err
}

// poke wakes whoever waits on a channel of capacity 1.
func poke(signal chan struct{}) {
	select {
	case signal <- struct{}{}:
	default:
	}
}

// close commits what waits, and ends the committer.
func (c *committer) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	poke(c.signal)
	<-c.exited
}

func (c *committer) run() {
	defer close(c.exited)
	for range c.signal {
		// Those whom the last commit answered are about to come back: let them, or every other group is a group of one.
		runtime.Gosched()
		for {
			group := c.take()
			if len(group) == 0 {
				break
			}
			c.commit(group)
			runtime.Gosched()
		}
		c.mu.Lock()
		ended := c.closed && len(c.waiting) == 0
		c.mu.Unlock()
		if ended {
			return
		}
	}
}

// take removes what one transaction can hold from the front of what waits.
func (c *committer) take() []*request {
	c.mu.Lock()
	defer c.mu.Unlock()
	size, n := 0, 0
	for n < len(c.waiting) && (n == 0 || size < maxGroup) {
		size += c.waiting[n].size
		n++
	}
	group := c.waiting[:n:n]
	if c.waiting = c.waiting[n:]; len(c.waiting) == 0 {
		c.waiting = nil
	}
	return group
}

// commit makes group durable and answers all of it.
func (c *committer) commit(group []*request) {
	if c.brokenBy() != nil {
		c.answer(group, c.brokenBy())
		return
	}
	for pause := 10 * time.Millisecond; len(group) > 0; pause = min(2*pause, time.Second) {
		var err error
		if panicked := guard(func() error { group, err = c.transact(group); return nil }); panicked != nil {
			err, c.wrecked = panicked, true
		}
		if err == nil {
			return
		}
		if !isNoSpace(err) {
			c.fail(err, group)
			return
		}
		c.space.ranOut()
		group = c.refuse(group)
		if len(group) == 0 {
			return
		}
		if c.isClosed() {
			c.answer(group, fmt.Errorf("%w: %w", core.ErrNoSpace, err))
			return
		}
		time.Sleep(pause)
		c.mu.Lock()
		more := c.waiting
		c.waiting = nil
		c.mu.Unlock()
		group = append(group, c.refuse(more)...)
	}
}

// transact runs one transaction. It answers what was refused and, without an error, everything; with one, it returns what is still
// unanswered. A request that fails half-way takes the transaction down: the others are then tried again without it.
func (c *committer) transact(group []*request) ([]*request, error) {
	for {
		tx, err := c.file.Begin(true)
		if err != nil {
			return group, err
		}
		w := newWrite(tx, c.life)
		kept, whole := c.applyTo(w, group)
		if !whole {
			if group = kept; len(group) == 0 {
				return nil, tx.Rollback()
			}
			if err := tx.Rollback(); err != nil {
				return group, err
			}
			continue
		}
		if err := c.finish(w); err != nil {
			return kept, err
		}
		for _, r := range kept {
			c.apply(r)
		}
		c.answer(kept, nil)
		return nil, nil
	}
}

// applyTo applies group to w, and answers what is refused. It returns what is left of the group; whole is false when one of it failed half-way.
func (c *committer) applyTo(w *write, group []*request) (kept []*request, whole bool) {
	kept = make([]*request, 0, len(group))
	for i, r := range group {
		r.effects = effects{}
		w.effects = &r.effects
		if r.check != nil {
			if err := r.check(w); err != nil {
				c.answer(group[i:i+1], err)
				continue
			}
		}
		if err := r.apply(w); err != nil {
			c.answer(group[i:i+1], err)
			return append(kept, group[i+1:]...), false
		}
		kept = append(kept, r)
	}
	return kept, true
}

// finish commits what was written, if anything was.
func (c *committer) finish(w *write) error {
	if !w.dirty {
		return w.tx.Rollback()
	}
	if !c.lifeWritten {
		// Together with the first thing that is filed in this life, so that no two lives ever file under one number.
		if err := w.put(w.tx.Bucket(bucketMeta), keyLife, encodeNumber(c.life)); err != nil {
			return errors.Join(err, w.tx.Rollback())
		}
	}
	if c.hooks.beforeCommit != nil {
		if err := c.hooks.beforeCommit(); err != nil {
			return errors.Join(err, w.tx.Rollback())
		}
	}
	if err := w.tx.Commit(); err != nil {
		return err
	}
	c.lifeWritten = true
	if c.hooks.afterCommit != nil {
		return c.hooks.afterCommit()
	}
	return nil
}

// refuse answers what need not be tried again, and returns the rest.
func (c *committer) refuse(group []*request) (essential []*request) {
	for i, r := range group {
		if r.essential {
			essential = append(essential, r)
			continue
		}
		c.answer(group[i:i+1], fmt.Errorf("%w: the disk of %s is full: free some space", core.ErrNoSpace, c.file.Path()))
	}
	return essential
}

func (c *committer) answer(group []*request, err error) {
	for _, r := range group {
		if !r.answered {
			r.err, r.answered = err, true
			close(r.done)
		}
	}
}

// fail ends all writing: after a failed fsync nobody knows what the disk holds until the file is opened anew. The cause is told, not wrapped: requests that
// come later get the same error, and where a damaged page was to blame, they need not be about any damaged record.
func (c *committer) fail(cause error, group []*request) {
	err := fmt.Errorf("%w: writing %s failed, nothing is accepted until the daemon is started again: %v", core.ErrUnavailable, c.file.Path(), cause)
	c.mu.Lock()
	c.broken = err
	c.mu.Unlock()
	c.failed <- err
	close(c.dead)
	c.answer(group, err)
}

func (c *committer) brokenBy() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}

// ended reports whether nothing can be handed in any more.
func (c *committer) ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed || c.broken != nil
}

func (c *committer) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}
