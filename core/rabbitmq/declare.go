package rabbitmq

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// prepare takes the lock, and declares what is missing of the topology.
func (l *link) prepare(c Config, t Topology) error {
	if err := l.lock(c.Prefix + lockSuffix); err != nil {
		return err
	}
	if err := l.declareTrigger(c, t); err != nil {
		return err
	}
	return l.ask(func(channel *amqp.Channel) error {
		for _, e := range t.Exchanges {
			if e.Name != c.Trigger.Exchange {
				if err := declareExchange(channel, e); err != nil {
					return err
				}
			}
		}
		for _, q := range t.Queues {
			if !q.Foreign {
				if err := declareQueue(channel, q); err != nil {
					return err
				}
			}
		}
		for _, b := range t.Bindings {
			if b.Queue != c.Trigger.Queue {
				if err := channel.QueueBind(b.Queue, b.Key, b.Exchange, false, nil); err != nil {
					return fmt.Errorf("bind queue %s to exchange %s: %w", b.Queue, b.Exchange, err)
				}
			}
		}
		return register(channel, c.Prefix, func(known []int64) []int64 {
			for _, q := range t.Queues {
				if q.Delay > 0 {
					known = append(known, q.Delay.Milliseconds())
				}
			}
			return known
		})
	})
}

// lock declares a queue that only one connection at a time can have: two daemons with stores of their own would each log half of what happens.
func (l *link) lock(name string) error {
	return l.ask(func(channel *amqp.Channel) error {
		_, err := channel.QueueDeclare(name, false, true, true, false, nil)
		if isCode(err, amqp.ResourceLocked) {
			return fmt.Errorf("another daemon consumes from this broker under the same queue prefix: it holds %s; stop it, or give this one another "+
				"prefix (after a lost connection the broker may hold it for some more seconds)", name)
		}
		if err != nil {
			return fmt.Errorf("declare %s: %w", name, err)
		}
		return nil
	})
}

// declareTrigger leaves a trigger queue as it is that exists, whatever its arguments and bindings are, and its type unless that is a stream: a shop may have
// declared it. Each question about what may be missing costs its channel.
func (l *link) declareTrigger(c Config, t Topology) error {
	trigger := c.Trigger
	err := l.ask(func(channel *amqp.Channel) error {
		_, err := channel.QueueDeclarePassive(trigger.Queue, true, false, false, false, nil)
		return err
	})
	if err == nil {
		return l.refuseStream(c)
	}
	if !isCode(err, amqp.NotFound) {
		return fmt.Errorf("look for the trigger queue %s: %w", trigger.Queue, err)
	}
	err = l.ask(func(channel *amqp.Channel) error {
		return channel.ExchangeDeclarePassive(trigger.Exchange, "topic", true, false, false, false, nil)
	})
	missing := isCode(err, amqp.NotFound)
	if err != nil && !missing {
		return fmt.Errorf("look for the trigger exchange %s: %w", trigger.Exchange, err)
	}
	return l.ask(func(channel *amqp.Channel) error {
		if missing {
			if err := declareExchange(channel, Exchange{Name: trigger.Exchange, Kind: "topic"}); err != nil {
				return err
			}
		}
		spec, _ := t.queue(trigger.Queue)
		if err := declareQueue(channel, spec); err != nil {
			return err
		}
		if err := channel.QueueBind(trigger.Queue, trigger.Key, trigger.Exchange, false, nil); err != nil {
			return fmt.Errorf("bind queue %s to exchange %s with key %s: %w", trigger.Queue, trigger.Exchange, trigger.Key, err)
		}
		return nil
	})
}

// refuseStream says what to do about a trigger queue that is a stream. A stream keeps what was read, and does not remember how far that was: a daemon that
// begins at its end misses what was published while it was away, and one that begins at its beginning delivers all of it again.
//
// AMQP has no question for the type of a queue. But a broker that refuses an argument of a consumer names the type, if it is to blame for that. So it is given
// an argument that it refuses for any queue: nothing is consumed meanwhile. These are the answers of RabbitMQ 3.10.8; in the sources of a later one, that has
// stream filters, what follows the colon has other words:
//
//	PRECONDITION_FAILED - invalid arg 'x-priority' for queue 'q' in vhost '/' of queue type rabbit_stream_queue
//	PRECONDITION_FAILED - invalid arg 'x-priority' for queue 'q' in vhost '/': {unacceptable_type,longstr}
//
// AMQP has room for 255 bytes of them, which the names of queue and vhost may fill.
func (l *link) refuseStream(c Config) error {
	trigger := c.Trigger
	err := l.ask(func(channel *amqp.Channel) error {
		_, err := channel.Consume(trigger.Queue, consumerTag, false, false, false, false, amqp.Table{"x-priority": "none"})
		if err == nil { // it checks no arguments: what it has delivered by now goes back
			err = errors.Join(errors.New("it took an argument that it must refuse"), channel.Close())
		}
		return err
	})
	if l.consuming.IsClosed() {
		return err
	}
	answer := err.Error()
	var broker *amqp.Error
	if errors.As(err, &broker) {
		answer = broker.Reason
	}
	uri, err := parseURL(c.URL)
	if err != nil {
		return err
	}
	why, told := strings.CutPrefix(answer, fmt.Sprintf("PRECONDITION_FAILED - invalid arg 'x-priority' for queue '%s' in vhost '%s'", trigger.Queue, uri.Vhost))
	switch {
	case told && strings.HasPrefix(why, ": "):
		return nil
	case !told || why != " of queue type rabbit_stream_queue":
		c.Logger.Named("rabbitmq").Warn("the broker does not tell whether the trigger queue is a stream, of which events would be missed: if it is one, set "+
			"queue.trigger.queue to another queue; a queue with a shorter name it can tell about", "queue", trigger.Queue, "answer", answer)
		return nil // what else is wrong with it is told where it is consumed
	}
	return fmt.Errorf("the trigger queue %s is a stream, which does not remember what was consumed of it, so that events would be missed, or delivered again: set "+
		"queue.trigger.queue to a name that is not taken (Postrider then declares a queue, and binds it to exchange %s with key %s), or to a quorum or classic "+
		"queue that you have bound", trigger.Queue, trigger.Exchange, trigger.Key)
}

func declareExchange(channel *amqp.Channel, e Exchange) error {
	if err := channel.ExchangeDeclare(e.Name, e.Kind, true, false, false, false, nil); err != nil {
		if isCode(err, amqp.PreconditionFailed) {
			return fmt.Errorf("exchange %s exists, and is no durable %s exchange: delete it, or choose another queue prefix: %w", e.Name, e.Kind, err)
		}
		return fmt.Errorf("declare exchange %s: %w", e.Name, err)
	}
	return nil
}

func declareQueue(channel *amqp.Channel, q QueueSpec) error {
	if _, err := channel.QueueDeclare(q.Name, true, false, false, false, amqp.Table(q.Arguments)); err != nil {
		if isCode(err, amqp.PreconditionFailed) {
			return fmt.Errorf("queue %s exists with other arguments than Postrider needs: delete it once it is empty, or choose another queue prefix: %w",
				q.Name, err)
		}
		return fmt.Errorf("declare queue %s: %w", q.Name, err)
	}
	return nil
}

// isCode reports whether err is the broker's of this code.
func isCode(err error, code int) bool {
	var broker *amqp.Error
	return errors.As(err, &broker) && broker.Code == code
}

// register changes the list of the delay queues that there are. AMQP can't list queues, so the list is itself a message, in a queue of its own. A crash
// between writing the new one and taking the old one away leaves two, which the next change merges. It is written anew each time, also when it stays as
// it is: put back, it would come closer to the delivery limit.
func register(channel *amqp.Channel, prefix string, change func(known []int64) []int64) error {
	name := prefix + registrySuffix
	known, read, err := readRegister(channel, name)
	if err != nil {
		return err
	}
	list := change(known)
	slices.Sort(list)
	list = slices.Compact(list)
	body, err := json.Marshal(list)
	if err != nil {
		return err
	}
	if err := channel.Confirm(false); err != nil {
		return err
	}
	confirmation, err := channel.PublishWithDeferredConfirm("", name, false, false, amqp.Publishing{
		ContentType: "application/json", DeliveryMode: amqp.Persistent, Body: body, AppId: "postrider",
	})
	if err != nil {
		return fmt.Errorf("note the delay queues in %s: %w", name, err)
	}
	select {
	case <-confirmation.Done():
	case <-time.After(confirmPatience):
	}
	if !confirmation.Acked() {
		return fmt.Errorf("note the delay queues in %s: the broker did not confirm it", name)
	}
	if read.messages == 0 {
		return nil
	}
	return channel.Ack(read.last, true)
}

// registered is what readRegister took from the queue, and must be acknowledged or put back.
type registered struct {
	messages int
	last     uint64
}

func readRegister(channel *amqp.Channel, name string) (known []int64, r registered, err error) {
	for {
		m, ok, err := channel.Get(name, false)
		if err != nil {
			return nil, r, fmt.Errorf("read the list of delay queues in %s: %w", name, err)
		}
		if !ok {
			break
		}
		r.messages, r.last = r.messages+1, m.DeliveryTag
		var list []int64
		if err := json.Unmarshal(m.Body, &list); err == nil { // else it is not ours: it goes away with the next change
			known = append(known, list...)
		}
	}
	slices.Sort(known)
	return slices.Compact(known), r, nil
}
