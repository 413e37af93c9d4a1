package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/crew"
)

const (
	// windowMin and windowMax bound how many messages of a queue the broker delivers ahead. Quorum queues allow a consumer 2,000.
	windowMin = 256
	windowMax = 2000

	// abandonGrace is how long a Handler gets to notice that the drain deadline has passed.
	abandonGrace = 250 * time.Millisecond

	// expireEvery is how often the window is searched for what has waited there for too long.
	expireEvery = 10 * time.Second
)

// Consume implements [core.Queue]. A lane whose Handler fails rests for 100 ms, then twice as long each time up to 5 s, until one succeeds; other lanes
// go on. While there is no broker nothing is handed over; what was in hand when it went away is delivered again.
func (q *Queue) Consume(ctx context.Context, name core.QueueName, concurrency int, h core.Handler) error {
	consuming := q.consuming[name]
	if consuming == nil {
		return core.Invalidf("queue", "no queue is called %q", string(name))
	}
	concurrency = max(1, concurrency)
	intake, stop := context.WithCancel(ctx)
	defer stop()
	handling, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	c := &consumer{
		queue: q, name: name, target: q.target(name), handler: h, intake: intake, handling: handling,
		free: make(chan struct{}, concurrency), workers: crew.New(), leaving: leaving{signal: make(chan struct{}, 1)},
	}
	c.window = newWindow(min(max(windowMin, 2*concurrency), windowMax), q.keys, c.stepAside)
	if !consuming.CompareAndSwap(nil, c.window) {
		return fmt.Errorf("queue %q is being consumed already", name)
	}
	defer consuming.Store(nil)
	return c.run(stop, abandon)
}

// consumer is one running Consume.
type consumer struct {
	queue    *Queue
	name     core.QueueName
	target   string // where what leaves the window comes back to
	handler  core.Handler
	intake   context.Context // ends: claim no more
	handling context.Context // ends: give up what is in flight
	free     chan struct{}   // holds one for each running worker
	workers  *crew.Crew
	window   *window
	leaving  leaving

	sources []*source // of the link of now; only run uses it
}

// run consumes from one link after the other, until the intake ends.
func (c *consumer) run(stop, abandon func()) error {
	working, stopWork := context.WithCancel(context.WithoutCancel(c.intake))
	var tasks sync.WaitGroup
	tasks.Go(func() { c.sendAway(working) })
	tasks.Go(func() { c.expire(working) })
	dispatched := make(chan struct{})
	go func() { c.dispatch(); close(dispatched) }()

	err := c.followLinks()
	stop()
	c.window.close()
	for _, s := range c.sources {
		s.stopIntake()
	}
	<-dispatched
	err = errors.Join(err, c.drain(abandon))
	stopWork()
	late := time.AfterFunc(c.queue.config.DrainTimeout, abandon) // or what is on its way out would be there twice
	defer late.Stop()
	tasks.Wait()
	for _, s := range c.sources {
		s.close()
	}
	return err
}

// followLinks attaches to each link in its turn. It returns nil when the intake ends.
func (c *consumer) followLinks() error {
	for {
		l, err := c.queue.awaitLink(c.intake)
		if err != nil {
			if c.intake.Err() != nil {
				return nil
			}
			return err
		}
		if err := c.attach(l); err != nil {
			l.end(err)
		}
		select {
		case <-l.done:
		case <-c.intake.Done():
			return nil
		}
		for _, s := range c.sources {
			s.close()
		}
		c.sources = nil
		c.window.dropEnded()
	}
}

// attach begins to consume on l.
func (c *consumer) attach(l *link) error {
	sources, waiting := c.queue.sourcesOf(c.name)
	for _, name := range sources {
		if err := c.read(l, name, c.window.size, c.takeIn); err != nil {
			return err
		}
	}
	return c.read(l, waiting, c.window.size, c.recall)
}

// read has by take in what a queue of the broker delivers, at most ahead of it before some is acknowledged.
func (c *consumer) read(l *link, queue string, ahead int, by func(*source)) error {
	s, err := newSource(l, queue, ahead)
	if err != nil {
		return fmt.Errorf("consume queue %s: %w", queue, err)
	}
	c.sources = append(c.sources, s)
	s.reading.Go(func() { by(s) })
	return nil
}

// takeIn takes in whatever is delivered, as it comes.
func (c *consumer) takeIn(s *source) {
	for d := range s.deliveries {
		c.receive(s, &d)
	}
	s.ended()
}

// receive takes in what the broker delivered.
func (c *consumer) receive(s *source, d *amqp.Delivery) {
	now := time.Now()
	it := &item{source: s, tag: d.DeliveryTag, arrived: now, returned: s.queue == c.target+waitingSuffix}
	var err error
	if s.queue == c.queue.config.Trigger.Queue {
		it.envelope, err = c.queue.readTrigger(d, now)
	} else if it.envelope, err = decode(d); err == nil && (it.message.Subscriber == 0) != (c.name == core.EventQueue) {
		err = fmt.Errorf("it is for subscriber %d, which makes it no message of this queue", it.message.Subscriber)
	}
	if err != nil {
		c.workers.Go(func() { c.refuse(it, d, err) })
		return
	}
	switch wait := it.wait(now); {
	case wait <= 0:
		c.window.add(it)
	case wait <= near:
		time.AfterFunc(wait, func() { c.window.add(it) })
	default:
		c.leave(it, c.untilDue) // to the next rung
	}
}

// dispatch starts a worker for every message that finds none, until the intake ends.
func (c *consumer) dispatch() {
	for {
		if !c.unblocked() {
			return
		}
		select {
		case <-c.intake.Done():
			return
		case <-c.queue.dead:
			return
		case c.free <- struct{}{}:
		}
		// A worker that claims nothing ends and gives its place back, so this never spins: it waits for the next signal.
		first := c.window.claim()
		if first == nil {
			<-c.free
			select {
			case <-c.intake.Done():
				return
			case <-c.queue.dead:
				return
			case <-c.window.signal:
			}
			continue
		}
		c.workers.Go(func() {
			c.work(first)
			<-c.free
			poke(c.window.signal) // something may have come between the last claim and this
		})
	}
}

// unblocked waits while the broker takes no messages: what follows from an attempt could not be published. It returns false when the intake ends.
func (c *consumer) unblocked() bool {
	for {
		l := c.queue.link.Load()
		if l == nil {
			return true // nothing comes in
		}
		reason, changed := l.blocking()
		if reason == "" {
			return true
		}
		select {
		case <-changed:
		case <-l.done:
			return true
		case <-c.intake.Done():
			return false
		}
	}
}

// work handles first and whatever else is ready.
func (c *consumer) work(first *item) {
	for next := first; next != nil; next = c.window.claim() {
		c.handle(next)
		if c.intake.Err() != nil {
			return
		}
		if l := c.queue.link.Load(); l != nil {
			if blocked, _ := l.blocking(); blocked != "" {
				return
			}
		}
	}
}

// drain waits for the workers, at most until the drain deadline.
func (c *consumer) drain(abandon func()) error {
	done := make(chan struct{})
	go func() { c.workers.Wait(); close(done) }()
	deadline := time.NewTimer(c.queue.config.DrainTimeout)
	defer deadline.Stop()
	select {
	case <-done:
		return nil
	case <-deadline.C:
	}
	abandon()
	grace := time.NewTimer(abandonGrace)
	defer grace.Stop()
	select {
	case <-done:
	case <-grace.C:
	}
	return fmt.Errorf("queue %q: handlers were still running %v after the stop: the broker delivers what they had in hand again",
		c.name, c.queue.config.DrainTimeout)
}

func (c *consumer) expire(ctx context.Context) {
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			c.window.expire(now)
		}
	}
}
