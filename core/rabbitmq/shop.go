package rabbitmq

import (
	"context"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Shop publishes events as applications do: to the exchange that leads to the trigger queue, which must be there.
type Shop struct {
	link    *link
	trigger Trigger
}

// DialShop connects to the broker of c, of which it uses the URL, TLS and Trigger. A lost connection is not dialled again.
func DialShop(ctx context.Context, c Config) (*Shop, error) {
	c, _, l, err := dialFor(ctx, c)
	if err != nil {
		return nil, err
	}
	return &Shop{link: l, trigger: c.Trigger}, nil
}

// ShopEvent is one message for the trigger queue.
type ShopEvent struct {
	ID   string // its message-id; "": none
	Body []byte // in any of the forms that the trigger queue takes
}

// Publish returns nil once the broker has confirmed all events. It may be called from any goroutine; nothing of them is kept.
func (s *Shop) Publish(ctx context.Context, events ...ShopEvent) error {
	postings := make([]*posting, len(events))
	for i, e := range events {
		postings[i] = &posting{exchange: s.trigger.Exchange, key: s.trigger.Key, message: amqp.Publishing{
			MessageId: e.ID, ContentType: "application/json", DeliveryMode: amqp.Persistent, Body: e.Body,
		}}
	}
	_, err := s.link.publisher.publish(ctx, false, postings...)
	return err
}

// Close ends the connection.
func (s *Shop) Close() error {
	s.link.close()
	return nil
}

// Remove deletes all that c stands for on the broker, the trigger's exchange and queue among it, with everything that waits there. It is for what was
// made for one purpose, such as a measurement.
func Remove(ctx context.Context, c Config) error {
	_, t, l, err := dialFor(ctx, c)
	if err != nil {
		return err
	}
	defer l.close()
	for _, q := range t.Queues {
		err := l.ask(func(channel *amqp.Channel) error {
			_, err := channel.QueueDelete(q.Name, false, false, false)
			return err
		})
		if err != nil && !isCode(err, amqp.NotFound) {
			return err
		}
	}
	for _, e := range t.Exchanges {
		err := l.ask(func(channel *amqp.Channel) error { return channel.ExchangeDelete(e.Name, false, false) })
		if err != nil && !isCode(err, amqp.NotFound) {
			return err
		}
	}
	return nil
}
