package bolt

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/crew"
)

// abandonGrace is how long a Handler gets to notice that the drain deadline has passed.
const abandonGrace = 250 * time.Millisecond

// Consume implements [core.Queue]. Goroutines are started when there is work, up to concurrency, and end when there is none.
// A lane whose Handler fails rests for 100 ms, then twice as long each time up to 5 s, until one succeeds; other lanes go on.
func (db *DB) Consume(ctx context.Context, q core.QueueName, concurrency int, h core.Handler) error {
	lanes := db.lanes[q]
	if lanes == nil {
		return core.Invalidf("queue", "no queue is called %q", string(q))
	}
	if !db.consuming[q].TryLock() {
		return fmt.Errorf("queue %q of %s is being consumed already", q, db.config.Path)
	}
	defer db.consuming[q].Unlock()
	lanes.releaseAll()
	handling, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	c := &consumer{db: db, lanes: lanes, handler: h, intake: ctx, handling: handling, busy: make(chan struct{}, max(1, concurrency)),
		workers: crew.New(), failed: make(chan error, 1)}
	err := c.run()
	return errors.Join(err, c.drain(abandon))
}

// consumer is one running Consume.
type consumer struct {
	db       *DB
	lanes    *lanes
	handler  core.Handler
	intake   context.Context // ends: claim no more
	handling context.Context // ends: give up what is in flight
	ended    atomic.Bool     // claim no more either
	busy     chan struct{}   // holds one for each running worker
	workers  *crew.Crew
	failed   chan error // why nothing can be claimed
}

// run has workers claim what there is, until the intake ends.
func (c *consumer) run() error {
	defer c.ended.Store(true)
	c.lanes.offerTo(c.enlist)
	defer c.lanes.offerTo(nil)
	select {
	case <-c.intake.Done():
		return nil
	case <-c.db.closing:
		return core.ErrClosed
	case <-c.db.committer.dead:
		return nil // drain tells why
	case err := <-c.failed:
		return fmt.Errorf("read queue %q: %w", c.lanes.queue, err)
	}
}

// enlist starts a worker, unless as many as may be are at work: whoever of them is done first claims what is next.
func (c *consumer) enlist() {
	select {
	case c.busy <- struct{}{}:
		c.workers.Go(c.work)
	default:
	}
}

// work handles whatever is ready, one message after the other.
func (c *consumer) work() {
	for c.intake.Err() == nil && !c.ended.Load() && !c.db.committer.ended() {
		next, err := c.lanes.claim()
		if err != nil {
			c.fail(err)
			break
		}
		if next == nil {
			<-c.busy
			c.lanes.tellAgain() // something may have come between the claim and this, when all were at work
			return
		}
		c.handle(next)
	}
	<-c.busy
}

// fail ends the consumer.
func (c *consumer) fail(err error) {
	select {
	case c.failed <- err:
	default: // another worker was first
	}
}

// handle hands one message to the Handler, and what it made of it to the file.
func (c *consumer) handle(claimed *claim) {
	message, ok, err := c.db.load(claimed)
	switch {
	case errors.Is(err, core.ErrClosed):
		c.lanes.giveBack(claimed, nil)
		return
	case err != nil:
		c.setAside(claimed, err)
		return
	case !ok:
		c.lanes.vanished(claimed)
		return
	}
	result, err := c.handler(c.handling, message)
	if err == nil {
		err = c.db.handOver(claimed, result)
	}
	if err == nil {
		return
	}
	if errors.Is(err, core.ErrDamaged) { // offered again, it would fail again, hold up its lane, and maybe be attempted each time
		c.setAside(claimed, err)
		return
	}
	var held *core.Held
	if !errors.As(err, &held) && c.handling.Err() == nil && !errors.Is(err, core.ErrClosed) && c.db.committer.brokenBy() == nil {
		c.db.log.Warn("a message was not consumed and will be offered again", "event", message.Event,
			"subscriber", message.Subscriber, "attempt", message.Attempt, "error", err)
	}
	c.lanes.giveBack(claimed, held)
}

// setAside leaves a message alone for which something must be read that is damaged.
func (c *consumer) setAside(claimed *claim, why error) {
	c.db.log.Error("a message needs a damaged record; it is kept, and offered again after the next start", "lane", claimed.lane.name, "error", why)
	c.lanes.setAside(claimed)
}

// drain waits for the workers, at most until the drain deadline.
func (c *consumer) drain(abandon func()) error {
	done := make(chan struct{})
	go func() { c.workers.Wait(); close(done) }()
	deadline := time.NewTimer(c.db.config.DrainTimeout)
	defer deadline.Stop()
	select {
	case <-done:
		return c.db.committer.brokenBy()
	case <-deadline.C:
	}
	abandon()
	grace := time.NewTimer(abandonGrace)
	defer grace.Stop()
	select {
	case <-done:
	case <-grace.C:
	}
	return fmt.Errorf("queue %q: handlers were still running %v after the stop: what they had in hand is delivered again at the next start",
		c.lanes.queue, c.db.config.DrainTimeout)
}

// handOver makes what takes the place of a message durable, and forgets the message, in one transaction.
func (db *DB) handOver(c *claim, result core.Result) error {
	next, size, err := db.prepareHandOver(result)
	if err != nil {
		return err
	}
	for i := range next {
		if o := &next[i]; o.message.Event == c.event && o.message.Subscriber == c.ref.sub && o.waiting.attempt == c.attempt {
			o.waiting.delay = max(0, o.waiting.due-db.clock.now().UnixMilli())
		}
	}
	r := &request{
		essential: true,
		size:      size,
		apply: func(w *write) error {
			if err := w.consume(c); err != nil {
				return err
			}
			if err := w.log(result.Log); err != nil {
				return err
			}
			for _, o := range next {
				if err := w.follow(o); err != nil {
					return err
				}
			}
			return nil
		},
	}
	if err := db.committer.do(r); err != nil {
		return err
	}
	db.notify(r.effects.subscribers)
	return nil
}

// prepareHandOver checks and encodes what takes the place of a message, outside of any transaction.
func (db *DB) prepareHandOver(result core.Result) (next []prepared, size int, err error) {
	next, size, err = db.prepare(result.Next)
	if err != nil {
		return nil, 0, fmt.Errorf("what follows is refused: %w", err)
	}
	if err := checkRecords(result.Log); err != nil {
		return nil, 0, fmt.Errorf("the log record is refused: %w", err)
	}
	return next, size + recordsSize(result.Log), nil
}
