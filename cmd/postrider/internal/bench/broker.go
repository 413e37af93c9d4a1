package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/postrider/postrider/core/eventjson"
	"github.com/postrider/postrider/core/rabbitmq"
	"github.com/postrider/postrider/core/retry"
)

// broker is RabbitMQ for the time of a measurement, under names that nobody else uses. It is nil where the queue is the embedded one.
type broker struct{ URL, Name string }

// brokerPatience bounds what is asked of it before and after a measurement.
const brokerPatience = 30 * time.Second

func newBroker(url string) *broker {
	if url == "" {
		return nil
	}
	return &broker{URL: url, Name: "postrider-bench-" + strings.ToLower(rand.Text()[:8])}
}

// settings are those of the daemon.
func (b *broker) settings() map[string]any {
	if b == nil {
		return nil
	}
	t := b.config().Trigger
	return map[string]any{"url": b.URL, "prefix": b.Name, "trigger": map[string]any{"exchange": t.Exchange, "key": t.Key, "queue": t.Queue}}
}

func (b *broker) config() rabbitmq.Config {
	trigger := b.Name + ".trigger"
	return rabbitmq.Config{
		URL: b.URL, Prefix: b.Name, Trigger: rabbitmq.Trigger{Exchange: b.Name, Key: trigger, Queue: trigger}, Delays: retry.Default().Delays(),
	}
}

// remove leaves nothing of the measurement on the broker.
func (b *broker) remove() error {
	if b == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), brokerPatience)
	defer cancel()
	if err := rabbitmq.Remove(ctx, b.config()); err != nil {
		return fmt.Errorf("remove the queues and exchanges %s… of the measurement from the broker: %w", b.Name, err)
	}
	return nil
}

// amqpPublisher publishes to the exchange that leads to the trigger queue.
type amqpPublisher struct{ shop *rabbitmq.Shop }

func newAMQPPublisher(ctx context.Context, b broker) (*amqpPublisher, error) {
	ctx, cancel := context.WithTimeout(ctx, brokerPatience)
	defer cancel()
	shop, err := rabbitmq.DialShop(ctx, b.config())
	if err != nil {
		return nil, fmt.Errorf("publish over AMQP: %w", err)
	}
	return &amqpPublisher{shop}, nil
}

func (p *amqpPublisher) publish(ctx context.Context, body []byte) error {
	if body[0] != '[' {
		return p.shop.Publish(ctx, shopEvent(body))
	}
	var events []rabbitmq.ShopEvent
	for one := range eventjson.Elements(body) {
		events = append(events, shopEvent(one))
	}
	return p.shop.Publish(ctx, events...)
}

func shopEvent(body []byte) rabbitmq.ShopEvent {
	phase, event, _ := eventNumber(body)
	return rabbitmq.ShopEvent{ID: fmt.Sprintf("bench-%d-%d", phase, event), Body: body}
}
