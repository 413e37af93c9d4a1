package endtoend

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestTheReferenceDocumentsExampleWorksLiterally(t *testing.T) {
	onEachQueue(t, theReferenceDocumentsExampleWorksLiterally)
}

func theReferenceDocumentsExampleWorksLiterally(t *testing.T, queue string) {
	in := install(t, queue)
	d := in.serve()
	r := receive(t, always(200))
	d.subscribe("sales.order.created", r.URL+"/order_handler")
	in.postrider("publish", "sales.order.created", "--args", `{"id":1}`)

	eventually(t, "the order arrives", func() bool { n, _ := r.counts(); return n == 1 })
	got := r.all()[0]
	var body struct {
		Type      string
		Timestamp time.Time
		Data      struct {
			EntityID int `json:"entity_id"`
		}
	}
	if err := json.Unmarshal(got.Body, &body); err != nil {
		t.Fatalf("body %s: %v", got.Body, err)
	}
	if body.Type != "sales.order.created" || body.Data.EntityID != 1 || body.Timestamp.IsZero() {
		t.Errorf("body is %s", got.Body)
	}
	if got.Attempt != "1" || got.ID == "" || got.Header.Get("webhook-timestamp") == "" ||
		got.Header.Get("Content-Type") != "application/json" {
		t.Errorf("headers are %v", got.Header)
	}
	if log := in.log.tail(1 << 20); strings.Contains(log, "fv38u07Wdh") || strings.Contains(log, "grand_total") {
		t.Error("the log holds a secret or a payload")
	}
	d.stop()
}

type delivery struct {
	ID       string
	State    string
	Last     *attempt
	Attempts []attempt
}

type attempt struct {
	Number     int
	Outcome    string
	StatusCode int `json:"status_code"`
	Excerpt    string
	Reason     string
	Due        time.Time
}

type page[T any] struct{ Items []T }

func TestAReceiverThatAlwaysAnswers500SeesSixAttemptsThenADeadLetterThatReplays(t *testing.T) {
	onEachQueue(t, aReceiverThatAlwaysAnswers500SeesSixAttemptsThenADeadLetterThatReplays)
}

func aReceiverThatAlwaysAnswers500SeesSixAttemptsThenADeadLetterThatReplays(t *testing.T, queue string) {
	in := install(t, queue)
	d := in.serve()
	r := receive(t, func(n int, _ received) int {
		if n <= 6 {
			return 500
		}
		return 200
	})
	d.subscribe("stock.item.changed", r.URL)
	in.postrider("publish", "stock.item.changed", "--args", `{"sku":"A-1"}`)

	eventually(t, "five attempts were made", func() bool { return len(r.all()) >= 5 })
	eventually(t, "it is a dead letter", func() bool { return len(get[page[deadLetter]](d, "/v1/dead-letters").Items) == 1 })
	got := r.all()
	if len(got) != 6 {
		t.Fatalf("%d attempts, want 6", len(got))
	}
	for i, delay := range []time.Duration{1, 4, 9, 16, 25} {
		want := delay * time.Second
		apart := got[i+1].At.Sub(got[i].At)
		t.Logf("attempt %d came %s after the one before", i+2, apart.Round(time.Millisecond))
		if tolerance := max(want/20, 100*time.Millisecond); apart < want || apart > want+tolerance {
			t.Errorf("attempt %d came %s after the one before, want %s within %s", i+2, apart, want, tolerance)
		}
		if got[i+1].Attempt != strconv.Itoa(i+2) || got[i+1].ID != got[0].ID {
			t.Errorf("attempt %d says webhook-attempt %s, webhook-id %s; the first had %s", i+2, got[i+1].Attempt, got[i+1].ID, got[0].ID)
		}
	}
	dead := get[deadLetter](d, "/v1/dead-letters/"+got[0].ID)
	if dead.DeliveryID != got[0].ID || dead.Kind != "delivery" || len(dead.Attempts) != 6 {
		t.Errorf("dead letter is %+v", dead)
	}
	for i, a := range dead.Attempts {
		if a.Number != i+1 || a.StatusCode != 500 || a.Excerpt != "answer "+strconv.Itoa(i+1) || a.Outcome != "retry" {
			t.Errorf("attempt %d is logged as %+v", i+1, a)
		}
	}

	in.postrider("dead-letter", "replay", dead.ID)
	eventually(t, "the replay arrives", func() bool { return len(r.all()) == 7 })
	if again := r.all()[6]; again.ID != got[0].ID || again.Attempt != "7" {
		t.Errorf("the replay came as webhook-id %s, attempt %s", again.ID, again.Attempt)
	}
	eventually(t, "the dead letter is gone", func() bool { return len(get[page[deadLetter]](d, "/v1/dead-letters").Items) == 0 })
	eventually(t, "the delivery is logged as delivered, with all its attempts", func() bool {
		one := get[delivery](d, "/v1/deliveries/"+got[0].ID)
		return one.State == "delivered" && len(one.Attempts) == 7
	})
}

func TestAnOrderThatIsNotThereYetIsRetried(t *testing.T) {
	onEachQueue(t, anOrderThatIsNotThereYetIsRetried)
}

func anOrderThatIsNotThereYetIsRetried(t *testing.T, queue string) {
	in := install(t, queue, "plugins: {orders: {config: {file: orders.json}}}")
	in.write("orders.json", `[]`)
	d := in.serve()
	r := receive(t, always(200))
	d.subscribe("sales.order.created", r.URL)
	in.postrider("publish", "sales.order.created", "--args", `{"id":77}`, "--id", "order-77")
	type event struct {
		State    string
		Attempts []struct{ Outcome string }
	}
	eventually(t, "the first resolution failed", func() bool {
		attempts := get[event](d, "/v1/events/order-77").Attempts
		return len(attempts) > 0 && attempts[0].Outcome == "retry"
	})
	in.write("orders.json", `[{"entity_id":77,"increment_id":"000000077"}]`)
	eventually(t, "the order arrives", func() bool { n, _ := r.counts(); return n == 1 })
	eventually(t, "the event is handed over", func() bool { return get[event](d, "/v1/events/order-77").State == "dispatched" })
}

func TestBadInputIsRefusedWithAWordOnWhatToDo(t *testing.T) {
	onEachQueue(t, badInputIsRefusedWithAWordOnWhatToDo)
}

func badInputIsRefusedWithAWordOnWhatToDo(t *testing.T, queue string) {
	in := install(t, queue)
	d := in.serve()
	for _, test := range []struct {
		name, method, path, body string
		status                   int
		says                     string
	}{
		{"malformed JSON", "POST", "/v1/events", `{"event":`, 400, "JSON"},
		{"unknown event", "POST", "/v1/events", `{"event":"sales.order.create","arguments":{}}`, 422, "sales.order.created"},
		{"missing argument", "POST", "/v1/events", `{"event":"sales.order.created","arguments":{}}`, 422, "id"},
		{"unknown argument", "POST", "/v1/events", `{"event":"sales.order.created","arguments":{"id":1,"colour":2}}`, 422, "colour"},
		{"ill-typed argument", "POST", "/v1/events", `{"event":"sales.order.created","arguments":{"id":"one"}}`, 422, "id"},
		{"bad name", "POST", "/v1/events", `{"event":"sales order.created","arguments":{}}`, 422, "sales order"},
		{"body over the limit", "POST", "/v1/events", `{"event":"stock.item.changed","arguments":{"a":"` + strings.Repeat("x", 1<<20) + `"}}`, 413, "limits.body"},
		{"unknown notifier", "POST", "/rest/V1/webhook", `{"webhook":{"event_name":"stock.item.changed","recipient_url":"https://example.com/","metadata":"pigeon"}}`, 422, "pigeon"},
		{"scheme", "POST", "/rest/V1/webhook", `{"webhook":{"event_name":"stock.item.changed","recipient_url":"ftp://example.com/"}}`, 422, "ftp"},
		{"user info", "POST", "/rest/V1/webhook", `{"webhook":{"event_name":"stock.item.changed","recipient_url":"https://u:p@example.com/"}}`, 422, "user"},
		{"private address", "POST", "/rest/V1/webhook", `{"webhook":{"event_name":"stock.item.changed","recipient_url":"http://10.0.0.1/"}}`, 422, "egress.allow"},
		{"no such route", "GET", "/v1/nothing", "", 404, "/v1/nothing"},
		{"no such delivery", "GET", "/v1/deliveries/dlv_0", "", 404, "dlv_0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, body := d.call(test.method, test.path, test.body)
			if status != test.status || !strings.Contains(string(body), test.says) {
				t.Errorf("answered %d %s, want %d and a word on %q", status, body, test.status, test.says)
			}
		})
	}
	request, _ := http.NewRequest("GET", d.url+"/v1/plugins", nil)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %d", answer.StatusCode)
	}
	if said := in.fails("serve"); !strings.Contains(said, "in use by another") {
		t.Errorf("a second daemon on the same directory said: %s", said)
	}
}

func TestAnEventPublishedTwiceIsDeliveredOnce(t *testing.T) {
	onEachQueue(t, anEventPublishedTwiceIsDeliveredOnce)
}

func anEventPublishedTwiceIsDeliveredOnce(t *testing.T, queue string) {
	in := install(t, queue)
	d := in.serve()
	r := receive(t, always(200))
	d.subscribe("stock.item.changed", r.URL)
	first, firstBody := d.call("POST", "/v1/events", `{"id":"a-1","event":"stock.item.changed","arguments":{"n":1}}`)
	again, againBody := d.call("POST", "/v1/events", `{"id":"a-1","event":"stock.item.changed","arguments":{"n":1}}`)
	if first != 202 || again != 202 || string(firstBody) != string(againBody) {
		t.Errorf("answers %d %s and %d %s", first, firstBody, again, againBody)
	}
	if other, body := d.call("POST", "/v1/events", `{"id":"a-1","event":"stock.item.changed","arguments":{"n":2}}`); other != 409 {
		t.Errorf("other content: %d %s", other, body)
	}
	if status, body := d.call("POST", "/v1/events", `[{"id":"b-1","event":"stock.item.changed"},{"id":"b-2","event":"stock.item.changed"}]`); status != 202 {
		t.Errorf("batch: %d %s", status, body)
	}
	d.settled("delivered", 3)
	d.kill()
	d = in.serve()
	if status, _ := d.call("POST", "/v1/events", `{"id":"a-1","event":"stock.item.changed","arguments":{"n":1}}`); status != 202 {
		t.Errorf("repeat after a restart: %d", status)
	}
	d.call("POST", "/v1/events", `{"id":"c-1","event":"stock.item.changed"}`)
	d.settled("delivered", 4)
	if n, duplicates := r.counts(); n != 4 || duplicates != 0 {
		t.Errorf("%d deliveries, %d duplicates", n, duplicates)
	}
}
