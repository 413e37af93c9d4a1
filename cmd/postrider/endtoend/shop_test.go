package endtoend

import (
	"cmp"
	"context"
	"fmt"
	"strings"
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
	event     string // "": stock.item.changed
	padding   int    // bytes that its arguments have beside their id
	paced     bool   // it publishes only as many as are allowed
	allowed   atomic.Int64
	taken     atomic.Int64
	confirmed atomic.Int64
	repeated  atomic.Int64 // messages that were published and not confirmed
}

// together is how many messages of one publisher wait for their confirms at a time.
const together = 50

// run publishes from four connections.
func (s *shop) run(t *testing.T) (wait func()) {
	var publishers sync.WaitGroup
	for range 4 {
		publishers.Go(func() {
			var left []int64
			for t.Context().Err() == nil {
				if left = s.fill(t.Context(), left); len(left) == 0 {
					return
				}
				var err error
				if left, err = s.publish(t.Context(), left); err != nil {
					time.Sleep(20 * time.Millisecond) // the broker is away: ask again, but not in a spin
				}
			}
		})
	}
	return publishers.Wait
}

// fill adds to what is left until that is a batch, or as much as may be published now. Where that is nothing, it waits; nothing in the end: all is published.
func (s *shop) fill(ctx context.Context, left []int64) []int64 {
	for len(left) < together && s.taken.Load() < int64(s.total) && ctx.Err() == nil {
		n, may := s.taken.Load(), int64(s.total)
		if s.paced {
			may = min(may, s.allowed.Load())
		}
		switch {
		case n < may && s.taken.CompareAndSwap(n, n+1):
			left = append(left, n+1)
		case n < may: // another publisher was faster
		case len(left) > 0:
			return left
		default:
			time.Sleep(time.Millisecond)
		}
	}
	return left
}

// publish publishes what is left, and all that comes after it, over one connection. It returns what is not confirmed.
func (s *shop) publish(ctx context.Context, left []int64) ([]int64, error) {
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
		left = s.fill(ctx, left)
	}
	return nil, nil
}

func (s *shop) batch(ctx context.Context, channel *amqp.Channel, returns <-chan amqp.Return, batch []int64) (left []int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var confirms []*amqp.DeferredConfirmation
	for _, n := range batch {
		body := fmt.Sprintf(`[%q,"{\"id\":\"%s\",\"padding\":\"%s\"}"]`, cmp.Or(s.event, "stock.item.changed"), s.messageID(n), strings.Repeat("x", s.padding))
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
			if i < len(confirms) {
				s.repeated.Add(1)
			}
		}
	}
	if err == nil && (len(confirms) < len(batch) || channel.IsClosed()) {
		err = amqp.ErrClosed
	}
	return left, err
}

func (s *shop) messageID(n int64) string { return fmt.Sprintf("%s-%d", s.prefix, n) }
