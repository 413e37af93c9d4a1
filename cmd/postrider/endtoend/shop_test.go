package endtoend

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// shop publishes events over AMQP until the broker has confirmed each of them. What is not confirmed is published again under the same message-id, over a
// new connection where the old one is gone.
type shop struct {
	oracle    *oracle
	url       string
	total     int
	prefix    string // of the message-ids
	confirmed atomic.Int64
}

// together is how many messages of one publisher wait for their confirms at a time.
const together = 50

// run publishes from four connections.
func (s *shop) run(t *testing.T) (wait func()) {
	var next atomic.Int64
	var publishers sync.WaitGroup
	for range 4 {
		publishers.Go(func() {
			var left []int64
			for t.Context().Err() == nil {
				for len(left) < together {
					n := next.Add(1)
					if n > int64(s.total) {
						break
					}
					left = append(left, n)
				}
				if len(left) == 0 {
					return
				}
				var err error
				if left, err = s.publish(t.Context(), left, func() int64 { return next.Add(1) }); err != nil {
					time.Sleep(20 * time.Millisecond) // the broker is away: ask again, but not in a spin
				}
			}
		})
	}
	return publishers.Wait
}

// publish publishes what is left, and what more says until that is beyond the total, over one connection. It returns what is not confirmed.
func (s *shop) publish(ctx context.Context, left []int64, more func() int64) ([]int64, error) {
	connection, err := amqp.DialConfig(s.url, amqp.Config{Heartbeat: 2 * time.Second, Dial: amqp.DefaultDial(5 * time.Second)})
	if err != nil {
		return left, err
	}
	defer connection.Close()
	channel, err := connection.Channel()
	if err != nil {
		return left, err
	}
	if err := channel.Confirm(false); err != nil {
		return left, err
	}
	returns := channel.NotifyReturn(make(chan amqp.Return, 2*together))
	for len(left) > 0 {
		if left, err = s.batch(ctx, channel, returns, left); err != nil {
			return left, err
		}
		for len(left) < together {
			n := more()
			if n > int64(s.total) {
				break
			}
			left = append(left, n)
		}
	}
	return nil, nil
}

func (s *shop) batch(ctx context.Context, channel *amqp.Channel, returns <-chan amqp.Return, batch []int64) (left []int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var confirms []*amqp.DeferredConfirmation
	for _, n := range batch {
		body := fmt.Sprintf(`["stock.item.changed","{\"id\":\"%s\"}"]`, s.messageID(n))
		confirm, err := channel.PublishWithDeferredConfirm("magento", "webhook.trigger", true, false, amqp.Publishing{
			MessageId: s.messageID(n), DeliveryMode: amqp.Persistent, Body: []byte(body),
		})
		if err != nil {
			break
		}
		confirms = append(confirms, confirm)
	}
	outcome := make([]bool, len(batch))
	for i, confirm := range confirms {
		outcome[i], err = confirm.WaitContext(ctx)
		if err != nil {
			break
		}
	}
	returned := map[string]bool{}
	for drained := false; !drained; { // a return comes before the confirm of the same message
		select {
		case r, ok := <-returns:
			returned[r.MessageId] = ok
			drained = !ok
		default:
			drained = true
		}
	}
	for i, n := range batch {
		if outcome[i] && !returned[s.messageID(n)] {
			s.oracle.accept(s.messageID(n))
			s.confirmed.Add(1)
		} else {
			left = append(left, n)
		}
	}
	if err == nil && (len(confirms) < len(batch) || channel.IsClosed()) {
		err = amqp.ErrClosed
	}
	return left, err
}

func (s *shop) messageID(n int64) string { return fmt.Sprintf("%s-%d", s.prefix, n) }
