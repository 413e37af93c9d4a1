package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/postrider/postrider/core"
)

// Queue is a [core.Queue] on a RabbitMQ broker. All methods may be called from any goroutine.
type Queue struct {
	config    Config
	log       hclog.Logger
	topology  Topology
	delays    delays
	keys      *keys
	aside     aside
	consuming map[core.QueueName]*atomic.Pointer[window] // of the Consume that runs

	link atomic.Pointer[link] // nil: there is none now

	mu      sync.Mutex
	why     string        // there is no link
	changed chan struct{} // closed when there is another link, or none

	stop      context.CancelFunc
	tasks     sync.WaitGroup
	closing   chan struct{}
	closeOnce sync.Once
	dying     sync.Once
	dead      chan struct{} // closed by a test's crash
}

var _ core.Queue = (*Queue)(nil)

// hooks let tests die between the steps of a publish and of a hand-over: after an error nothing reaches broker or store any more.
type hooks struct {
	at func(point string) error
}

// Open starts to connect to the broker of c, and goes on doing so until Close. It fails on a bad configuration only: a broker that can't be reached is
// what [Queue.Unready] tells.
func Open(c Config) (*Queue, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	topology, err := TopologyOf(c)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	q := &Queue{
		config: c, log: c.Logger.Named("rabbitmq"), topology: topology, delays: delays{c.Prefix, rungs(c.Delays)}, keys: newKeys(),
		consuming: map[core.QueueName]*atomic.Pointer[window]{core.EventQueue: {}, core.DeliveryQueue: {}},
		why:       "not connected to the broker yet", changed: make(chan struct{}),
		stop: stop, closing: make(chan struct{}), dead: make(chan struct{}),
	}
	q.tasks.Go(func() { q.stayConnected(ctx) })
	return q, nil
}

// target returns the queue on the broker that messages of a queue are published to. Those of the shop's own trigger queue never go back there.
func (q *Queue) target(name core.QueueName) string {
	if name == core.EventQueue {
		return q.config.Prefix + eventSuffix
	}
	return q.config.Prefix + deliverySuffix
}

// sourcesOf returns the queues on the broker that a queue is consumed from, and where what has no room waits.
func (q *Queue) sourcesOf(name core.QueueName) (sources []string, waiting string) {
	sources = []string{q.target(name)}
	if name == core.EventQueue {
		sources = append(sources, q.config.Trigger.Queue)
	}
	return sources, q.target(name) + waitingSuffix
}

const (
	// How long to wait before the broker is dialled again: the first time and at most. Half of it is drawn, so that many daemons don't dial as one.
	redialFirst = 100 * time.Millisecond
	redialMax   = 5 * time.Second

	// settled is how long a connection must have lasted to count as one that works.
	settled = 10 * time.Second
)

// stayConnected dials, waits until the connection ends, and dials again, until ctx ends.
func (q *Queue) stayConnected(ctx context.Context) {
	for pause := redialFirst; ctx.Err() == nil; {
		l, err := q.connect(ctx)
		if err == nil {
			connected := time.Now()
			q.log.Info("connected to the broker")
			q.become(l, "")
			burying, stopBurying := context.WithCancel(context.WithoutCancel(ctx))
			buried := make(chan struct{})
			go func() { q.bury(burying, l); close(buried) }()
			select {
			case <-l.done:
			case <-ctx.Done():
				q.become(nil, errClosing.Error())
				l.close()
			}
			err = l.why
			q.become(nil, "not connected to the broker: "+err.Error())
			stopBurying()
			<-buried
			l.join()
			if pause = min(pause, time.Second); time.Since(connected) > settled {
				pause = redialFirst
			}
		}
		if ctx.Err() != nil {
			return
		}
		q.become(nil, "not connected to the broker: "+err.Error())
		q.log.Warn("the broker cannot be used; it is dialled again", "in", pause, "error", err)
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		pause = min(2*pause, redialMax)
	}
}

// connect dials, and sees to it that the topology is there.
func (q *Queue) connect(ctx context.Context) (*link, error) {
	l, err := dial(ctx, q.config)
	if err != nil {
		return nil, err
	}
	prepared := make(chan error, 1)
	go func() { prepared <- l.prepare(q.config, q.topology) }()
	select {
	case err = <-prepared:
	case <-time.After(preparePatience):
		err = fmt.Errorf("the broker did not declare the topology within %v", preparePatience)
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		l.end(err)
		l.join()
		return nil, err
	}
	return l, nil
}

// preparePatience bounds how long the broker may take to declare everything.
const preparePatience = time.Minute

// become makes l the link that everybody uses.
func (q *Queue) become(l *link, why string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.link.Store(l)
	q.why = why
	close(q.changed)
	q.changed = make(chan struct{})
}

// awaitLink returns the link, or waits for one.
func (q *Queue) awaitLink(ctx context.Context) (*link, error) {
	for {
		q.mu.Lock()
		l, changed := q.link.Load(), q.changed
		q.mu.Unlock()
		if l != nil && !l.hasEnded() {
			return l, nil
		}
		select {
		case <-changed:
		case <-q.dead:
			return nil, errDead
		case <-q.closing:
			return nil, core.ErrClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Wait returns once the queue is connected, or with the error of ctx.
func (q *Queue) Wait(ctx context.Context) error {
	_, err := q.awaitLink(ctx)
	return err
}

// Unready says why the queue can't take or hand over anything now; nothing: it can.
func (q *Queue) Unready() []string {
	if _, err := q.usable(); err != nil {
		return []string{err.Error()}
	}
	return nil
}

// usable returns the link, or says at once why nothing can be published now.
func (q *Queue) usable() (*link, error) {
	select {
	case <-q.closing:
		return nil, core.ErrClosed
	case <-q.dead:
		return nil, errDead
	default:
	}
	q.mu.Lock()
	l, why := q.link.Load(), q.why
	q.mu.Unlock()
	if l == nil {
		return nil, &unavailable{why}
	}
	if l.hasEnded() {
		return nil, &unavailable{"not connected to the broker: " + l.why.Error()}
	}
	if blocked, _ := l.blocking(); blocked != "" {
		return nil, &unavailable{blocked}
	}
	return l, nil
}

// unavailable is an ErrUnavailable with its reason.
type unavailable struct{ why string }

func (e *unavailable) Error() string { return e.why }
func (e *unavailable) Unwrap() error { return core.ErrUnavailable }

var errDead = errors.New("crashed by a test")

// at dies where a test says so.
func (q *Queue) at(point string) error {
	if q.config.hooks.at == nil {
		return nil
	}
	select {
	case <-q.dead:
		return errDead
	default:
	}
	if err := q.config.hooks.at(point); err != nil {
		q.dying.Do(func() {
			close(q.dead)
			q.stop()
			if l := q.link.Load(); l != nil {
				l.end(err)
			}
		})
		return err
	}
	return nil
}

// Depths implements [core.Queue]. What is due later is counted with the deliveries: delay queues don't tell which queue their messages are for.
func (q *Queue) Depths(ctx context.Context) ([]core.Depth, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l, err := q.awaitNow()
	if err != nil {
		return nil, err
	}
	depths := []core.Depth{{Queue: core.EventQueue}, {Queue: core.DeliveryQueue}}
	for i := range depths {
		sources, waiting := q.sourcesOf(depths[i].Queue)
		for _, name := range append(sources, waiting) {
			n, err := l.count(name)
			if err != nil {
				return nil, err
			}
			depths[i].Ready += n
		}
		if w := q.consuming[depths[i].Queue].Load(); w != nil {
			depths[i].Ready += w.depth()
		}
	}
	for _, spec := range q.topology.Queues {
		if spec.Delay == 0 {
			continue
		}
		n, err := l.count(spec.Name)
		if err != nil {
			return nil, err
		}
		depths[1].Due += n
	}
	return depths, nil
}

// awaitNow returns the link, whether or not it can be published on.
func (q *Queue) awaitNow() (*link, error) {
	if l := q.link.Load(); l != nil && !l.hasEnded() {
		return l, nil
	}
	_, err := q.usable()
	if err == nil {
		err = core.ErrUnavailable
	}
	return nil, err
}

// count asks how many messages wait in a queue.
func (l *link) count(name string) (n int, err error) {
	err = l.ask(func(channel *amqp.Channel) error {
		found, err := channel.QueueDeclarePassive(name, true, false, false, false, nil)
		n = found.Messages
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("%w: ask for the depth of queue %s: %w", core.ErrUnavailable, name, err)
	}
	return n, nil
}

// Close implements [core.Queue].
func (q *Queue) Close() error {
	q.closeOnce.Do(func() {
		close(q.closing)
		q.stop()
	})
	q.tasks.Wait()
	return nil
}
