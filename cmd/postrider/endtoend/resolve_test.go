package endtoend

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// orders is the configuration of a resolver that reads its orders from a file, for every event.
const orders = "plugins: {orders: {config: {file: orders.json}}}"

// orderIs puts one order into that file, all at once: a resolver may be reading it.
func (in *installation) orderIs(id int, state string) {
	in.t.Helper()
	in.write("orders.json.new", fmt.Sprintf(`[{"entity_id":%d,"state":%q}]`, id, state))
	if err := os.Rename(filepath.Join(in.dir, "orders.json.new"), filepath.Join(in.dir, "orders.json")); err != nil {
		in.t.Fatal(err)
	}
}

type eventStatus struct {
	State    string
	Attempts []attempt
}

type deadLetter struct {
	ID         string
	DeliveryID string `json:"delivery_id"`
	EventID    string `json:"event_id"`
	Kind       string
	Reason     string
	Attempts   []attempt
}

// becomesDead waits until an event or a delivery is a dead letter, and returns that.
func (d *daemon) becomesDead(id string) deadLetter {
	d.in.t.Helper()
	eventually(d.in.t, id+" is a dead letter", func() bool {
		status, _ := d.call("GET", "/v1/dead-letters/"+id, nil)
		return status == 200
	})
	return get[deadLetter](d, "/v1/dead-letters/"+id)
}

func TestAnEventThatCannotBeResolvedIsADeadLetterWithItsAttemptsAndAReplayResolvesIt(t *testing.T) {
	onEachQueue(t, anEventThatCannotBeResolvedIsADeadLetterWithItsAttemptsAndAReplayResolvesIt)
}

func anEventThatCannotBeResolvedIsADeadLetterWithItsAttemptsAndAReplayResolvesIt(t *testing.T, queue string) {
	in := install(t, queue, orders, `retry: ["100ms", "200ms"]`)
	in.write("orders.json", `[]`)
	d := in.serve()
	r := receive(t, always(200))
	subscriber := d.subscribe("sales.order.created", r.URL)
	// dies holds the dead letter of an event, and every attempt that led to it, against what the resolver says.
	dies := func(id string, attempts int) {
		t.Helper()
		dead := d.becomesDead(id)
		if dead.Kind != "event" || dead.DeliveryID != "" || dead.EventID != id || !strings.Contains(dead.Reason, "no order 77") || len(dead.Attempts) != attempts {
			t.Errorf("the dead letter is %+v, want one of kind event with %d attempts that say why", dead, attempts)
		}
		for i, a := range dead.Attempts {
			if a.Number != i+1 || a.Outcome != "retry" || !strings.Contains(a.Reason, "no order 77") || strings.Count(a.Reason, "::get") != 1 {
				t.Errorf("attempt %d is %+v", i+1, a)
			}
		}
		if is := get[eventStatus](d, "/v1/events/"+id); is.State != "dead" || len(is.Attempts) != attempts {
			t.Errorf("the event is %+v", is)
		}
		if said := in.postrider("dead-letter", "show", id); strings.Count(said, "no order 77") < attempts {
			t.Errorf("dead-letter show says\n%s", said)
		}
	}
	for _, id := range []string{"order-77", "order-77-again"} {
		in.postrider("publish", "sales.order.created", "--args", `{"id":77}`, "--id", id)
		dies(id, 3)
	}
	if n, _ := r.counts(); n != 0 || len(get[page[delivery]](d, "/v1/deliveries").Items) != 0 {
		t.Errorf("the receiver got %d deliveries of what could not be resolved", n)
	}

	in.postrider("dead-letter", "replay", "order-77") // too early: a new budget, and its attempts are numbered on
	eventually(t, "it is dead again", func() bool { return len(d.becomesDead("order-77").Attempts) == 6 })
	dies("order-77", 6)

	in.orderIs(77, "new")
	in.postrider("dead-letter", "replay", "order-77")
	eventually(t, "the order arrives", func() bool { n, _ := r.counts(); return n == 1 })
	if got := r.all()[0]; got.Attempt != "1" || !strings.Contains(string(got.Body), `"entity_id":77`) {
		t.Errorf("it came as attempt %s: %s", got.Attempt, got.Body)
	}
	d.settled("delivered", 1)
	if is := get[eventStatus](d, "/v1/events/order-77"); is.State != "dispatched" || len(is.Attempts) != 6 {
		t.Errorf("after the replay the event is %+v, want dispatched and the attempts that failed", is)
	}
	left := func() (ids []string) {
		for _, dead := range get[page[deadLetter]](d, "/v1/dead-letters").Items {
			ids = append(ids, dead.ID)
		}
		return ids
	}
	if ids := left(); len(ids) != 1 || ids[0] != "order-77-again" {
		t.Errorf("the dead letters are now %v", ids)
	}

	d.call("DELETE", "/v1/subscribers/"+strconv.Itoa(subscriber), nil)
	in.postrider("dead-letter", "replay", "order-77-again")
	eventually(t, "the event is one that nobody wants any more", func() bool { return get[eventStatus](d, "/v1/events/order-77-again").State == "unwanted" })
	if ids := left(); len(ids) != 0 {
		t.Errorf("it is a dead letter still: %v", ids)
	}
	d.stop()
}

func TestARetrySendsWhatTheResolverSaysThenOnlyWhereThePayloadIsFresh(t *testing.T) {
	onEachQueue(t, aRetrySendsWhatTheResolverSaysThenOnlyWhereThePayloadIsFresh)
}

func aRetrySendsWhatTheResolverSaysThenOnlyWhereThePayloadIsFresh(t *testing.T, queue string) {
	in := install(t, queue, orders, `retry: ["100ms", "100ms"]`)
	in.write("webhooks.yaml", `webhooks:
  order.fresh: {service: {class: 'Magento\Sales\Api\OrderRepositoryInterface', method: get}, payload: fresh}
  order.frozen: {service: {class: 'Magento\Sales\Api\OrderRepositoryInterface', method: get}}
`)
	in.replace("postrider.yaml", "webhooks.xml", "webhooks.yaml")
	d := in.serve()
	for event, want := range map[string][]string{
		"order.fresh":  {"new", "processing", "complete"},
		"order.frozen": {"new", "new", "new"},
	} {
		in.orderIs(1, "new")
		r := receive(t, func(n int, _ received) int {
			switch n { // the order changes while the receiver fails
			case 1:
				in.orderIs(1, "processing")
				return 500
			case 2:
				in.orderIs(1, "complete")
				return 500
			}
			return 200
		})
		d.subscribe(event, r.URL)
		in.postrider("publish", event, "--args", `{"id":1}`)
		eventually(t, event+" is delivered at the third attempt", func() bool { return len(r.all()) == 3 })
		for i, got := range r.all() {
			if !strings.Contains(string(got.Body), `"state":"`+want[i]+`"`) || got.Attempt != strconv.Itoa(i+1) {
				t.Errorf("%s: attempt %s carries %s, want the state %s", event, got.Attempt, got.Body, want[i])
			}
		}
	}
	d.settled("delivered", 2)
	d.stop()
}
