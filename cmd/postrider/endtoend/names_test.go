package endtoend

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// firehose has the broker tell of every message that leaves a queue on a vhost (https://www.rabbitmq.com/docs/firehose). What it returns counts by queue.
func firehose(t *testing.T, vhost string) (taken func() map[string]int) {
	t.Helper()
	connection, err := amqp.DialConfig(vhost, amqp.Config{Dial: amqp.DefaultDial(5 * time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	channel, err := connection.Channel()
	if err != nil {
		t.Fatal(err)
	}
	q, err := channel.QueueDeclare("", false, true, true, false, nil)
	if err == nil {
		err = channel.QueueBind(q.Name, "deliver.#", "amq.rabbitmq.trace", false, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	return func() map[string]int {
		for {
			m, ok, err := channel.Get(q.Name, true)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				return counts
			}
			counts[strings.TrimPrefix(m.RoutingKey, "deliver.")]++
		}
	}
}

func TestNamesOnTheBrokerAreTheConfigurationsAndOnlyTheShopFeedsItsQueue(t *testing.T) {
	t.Parallel()
	const password = "pa55:of/the@shop" // in a URL, this would have to be encoded
	b := broker.Start(t)
	vhost := b.VHost(t)
	where, err := url.Parse(vhost)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(where.Path, "/")
	b.Ctl(t, "eval", fmt.Sprintf(`rabbit_auth_backend_internal:add_user(<<"%s">>, <<"%s">>, <<"test">>), `+
		`rabbit_auth_backend_internal:set_permissions(<<"%[1]s">>, <<"%[1]s">>, <<".*">>, <<".*">>, <<".*">>, <<"test">>), `+
		`rabbit_trace:start(<<"%[1]s">>).`, name, password))
	taken := firehose(t, vhost)
	where.User = url.User(name)
	in := install(t, "queue: {url: '"+where.String()+"', prefix: hooks, trigger: {exchange: shop.events, key: order.placed, queue: shop.hooks}}",
		orders, `retry: ["100ms", "100ms"]`)
	in.write("orders.json", `[]`)
	in.env = append(in.env, "POSTRIDER_QUEUE_PASSWORD="+password)
	d := in.serve()
	for _, q := range in.topology() {
		if !q.Exists || !strings.HasPrefix(q.Name, "hooks.") && q.Name != "shop.hooks" || q.Foreign != (q.Name == "shop.hooks") {
			t.Errorf("the topology has %+v", q)
		}
	}
	said := in.postrider("queue", "topology")
	for _, want := range []string{"shop.events", "order.placed", "shop.hooks", "hooks.event", "hooks.delivery", "hooks.delay.100", "hooks.deadletter"} {
		if !strings.Contains(said, want) {
			t.Errorf("queue topology does not show %s:\n%s", want, said)
		}
	}

	r := receive(t, always(200))
	d.subscribe("sales.order.created", r.URL)
	tellTo(t, vhost, "shop.events", "order.placed", amqp.Publishing{MessageId: "order-77", Body: []byte(`["sales.order.created","{\"id\":77}"]`)})
	if dead := d.becomesDead("order-77"); len(dead.Attempts) != 3 {
		t.Errorf("after %d attempts to resolve it, want 3", len(dead.Attempts))
	}
	in.orderIs(77, "new")
	in.postrider("dead-letter", "replay", "order-77")
	eventually(t, "the order arrives", func() bool { return len(r.all()) == 1 })
	if n := taken(); n["shop.hooks"] != 1 || n["hooks.event"] != 3 {
		t.Errorf("of one event, tried again twice and then replayed, %d messages came from the shop's queue and %d from Postrider's own, want 1 and 3: %v",
			n["shop.hooks"], n["hooks.event"], n)
	}
	if said := said + in.postrider("queue", "topology", "--json") + in.log.tail(1<<20); strings.Contains(said, password) {
		t.Error("the password is told")
	}
	d.stop()
}
