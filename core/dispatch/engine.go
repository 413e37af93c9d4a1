package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/crew"
	"github.com/postrider/postrider/core/retry"
)

// Log is what the engine asks of the store's log. All of it answers core.ErrNotFound for what was never logged. A delivery is known from the hand-over
// on that made its message, whether or not the queue has that message already.
type Log interface {
	Event(ctx context.Context, id core.EventID) (core.EventRecord, error)
	Attempt(ctx context.Context, event core.EventID, subscriber core.SubscriberID, number int) (core.Attempt, error)
	Delivery(ctx context.Context, id core.DeliveryID) (core.Delivery, error)
	Deliveries(ctx context.Context, f core.DeliveryFilter) (page []core.Delivery, next string, err error)
	DeadLetter(ctx context.Context, id string) (core.DeadLetter, error)
}

// Subscribers answers from memory. What it returns is shared: read it, never write to it.
type Subscribers interface {
	Match(event string, accepted time.Time) []core.Subscriber // those who are enabled, and those who have been disabled since it was accepted
	Subscriber(id core.SubscriberID) (core.Subscriber, bool)
	Subscribers() []core.Subscriber
	WatchSubscribers(changed func(core.SubscriberID)) // calls changed after every change
}

// Plugins reaches the resolvers and the notifiers. Their errors are a [*core.Held] when the plugin can't work now, [core.IsInvalid] or
// [core.ErrPermanent] or [core.ErrTooLarge] when it never will on this input, and anything else when it may later.
type Plugins interface {
	Resolve(ctx context.Context, r core.Resolution) ([]byte, error)
	Notify(ctx context.Context, n core.Notification) (core.Answer, error)
}

// Config is what an engine works with. Every field is required.
type Config struct {
	Queue       core.Queue
	Log         Log
	Subscribers Subscribers
	Plugins     Plugins
	Webhooks    map[string]core.Webhook
	Logger      hclog.Logger

	Retry           retry.Schedule // of subscribers that have none of their own
	Envelope        core.Envelope  // of subscribers that have none of their own
	LaneConcurrency int            // attempts of one subscriber at a time
	MaxAge          time.Duration  // how long beyond its schedule a delivery may wait before it is dead-lettered
	AttemptTimeout  time.Duration  // for one call of a notifier
	ResolveTimeout  time.Duration  // for one call of a resolver
}

const (
	// eventWorkers bounds the events at work. A healthy lane holds as many as have a place in it and at its door, any other lane none for longer
	// than slow; resolverShare keeps one service from taking them all.
	eventWorkers  = 2048
	resolverShare = 128

	// deliveryWorkers bounds the deliveries at work beside the inline ones. They hold an attempt each, and are goroutines made on
	// demand: the bound is one of memory, some 60 KiB for each in daemon and notifier. Measured by one event to 10,000 subscribers: 4,096 of them were no
	// faster and took twice as much; 512 were a tenth faster, but where receivers take 200 ms no more than 2,500 deliveries/s would be made.
	deliveryWorkers = 2048

	// inlineSubscribers is how many subscribers an event may have for its consumer to make the first attempts itself.
	inlineSubscribers = 8

	// slow is how long an attempt may take before it marks its lane busy, and before the event it belongs to stops waiting for it.
	slow = 250 * time.Millisecond
)

// Engine consumes both queues. Make one with [New], then Run it once.
type Engine struct {
	config   Config
	log      hclog.Logger
	lanes    *lanes[core.SubscriberID]
	services *lanes[core.Service]
	flights  flights
	pace     *pace // of events whose receivers have no room

	// Their parents are the context that a queue has for all its handlers, and that of all inline attempts.
	patience    *limit // of events with their inline attempts
	attempts    *limit // calls of notifiers
	resolutions *limit // calls of resolvers

	pilots *crew.Crew // make inline attempts, which may outlive the event they began with
}

// New returns an engine that is not running yet.
func New(c Config) *Engine {
	e := &Engine{
		config:   c,
		log:      c.Logger.Named("dispatch"),
		lanes:    newLanes[core.SubscriberID](c.LaneConcurrency, deliveryWorkers),
		services: newLanes[core.Service](resolverShare, eventWorkers),
		patience: newLimit(slow), attempts: newLimit(c.AttemptTimeout), resolutions: newLimit(c.ResolveTimeout),
		pace: newPace(), pilots: crew.New(),
	}
	c.Subscribers.WatchSubscribers(e.lanes.wake)
	return e
}

// Run consumes events and deliveries until ctx ends and what is under way has been handed over, or the queue's drain deadline has
// passed. It returns the first error of the queue.
func (e *Engine) Run(ctx context.Context) error {
	consuming, stopConsuming := context.WithCancel(ctx)
	defer stopConsuming()
	flying, land := context.WithCancel(context.WithoutCancel(ctx))
	handleEvent := func(ctx context.Context, m core.Message) (core.Result, error) { return e.handleEvent(ctx, flying, m) }

	ends := make(chan error, 2)
	go func() { ends <- e.config.Queue.Consume(consuming, core.EventQueue, eventWorkers, handleEvent) }()
	go func() {
		ends <- e.config.Queue.Consume(consuming, core.DeliveryQueue, deliveryWorkers, e.handleDelivery)
	}()
	first := <-ends
	stopConsuming() // one queue without the other serves nobody
	second := <-ends

	land()
	e.pilots.Wait()
	if err := errors.Join(first, second); err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	return nil
}

// Paused reports whether the receiver of a subscriber fails so much that its deliveries wait, and when the next attempt may be made.
func (e *Engine) Paused(id core.SubscriberID) (until time.Time, paused bool) {
	return e.lanes.pausedUntil(id)
}
