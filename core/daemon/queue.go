package daemon

import (
	"context"
	"fmt"

	"github.com/hashicorp/go-hclog"

	"github.com/postrider/postrider/core/bolt"
	"github.com/postrider/postrider/core/config"
	"github.com/postrider/postrider/core/rabbitmq"
)

// maxDelayQueues bounds the delay queues that a schedule gets for itself: each costs the broker a Raft log. The later delays of a longer schedule are
// made up of those of the ladder, as all others are.
const maxDelayQueues = 16

// Broker returns what a configuration says about RabbitMQ, but for the store. It reads the files of credentials, which it then holds: never log it.
func Broker(c config.Config, log hclog.Logger) (rabbitmq.Config, error) {
	url, err := c.Queue.BrokerURL()
	if err != nil {
		return rabbitmq.Config{}, err
	}
	tls, err := c.Queue.TLS.Config()
	if err != nil {
		return rabbitmq.Config{}, err
	}
	delays := c.Retry.Delays()
	return rabbitmq.Config{
		URL: url, TLS: tls, Prefix: c.Queue.Prefix,
		Trigger:      rabbitmq.Trigger{Exchange: c.Queue.Trigger.Exchange, Key: c.Queue.Trigger.Key, Queue: c.Queue.Trigger.Queue},
		Delays:       delays[:min(len(delays), maxDelayQueues)],
		DrainTimeout: c.Timeouts.Drain, Logger: log,
	}, nil
}

// openBroker opens the queue on RabbitMQ, which need not be reachable now: what it has is logged in db.
//
// What still waits in the embedded queue would wait there for ever, so the daemon does not start on a broker before it is worked off.
func openBroker(c config.Config, db *bolt.DB, log hclog.Logger) (*rabbitmq.Queue, error) {
	broker, err := Broker(c, log)
	if err != nil {
		return nil, err
	}
	depths, err := db.Depths(context.Background())
	if err != nil {
		return nil, err
	}
	waiting := 0
	for _, d := range depths {
		waiting += d.Ready + d.Due
	}
	if waiting > 0 {
		return nil, fmt.Errorf("%d events and deliveries wait in the embedded queue of %s, where a daemon with its queue on RabbitMQ never looks: "+
			"run the daemon with queue.url bolt: until `postrider queue depths` shows nothing waiting or due, then change queue.url", waiting, c.DataDir)
	}
	broker.Store = db
	return rabbitmq.Open(broker)
}
