package bolt

import (
	"fmt"
	"runtime"
	"sync"
	"time"

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

	// A request that settles changes nothing: it is answered once the file has everything that was asked for before. With still, that is then run before
	// anything else is written.
	settle bool
	still  func() error

	effects  effects
	err      error
	answered bool
	done     chan struct{}
}

// maxGroup is how many bytes one commit takes at most, so that a flood of large events can't make a transaction of a gigabyte.
const maxGroup = 16 << 20

// settleAfter is how long a change is in the journal alone, at most, where there is room for it in the file.
const settleAfter = time.Second

// committer makes durable whatever waits, as one group, at once: the fsync is shared by all that arrived during the one before.
type committer struct {
	trees *trees
	space *space
	apply func(*request) // tells memory what has become durable, in the order of the commits

	tryAgain time.Time // when a journal that is long may be brought into a file that had no room for it

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

// hooks let tests die: after an error nothing is written or acknowledged any more.
type hooks struct {
	beforeCommit func() error // of a group
	afterCommit  func() error // before memory learns of it, and before anybody is answered

	beforeCheckpoint func() error
	afterCheckpoint  func() error // before the journal begins anew
}

// runHook runs hook, if there is one.
func runHook(hook func() error) error {
	if hook == nil {
		return nil
	}
	return hook()
}

func newCommitter(t *trees, s *space, apply func(*request)) *committer {
	c := &committer{
		trees: t, space: s, apply: apply,
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
	settle := time.NewTimer(settleAfter)
	defer settle.Stop()
	waits := true // settle will come
	for {
		select {
		case <-c.signal:
		case <-settle.C:
			waits = false
			c.checkpoint() //nolint:errcheck // tried again, or told already
		}
		// Those whom the last commit answered are about to come back: let them, or every other group is a group of one.
		runtime.Gosched()
		for {
			group := c.take()
			if len(group) == 0 {
				break
			}
			c.commit(group)
			if c.trees.isLong() && time.Now().After(c.tryAgain) {
				c.checkpoint() //nolint:errcheck // tried again, or told already
			}
			runtime.Gosched()
		}
		if !waits && !c.trees.isWritten() {
			settle.Reset(settleAfter)
			waits = true
		}
		c.mu.Lock()
		ended := c.closed && len(c.waiting) == 0
		c.mu.Unlock()
		if ended {
			c.settle(c.trees.complete) //nolint:errcheck // what is not in the file is in the journal
			return
		}
	}
}

// checkpoint writes the file, where that is possible.
func (c *committer) checkpoint() error { return c.settle(c.trees.checkpoint) }

// settle writes the file by write. A full disk is an error of this call alone: everything is in the journal still.
func (c *committer) settle(write func() error) error {
	if err := c.brokenBy(); err != nil {
		return err
	}
	err := c.guarded(write)
	switch {
	case err == nil:
		return nil
	case isNoSpace(err):
		c.space.ranOut()
		c.tryAgain = time.Now().Add(settleAfter) // each try takes a look at the whole file
		return fmt.Errorf("%w: %w", core.ErrNoSpace, err)
	}
	c.fail(err, nil)
	return c.brokenBy()
}

// guarded runs f. A panic in it, which bbolt has on a damaged page, is an error after which the trees are not touched again.
func (c *committer) guarded(f func() error) (err error) {
	panicked := guard(func() error { err = f(); return nil })
	if panicked == nil {
		return err
	}
	c.wrecked = true
	return panicked
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
		err := c.guarded(func() (err error) { group, err = c.transact(group); return err })
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

// transact makes one group durable. It answers what was refused and, without an error, everything; with one, it returns what is still
// unanswered. A request that fails half-way spoils what the others have done: they are then tried again without it.
func (c *committer) transact(group []*request) ([]*request, error) {
	for {
		kept, whole := group, true
		err := c.trees.change(func(w *write) bool { kept, whole = c.applyTo(w, group); return whole })
		switch {
		case err != nil:
			return kept, err
		case !whole && len(kept) > 0:
			group = kept
			continue
		}
		for _, r := range kept {
			c.apply(r)
			if r.settle {
				c.answer([]*request{r}, c.settleFor(r))
			}
		}
		c.answer(kept, nil)
		return nil, nil
	}
}

// settleFor does what r asks for beyond a checkpoint.
func (c *committer) settleFor(r *request) error {
	if r.still == nil {
		return c.checkpoint()
	}
	if err := c.settle(c.trees.complete); err != nil {
		return err
	}
	return r.still()
}

// applyTo applies group to w, and answers what is refused. It returns what is left of the group; whole is false when one of it failed half-way.
func (c *committer) applyTo(w *write, group []*request) (kept []*request, whole bool) {
	kept = make([]*request, 0, len(group))
	for i, r := range group {
		r.effects = effects{}
		w.effects = &r.effects
		if r.settle {
			kept = append(kept, r)
			continue
		}
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

// refuse answers what need not be tried again, and returns the rest.
func (c *committer) refuse(group []*request) (essential []*request) {
	for i, r := range group {
		if r.essential {
			essential = append(essential, r)
			continue
		}
		c.answer(group[i:i+1], fmt.Errorf("%w: the disk of %s is full: free some space", core.ErrNoSpace, c.trees.file.Path()))
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
	err := fmt.Errorf("%w: writing %s failed, nothing is accepted until the daemon is started again: %v", core.ErrUnavailable, c.trees.file.Path(), cause)
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
