package endtoend

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestTheTopologyIsShownAndDelaysNoLongerUsedGoWithoutLosingWhatTheyHold(t *testing.T) {
	t.Parallel()
	url := broker.Start(t).VHost(t)
	in := install(t, onRabbitMQ(url), "retry: [7s]")
	for _, q := range in.topology() {
		if q.Exists {
			t.Errorf("%s exists before any daemon ran", q.Name)
		}
	}
	if said := in.postrider("queue", "topology"); !strings.Contains(said, "would be declared") || strings.Contains(said, ":guest@") {
		t.Errorf("before any daemon ran: %s", said)
	}

	d := in.serve()
	for _, q := range in.topology() {
		if !q.Exists || q.Unused || q.Foreign != (q.Name == "webhook.trigger") {
			t.Errorf("with the daemon running: %+v", q)
		}
	}
	r := receive(t, func(n int, _ received) int { return []int{500, 200}[min(n, 2)-1] })
	d.subscribe("stock.item.changed", r.URL)
	in.postrider("publish", "stock.item.changed")
	eventually(t, "the delivery waits for its retry", func() bool { return in.queue("webhook.delay.7000").Messages == 1 })
	d.stop()

	in.configure(onRabbitMQ(url), "retry: [3s]")
	if q := in.queue("webhook.delay.7000"); !q.Unused || q.Messages != 1 {
		t.Errorf("with another schedule: %+v", q)
	}
	var purged []struct {
		Queue string
		Moved int
	}
	if text := in.postrider("queue", "purge-delays", "--json"); json.Unmarshal([]byte(text), &purged) != nil || len(purged) != 1 ||
		purged[0].Queue != "webhook.delay.7000" || purged[0].Moved != 1 {
		t.Errorf("purge-delays printed %s", text)
	}
	for _, q := range in.topology() {
		if q.Name == "webhook.delay.7000" {
			t.Errorf("after purge-delays: %+v", q)
		}
	}
	if said := in.postrider("queue", "purge-delays"); !strings.Contains(said, "nothing to remove") {
		t.Errorf("purge-delays for the second time: %s", said)
	}
	d = in.serve()
	eventually(t, "the retry arrives", func() bool { return len(r.all()) == 2 })
	if apart := r.all()[1].At.Sub(r.all()[0].At); apart < 7*time.Second {
		t.Errorf("the retry came after %s, want 7s or, with the daemon away, more", apart)
	}
	d.stop()
}

func TestTheTopologyOfTheEmbeddedQueueIsNone(t *testing.T) {
	t.Parallel()
	if said := install(t).fails("queue", "topology"); !strings.Contains(said, "embedded database") || !strings.Contains(said, "queue.url") {
		t.Errorf("said %s", said)
	}
}
