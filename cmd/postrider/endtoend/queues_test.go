package endtoend

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/postrider/postrider/core/rabbitmq/brokertest"
)

// broker is the RabbitMQ node of all tests that neither kill nor block theirs.
var broker brokertest.Shared

// onRabbitMQ is the configuration of a daemon whose queue is on the vhost of a URL.
func onRabbitMQ(url string) string { return fmt.Sprintf("queue: {url: %q}", url) }

// onEachQueue runs a test on the embedded queue and on RabbitMQ. It hands over the line of configuration that makes the difference.
func onEachQueue(t *testing.T, test func(t *testing.T, queue string)) {
	t.Parallel()
	t.Run("bolt", func(t *testing.T) {
		t.Parallel()
		test(t, "queue: {url: 'bolt:'}")
	})
	t.Run("RabbitMQ", func(t *testing.T) {
		t.Parallel()
		test(t, onRabbitMQ(broker.Start(t).VHost(t)))
	})
}

// queueOnBroker is one queue as `postrider queue topology --json` shows it.
type queueOnBroker struct {
	Name      string
	Exists    bool
	Foreign   bool
	Unused    bool
	Messages  int
	Consumers int
}

// topology asks the broker what there is.
func (in *installation) topology() (queues []queueOnBroker) {
	in.t.Helper()
	var printed struct{ Queues []queueOnBroker }
	text := in.postrider("queue", "topology", "--json")
	if err := json.Unmarshal([]byte(text), &printed); err != nil {
		in.t.Fatalf("%v in %s", err, text)
	}
	return printed.Queues
}

// queue returns one queue of the topology.
func (in *installation) queue(name string) queueOnBroker {
	in.t.Helper()
	for _, q := range in.topology() {
		if q.Name == name {
			return q
		}
	}
	in.t.Fatalf("the topology has no queue %s", name)
	return queueOnBroker{}
}
