package dispatch

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/retry"
)

// life is one run of the daemon, from a start to a stop or a crash: an engine, and the ends of queue, log and plugins that it holds.
type life struct {
	world    *world
	engine   *Engine
	crashed  bool // nothing that it does counts any more; guarded by world.mu
	stopping bool
	watchers []func(core.SubscriberID)
	handlers map[core.QueueName]core.Handler
	running  map[core.QueueName]*sync.WaitGroup
	working  context.Context // of handlers
	abandon  context.CancelFunc
	stop     context.CancelFunc
	ended    chan error // of Run

	handling  int // handlers and operators under way
	handedOut int // so many times
}

// begin starts the daemon.
func (w *world) begin(retries retry.Schedule) {
	w.lives++
	l := &life{
		world: w, handlers: map[core.QueueName]core.Handler{}, ended: make(chan error, 1),
		running: map[core.QueueName]*sync.WaitGroup{core.EventQueue: {}, core.DeliveryQueue: {}},
	}
	l.working, l.abandon = context.WithCancel(context.Background())
	w.mu.Lock()
	w.held, w.calls = map[laneKey]bool{}, map[string]*call{}
	w.mu.Unlock()
	w.resting, w.inHand = map[laneKey]time.Time{}, map[flightKey]bool{}
	for _, m := range w.open {
		m.again = true
	}
	w.life = l
	l.engine = New(Config{
		Queue: l, Log: l, Subscribers: l, Plugins: l, Webhooks: w.webhooks, Logger: hclog.NewNullLogger(),
		Retry: retries, Envelope: core.EnvelopeStandard, LaneConcurrency: w.plan.places, MaxAge: w.plan.maxAge,
		AttemptTimeout: attemptTimeout, ResolveTimeout: attemptTimeout,
	})
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	go func() { l.ended <- l.engine.Run(ctx) }()
}

// crash ends the life at once: what is in its memory is gone, and what its calls would lead to never happens.
func (l *life) crash() error {
	w := l.world
	w.mu.Lock()
	l.crashed = true
	calls := w.calls
	w.calls = map[string]*call{}
	w.mu.Unlock()
	l.stop()
	l.abandon()
	for _, c := range calls {
		c.err = errCrashed
		close(c.done)
	}
	return <-l.ended
}

// handOut gives m to its handler. The handler's return is a call, too.
func (l *life) handOut(m *message) {
	l.handling++
	l.handedOut++
	l.world.inHand[m.key()] = true
	in := l.world.toHandler(m)
	name := fmt.Sprintf("handler %03d", l.handedOut)
	ctx := context.WithValue(l.working, nameKey{}, name)
	h := l.handlers[m.Queue]
	l.running[m.Queue].Go(func() {
		r := handled{message: m}
		r.result, r.err = h(ctx, in)
		l.ask(context.Background(), name+" returns", r) //nolint:errcheck // the answer is that it was heard
	})
}

// nameKey is the key of the name, in the context of a handler or of an operator.
type nameKey struct{}

func nameOf(ctx context.Context) string {
	name, _ := ctx.Value(nameKey{}).(string)
	return name
}

// handled is what a handler made of a message.
type handled struct {
	message *message
	result  core.Result
	err     error
}

// operate does what an operator asks for, beside everything else.
func (l *life) operate(do func(context.Context) error) {
	l.handling++
	l.handedOut++
	name := fmt.Sprintf("operator %03d", l.handedOut)
	ctx := context.WithValue(context.Background(), nameKey{}, name)
	l.running[core.EventQueue].Go(func() {
		err := do(ctx)
		l.ask(context.Background(), name+" returns", operated{err}) //nolint:errcheck // the answer is that it was heard
	})
}

type operated struct{ err error }

// The queue, as the engine sees it.

func (l *life) Consume(ctx context.Context, q core.QueueName, _ int, h core.Handler) error {
	l.world.mu.Lock()
	l.handlers[q] = h
	l.world.mu.Unlock()
	<-ctx.Done()
	l.running[q].Wait()
	return nil
}

func (l *life) Publish(ctx context.Context, out ...core.Outgoing) error {
	_, err := l.ask(ctx, nameOf(ctx)+" publishes", out)
	return err
}

func (l *life) Depths(context.Context) ([]core.Depth, error) { return nil, nil }
func (l *life) Close() error                                 { return nil }

// The log.

func (l *life) Event(ctx context.Context, id core.EventID) (core.EventRecord, error) {
	return as[core.EventRecord](l.ask(ctx, nameOf(ctx)+" looks up the event", id))
}

func (l *life) Attempt(ctx context.Context, event core.EventID, s core.SubscriberID, number int) (core.Attempt, error) {
	return as[core.Attempt](l.ask(ctx, nameOf(ctx)+" looks up an attempt", attemptQuestion{event, s, number}))
}

func (l *life) Delivery(ctx context.Context, id core.DeliveryID) (core.Delivery, error) {
	return as[core.Delivery](l.ask(ctx, nameOf(ctx)+" looks up a delivery", id))
}

func (l *life) Deliveries(ctx context.Context, f core.DeliveryFilter) ([]core.Delivery, string, error) {
	all, err := as[[]core.Delivery](l.ask(ctx, nameOf(ctx)+" looks up the deliveries", deliveriesQuestion(f.Event)))
	return all, "", err
}

func (l *life) DeadLetter(ctx context.Context, id string) (core.DeadLetter, error) {
	return as[core.DeadLetter](l.ask(ctx, nameOf(ctx)+" looks up a dead letter", deadLetterQuestion(id)))
}

func as[T any](result any, err error) (T, error) {
	v, _ := result.(T)
	return v, err
}

// The subscribers.

func (l *life) Match(event string, accepted time.Time) []core.Subscriber {
	return l.world.Match(event, accepted)
}
func (l *life) Subscribers() []core.Subscriber { return l.world.Subscribers() }
func (l *life) Subscriber(id core.SubscriberID) (core.Subscriber, bool) {
	return l.world.Subscriber(id)
}
func (l *life) WatchSubscribers(changed func(core.SubscriberID)) {
	l.watchers = append(l.watchers, changed)
}

// The plugins.

func (l *life) Resolve(ctx context.Context, r core.Resolution) ([]byte, error) {
	return as[[]byte](l.ask(ctx, nameOf(ctx)+" resolves", r))
}

// Notify reaches a receiver. Inline attempts have no handler's name: what tells them apart is the delivery.
func (l *life) Notify(ctx context.Context, n core.Notification) (core.Answer, error) {
	l.world.rules.attemptBegins(l, n)
	return as[core.Answer](l.ask(ctx, fmt.Sprintf("notify %s/%02d", n.Event.ID, n.Subscriber.ID), n))
}
