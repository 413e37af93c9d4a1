package httpapi_test

import (
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/httpapi"
)

func attempts() []core.Attempt {
	return []core.Attempt{
		{Number: 1, Started: testTime.Add(98 * time.Microsecond), Duration: 1500 * time.Microsecond, Outcome: core.Retry, Code: 500, Reason: "it answered 500", Excerpt: "<no>", Due: testTime.Add(time.Second)},
		{Number: 2, Started: testTime.Add(time.Second), Outcome: core.Delivered, Code: 200},
	}
}

func TestDeliveriesAreListedAndShownWithTheirAttempts(t *testing.T) {
	d := newDaemon()
	tried := attempts()
	d.store.deliveries = []core.Delivery{{ID: "dlv_1", Event: "evt_1", EventName: "a.b", Subscriber: 3, State: core.DeliveryDelivered, Attempts: tried, Last: &tried[1]}}
	page := decoded[httpapi.Page[httpapi.Delivery]](t, d.do(http.MethodGet,
		"/v1/deliveries?event_id=evt_1&event=a.b&subscriber=3&state=delivered&limit=7&cursor=", ""), http.StatusOK)
	if want := (core.DeliveryFilter{Event: "evt_1", EventName: "a.b", Subscriber: 3, State: core.DeliveryDelivered, Limit: 7}); d.store.gotFilter != want {
		t.Errorf("got filter %+v, want %+v", d.store.gotFilter, want)
	}
	if len(page.Items) != 1 || page.Items[0].ID != "dlv_1" || page.Items[0].Last.StatusCode != 200 {
		t.Errorf("got %+v", page)
	}

	w := d.do(http.MethodGet, "/v1/deliveries/dlv_1", "")
	want := `"attempts":[{"number":1,"started":"2026-11-23T15:36:26.12Z","duration_ms":1.5,"outcome":"retry","status_code":500,"reason":"it answered 500",` +
		`"excerpt":"<no>","due":"2026-11-23T15:36:27.12Z"},{"number":2,`
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
		t.Errorf("got %d %s, want it to hold %s", w.Code, w.Body, want)
	}
	problem(t, d.do(http.MethodGet, "/v1/deliveries/dlv_2", ""), http.StatusNotFound, "dlv_2")

	if got := decoded[httpapi.Replayed](t, d.do(http.MethodPost, "/v1/deliveries/dlv_1/replay", ""), http.StatusAccepted); !slices.Equal(got.Replayed, []string{"dlv_1"}) {
		t.Errorf("got %+v", got)
	}
	problem(t, d.do(http.MethodPost, "/v1/deliveries/dlv_2/replay", ""), http.StatusNotFound, "dlv_2")
	for query, text := range map[string]string{"?state=lost": "pending, scheduled", "?subscriber=x": "number", "?limit=-1": "from 1", "?evnt=a": "no parameter"} {
		problem(t, d.do(http.MethodGet, "/v1/deliveries"+query, ""), http.StatusUnprocessableEntity, text)
	}
}

func deadLetters() []core.DeadLetter {
	return []core.DeadLetter{
		{ID: "dlv_1", Kind: core.DeadDelivery, Event: "evt_1", EventName: "a.b", Subscriber: 3, Reason: "six attempts failed", Died: testTime, Attempts: attempts(), Last: 2},
		{ID: "evt/2", Kind: core.DeadEvent, Event: "evt/2", EventName: "a.b", Reason: "no such order", Died: testTime},
	}
}

func TestDeadLettersAreListedShownAndRemoved(t *testing.T) {
	d := newDaemon()
	d.store.letters = deadLetters()
	page := decoded[httpapi.Page[httpapi.DeadLetter]](t, d.do(http.MethodGet, "/v1/dead-letters?kind=delivery&event=a.b&subscriber=3&cursor=c", ""), http.StatusOK)
	if want := (core.DeadLetterFilter{Kind: core.DeadDelivery, EventName: "a.b", Subscriber: 3, Limit: 100, Cursor: "c"}); d.store.gotDead != want {
		t.Errorf("got filter %+v, want %+v", d.store.gotDead, want)
	}
	if len(page.Items) != 2 || page.Next != "more" || page.Items[0].DeliveryID != "dlv_1" || page.Items[1].DeliveryID != "" || page.Items[1].ID != "evt/2" {
		t.Errorf("got %+v", page)
	}
	problem(t, d.do(http.MethodGet, "/v1/dead-letters?kind=letter", ""), http.StatusUnprocessableEntity, "delivery or event")

	shown := decoded[httpapi.DeadLetter](t, d.do(http.MethodGet, "/v1/dead-letters/dlv_1", ""), http.StatusOK)
	if len(shown.Attempts) != 2 || shown.SubscriberID != 3 || !shown.Died.Equal(testTime) || shown.Reason != "six attempts failed" {
		t.Errorf("got %+v", shown)
	}
	if w := d.do(http.MethodDelete, "/v1/dead-letters/evt%2F2", ""); w.Code != http.StatusNoContent || len(d.store.letters) != 1 {
		t.Errorf("got %d and %d letters left, want 204 and one", w.Code, len(d.store.letters))
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		problem(t, d.do(method, "/v1/dead-letters/evt%2F2", ""), http.StatusNotFound, "evt/2")
	}
}

func TestDeadLettersAreReplayed(t *testing.T) {
	for _, test := range []struct {
		name, path, body string
		replayed, failed string
		next             string
		filter           core.DeadLetterFilter
	}{
		{name: "one", path: "/dlv_1/replay", replayed: "dlv_1"},
		{name: "by ids", path: "/replay", body: `{"ids":["evt/2","dlv_9","dlv_1"]}`, replayed: "evt/2 dlv_1", failed: "dlv_9"},
		{name: "by event", path: "/replay", body: `{"event":"a.b","limit":10,"cursor":"c"}`, replayed: "dlv_1 evt/2", next: "more",
			filter: core.DeadLetterFilter{EventName: "a.b", Limit: 10, Cursor: "c"}},
		{name: "by kind and subscriber", path: "/replay", body: `{"kind":"delivery","subscriber_id":3}`, replayed: "dlv_1 evt/2", next: "more",
			filter: core.DeadLetterFilter{Kind: core.DeadDelivery, Subscriber: 3, Limit: 1000}},
		{name: "all", path: "/replay", body: `{"all":true}`, replayed: "dlv_1 evt/2", next: "more", filter: core.DeadLetterFilter{Limit: 1000}},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDaemon()
			d.store.letters = deadLetters()
			got := decoded[httpapi.Replayed](t, d.do(http.MethodPost, "/v1/dead-letters"+test.path, test.body), http.StatusAccepted)
			var failed []string
			for _, f := range got.Failed {
				failed = append(failed, f.ID)
			}
			if strings.Join(got.Replayed, " ") != test.replayed || strings.Join(failed, " ") != test.failed || got.Next != test.next {
				t.Errorf("got %+v, want %q replayed, %q failed, next %q", got, test.replayed, test.failed, test.next)
			}
			if d.store.gotDead != test.filter {
				t.Errorf("got filter %+v, want %+v", d.store.gotDead, test.filter)
			}
		})
	}
}

func TestABadReplayRequestReplaysNothing(t *testing.T) {
	d := newDaemon()
	d.store.letters = deadLetters()
	for body, text := range map[string]string{
		`{}`:                           "says not what",
		`{"ids":[]}`:                   "says not what",
		`{"ids":["dlv_1"],"all":true}`: "do one of the two",
		`{"kind":"letter"}`:            "delivery or event",
		`{"all":true,"limit":1001}`:    "1 to 1000",
		`{"subscriber_id":-1}`:         "from 1",
		`{"ids":"dlv_1"}`:              "it must be an array",
		`{"id":["dlv_1"]}`:             "means nothing here",
		`{"ids":["` + strings.Repeat(`x","`, 1000) + `"]}`: "at most 1000",
	} {
		problem(t, d.do(http.MethodPost, "/v1/dead-letters/replay", body), http.StatusUnprocessableEntity, text)
	}
	problem(t, d.do(http.MethodPost, "/v1/dead-letters/replay", ""), http.StatusBadRequest, "empty")
	problem(t, d.do(http.MethodPost, "/v1/dead-letters/dlv_9/replay", ""), http.StatusNotFound, "dlv_9")
	if len(d.store.replayed) != 0 {
		t.Errorf("got %q replayed, want nothing", d.store.replayed)
	}
	for err, status := range map[error]int{core.ErrUnavailable: 503, core.ErrNoSpace: 507, errors.New("broken"): 500} {
		d.store.replayErr = err
		problem(t, d.do(http.MethodPost, "/v1/dead-letters/replay", `{"all":true}`), status, "")
	}
}

func TestTheStateOfTheDaemonIsShown(t *testing.T) {
	d := newDaemon()
	d.queue.depths = []core.Depth{{Queue: core.EventQueue, Ready: 3, Due: 1}}
	for path, want := range map[string]string{
		"/v1/queues": `{"items":[{"queue":"event","ready":3,"due":1}]}`,
		"/v1/services": `{"items":[{"class":"Magento\\Sales\\Api\\OrderRepositoryInterface","method":"get","description":"One order.",` +
			`"arguments":{"type":"object"},"plugin":"orders","up":true}]}`,
		"/v1/plugins": `{"items":[{"name":"orders","file":"resolver-orders","version":"1.0.0","role":"resolver","state":"running","pid":7,"restarts":0,"in_flight":0,` +
			`"since":"2026-01-31T09:30:00.123Z","requests":7,"errors":1,"latency_ms":{"p50":1.5,"p99":20},"memory":1048576}]}`,
		"/v1/webhooks": `{"items":[{"name":"sales.order.created","service":{"class":"Magento\\Sales\\Api\\OrderRepositoryInterface","method":"get"},` +
			`"payload":"frozen","source":"webhooks.yaml:2","state":"ok","plugin":"orders"},` +
			`{"name":"stock.item.changed","service":null,"payload":"fresh","source":"webhooks.yaml:4","state":"ok"},` +
			`{"name":"sales.order.refunded","service":{"class":"Refunds","method":"get"},"payload":"frozen","source":"webhooks.yaml:5","state":"unoffered"}]}`,
	} {
		w := d.do(http.MethodGet, path, "")
		if got := strings.TrimSpace(w.Body.String()); w.Code != http.StatusOK || got != want {
			t.Errorf("%s: got %d %s, want %s", path, w.Code, got, want)
		}
	}
	down := httpapi.WebhookStates([]core.Webhook{{Name: "a.b", Service: orders}}, []core.OfferedService{{Service: orders, Plugin: "orders"}})
	if down[0].State != httpapi.WebhookDown {
		t.Errorf("got state %q for a service whose resolver is down, want %q", down[0].State, httpapi.WebhookDown)
	}
}

func TestNoFieldOfTheDomainIsForgottenOnTheWire(t *testing.T) {
	for _, test := range []struct {
		domain any
		fields int // of the domain's type when convert.go was last brought up to date
	}{
		{core.Subscriber{}, 14}, {core.Webhook{}, 4}, {core.OfferedService{}, 5}, {core.PluginStatus{}, 17}, {core.PluginChange{}, 4}, {core.Attempt{}, 12},
		{core.Delivery{}, 7}, {core.DeadLetter{}, 10}, {core.Depth{}, 3}, {core.EventRecord{}, 3}, {core.Event{}, 5},
	} {
		if typ := reflect.TypeOf(test.domain); typ.NumField() != test.fields {
			t.Errorf("%s has %d fields and had %d: bring convert.go and wire.go up to date, then this test", typ, typ.NumField(), test.fields)
		}
	}
}
