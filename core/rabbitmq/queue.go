package rabbitmq

import (
	"context"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/postrider/postrider/core"
)

// Queue is a [core.Queue] on a RabbitMQ broker. All methods may be called from any goroutine.
type Queue struct {
	config   Config
	log      hclog.Logger
	topology Topology

	closing   chan struct{}
	closeOnce sync.Once
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
	return &Queue{config: c, log: c.Logger.Named("rabbitmq"), topology: topology, closing: make(chan struct{})}, nil
}

// Unready says why the queue can't take or hand over anything now; nothing: it can.
func (q *Queue) Unready() []string { return []string{"not connected"} }

// Wait returns once the queue is connected, or with the error of ctx.
func (q *Queue) Wait(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

// Publish implements [core.Queue].
func (q *Queue) Publish(ctx context.Context, out ...core.Outgoing) error { return core.ErrUnavailable }

// Consume implements [core.Queue].
func (q *Queue) Consume(ctx context.Context, name core.QueueName, concurrency int, h core.Handler) error {
	return core.ErrUnavailable
}

// Depths implements [core.Queue].
func (q *Queue) Depths(ctx context.Context) ([]core.Depth, error) { return nil, core.ErrUnavailable }

// Close implements [core.Queue].
func (q *Queue) Close() error {
	q.closeOnce.Do(func() { close(q.closing) })
	return nil
}
