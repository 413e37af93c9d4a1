package rabbitmq

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	amqp "github.com/rabbitmq/amqp091-go"
)

// source is a queue that is being consumed on one channel of one link.
type source struct {
	*link
	queue      string
	channel    *amqp.Channel
	deliveries <-chan amqp.Delivery
	cancelled  chan string
	closed     chan *amqp.Error
	acker      *acker
	reading    sync.WaitGroup
	stopping   atomic.Bool
	closing    sync.Once
}

const consumerTag = "postrider" // one consumer a channel

func newSource(l *link, queue string, prefetch int) (*source, error) {
	channel, err := l.consuming.Channel()
	if err != nil {
		return nil, err
	}
	s := &source{link: l, queue: queue, channel: channel}
	s.cancelled, s.closed = channel.NotifyCancel(make(chan string, 1)), channel.NotifyClose(make(chan *amqp.Error, 1))
	if err := channel.Qos(prefetch, 0, false); err != nil {
		return nil, err
	}
	if s.deliveries, err = channel.Consume(queue, consumerTag, false, false, false, false, nil); err != nil {
		return nil, err
	}
	s.acker = newAcker(l, channel)
	return s, nil
}

// ended ends the link when deliveries end that nobody has stopped.
func (s *source) ended() {
	if s.stopping.Load() || s.hasEnded() {
		return
	}
	select {
	case _, ok := <-s.cancelled:
		if ok {
			s.end(fmt.Errorf("the broker ended the consumption of queue %s: it was deleted, or has no leader", s.queue))
			return
		}
	default:
	}
	select {
	case err := <-s.closed:
		s.end(fmt.Errorf("the channel that consumes queue %s was closed: %w", s.queue, errors.Join(err)))
	case <-s.done:
	}
}

// stopIntake has the broker deliver no more, and returns when what it has delivered is taken in.
func (s *source) stopIntake() {
	s.stopping.Store(true)
	if !s.hasEnded() {
		if err := s.channel.Cancel(consumerTag, false); err != nil {
			s.end(fmt.Errorf("stop consuming queue %s: %w", s.queue, err))
		}
	}
	s.reading.Wait()
}

// close acknowledges what is done, and gives everything else back to the broker.
func (s *source) close() {
	s.closing.Do(func() {
		s.stopping.Store(true)
		s.acker.stop()
		if !s.hasEnded() {
			s.settle()
			if err := s.channel.Close(); err != nil {
				s.end(fmt.Errorf("close the channel of queue %s: %w", s.queue, err))
			}
		}
		s.reading.Wait()
	})
}

// settle has the broker come to know what was acknowledged. A channel that waits for its quorum queue to settle 32 acknowledgements keeps the later
// ones to itself, and forgets them when it is closed: those messages would come again. To get a message, the queue must have settled all before it, and
// then the channel sends on what it kept. The message that we get goes back with the rest.
func (s *source) settle() {
	if _, _, err := s.channel.Get(s.queue, false); err != nil {
		s.end(fmt.Errorf("settle what was acknowledged of queue %s: %w", s.queue, err))
	}
}
