package httpapi_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/httpapi"
)

func TestAPublishedEventIsInTheQueueWhenItIsAnswered(t *testing.T) {
	for _, test := range []struct{ name, body, arguments string }{
		{"as an event", `{"event":"sales.order.created","arguments":{"id": 1, "note":"\u00fc }\" ]"}}`, `{"id": 1, "note":"\u00fc }\" ]"}`},
		{"with spaces", " {\n \"arguments\" : {\"id\":2}\t,\r\n\"event\" : \"sales.order.created\" } ", `{"id":2}`},
		{"with escaped names", `{"\u0065vent":"sales.order\u002ecreated","arguments":{"id":3}}`, `{"id":3}`},
		{"as a CloudEvent", `{"specversion":"1.0","type":"sales.order.created","source":"/shop","id":"ce-1","time":"x","data":{"id":4},"ext":1}`, `{"id":4}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDaemon()
			published := decoded[httpapi.Published](t, d.do(http.MethodPost, "/v1/events", test.body), http.StatusAccepted)
			event, ok := d.queue.events[core.EventID(published.ID)]
			if !ok || published.Event != "sales.order.created" {
				t.Fatalf("got %+v, and in the queue %+v", published, d.queue.events)
			}
			if string(event.Arguments) != test.arguments {
				t.Errorf("got arguments %s, want them untouched: %s", event.Arguments, test.arguments)
			}
			if err := event.Check(); err != nil {
				t.Error(err)
			}
			if event.Accepted.Location() != time.UTC || event.Accepted.Truncate(time.Millisecond) != event.Accepted || time.Since(event.Accepted) > time.Minute {
				t.Errorf("got %v, want now in UTC to the millisecond", event.Accepted)
			}
		})
	}
}

func TestThePublishersTraceContextIsKeptWithTheEvent(t *testing.T) {
	const trace, other = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-5bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, test := range []struct {
		name, body string
		headers    []string
		want       core.Trace
	}{
		{"of one event", `{"id":"e-1","event":"stock.item.changed"}`, []string{"traceparent", trace}, trace},
		{"of a batch", `[{"event":"stock.item.changed"},{"id":"e-1","event":"stock.item.changed"}]`, []string{"traceparent", trace}, trace},
		{"of a CloudEvent", `{"specversion":"1.0","type":"stock.item.changed","source":"/shop","id":"e-1"}`, []string{"traceparent", trace}, trace},
		{"none", `{"id":"e-1","event":"stock.item.changed"}`, nil, ""},
		{"one that is none", `{"id":"e-1","event":"stock.item.changed"}`, []string{"traceparent", "mine"}, ""},
		{"two at once", `{"id":"e-1","event":"stock.item.changed"}`, []string{"traceparent", trace + "," + other}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDaemon()
			if got := d.do(http.MethodPost, "/v1/events", test.body, test.headers...); got.Code != http.StatusAccepted {
				t.Fatalf("got %d %s", got.Code, got.Body)
			}
			if got := d.queue.events["e-1"].Trace; got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestAnEventWithoutAnIDGetsAULID(t *testing.T) {
	d := newDaemon()
	published := decoded[httpapi.Published](t, d.do(http.MethodPost, "/v1/events", `{"event":"stock.item.changed"}`), http.StatusAccepted)
	if !strings.HasPrefix(published.ID, "evt_") || len(published.ID) != 30 {
		t.Fatalf("got id %q, want evt_ and a ULID", published.ID)
	}
	if got := core.DeliveryIDOf(core.EventID(published.ID), 1); string(got[4:14]) != published.ID[4:14] {
		t.Errorf("delivery %s does not begin with the time of %s", got, published.ID)
	}
	if got := string(d.queue.events[core.EventID(published.ID)].Arguments); got != "{}" {
		t.Errorf("got arguments %s, want {} where they are left out", got)
	}
}

func TestAPublishIsRepeatedWithoutHarmUnderItsID(t *testing.T) {
	const body, other = `{"event":"stock.item.changed","arguments":{"a":1}}`, `{"event":"stock.item.changed","arguments":{"a":2}}`
	withID := func(body string) string { return strings.Replace(body, "{", `{"id":"a/b\"c",`, 1) }
	for _, test := range []struct {
		name        string
		body, other string
		headers     []string
		id          string
	}{
		{"by member", withID(body), withID(other), nil, `a/b"c`},
		{"by header", body, other, []string{"Idempotency-Key", "key-1"}, "key-1"},
		{"by quoted header", body, other, []string{"Idempotency-Key", `"key-1"`}, "key-1"},
		{"by both", withID(body), withID(other), []string{"Idempotency-Key", `a/b"c`}, `a/b"c`},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDaemon()
			first := d.do(http.MethodPost, "/v1/events", test.body, test.headers...)
			if got := decoded[httpapi.Published](t, first, http.StatusAccepted); got.ID != test.id {
				t.Errorf("got id %q, want %q", got.ID, test.id)
			}
			again := d.do(http.MethodPost, "/v1/events", test.body, test.headers...)
			if again.Code != http.StatusAccepted || again.Body.String() != first.Body.String() {
				t.Errorf("got %d %s, want the answer of the first time: %s", again.Code, again.Body, first.Body)
			}
			p := problem(t, d.do(http.MethodPost, "/v1/events", test.other, test.headers...), http.StatusConflict, "known already")
			if quoted := fmt.Sprintf("%q", test.id); !strings.Contains(p.Detail, quoted) {
				t.Errorf("got %q, want it to name the id %s", p.Detail, quoted)
			}
		})
	}
}

func TestABatchIsAcceptedWholeOrNotAtAll(t *testing.T) {
	d := newDaemon()
	published := decoded[[]httpapi.Published](t, d.do(http.MethodPost, "/v1/events", `[
		{"id":"one","event":"stock.item.changed","arguments":{"a":[1,{"b":"]"}]}},
		{"event":"sales.order.created","arguments":{"id":1}},
		{"specversion":"1.0","id":"ce","source":"s","type":"stock.item.changed","data":{}},
		{"id":"one","event":"stock.item.changed","arguments":{"a":[1,{"b":"]"}]}}]`), http.StatusAccepted)
	if len(published) != 4 || published[0].ID != "one" || published[1].Event != "sales.order.created" || published[3] != published[0] {
		t.Errorf("got %+v", published)
	}
	if d.queue.calls != 1 || len(d.queue.events) != 3 {
		t.Errorf("got %d calls and %d events, want one call with three", d.queue.calls, len(d.queue.events))
	}

	p := problem(t, d.do(http.MethodPost, "/v1/events", `[{"id":"two","event":"stock.item.changed"},{"event":"stock.item.chnged"},7,
		{"event":"sales.order.created","arguments":{"x":1}}]`), http.StatusUnprocessableEntity, "nothing of the batch was accepted")
	var fields []string
	for _, e := range p.Errors {
		fields = append(fields, e.Field)
	}
	if got, want := strings.Join(fields, " "), "[1].event [2] [3].arguments.id"; got != want {
		t.Errorf("got errors on %q, want on %q", got, want)
	}
	problem(t, d.do(http.MethodPost, "/v1/events", `[{"id":"x","event":"stock.item.changed"},{"id":"x","event":"sales.order.created","arguments":{"id":1}}]`),
		http.StatusConflict, "event [1]")
	problem(t, d.do(http.MethodPost, "/v1/events", `[{"id":"one","event":"stock.item.changed"}]`), http.StatusConflict, "nothing of the batch")
	problem(t, d.do(http.MethodPost, "/v1/events", `[{"event":"stock.item.changed"}]`, "Idempotency-Key", "k"), http.StatusUnprocessableEntity, "each event its own id")
	if len(d.queue.events) != 3 {
		t.Errorf("got %d events in the queue, want the three from before", len(d.queue.events))
	}
	if w := d.do(http.MethodPost, "/v1/events", "[]"); w.Code != http.StatusAccepted || strings.TrimSpace(w.Body.String()) != "[]" {
		t.Errorf("got %d %s for an empty batch", w.Code, w.Body)
	}
}

func TestABatchOfManyMistakesIsNotReadToItsEnd(t *testing.T) {
	d := newDaemon()
	p := problem(t, d.do(http.MethodPost, "/v1/events", "["+strings.Repeat("1,", 1000)+"1]"), http.StatusUnprocessableEntity, "[19]")
	if len(p.Errors) != 20 {
		t.Errorf("got %d errors, want 20", len(p.Errors))
	}
}

func TestABadEventIsRefusedWithAReason(t *testing.T) {
	for _, test := range []struct {
		name, body string
		status     int
		text       string
	}{
		{"empty", "", 400, "empty"},
		{"blank", "  \n", 400, "empty"},
		{"malformed", `{"event":"stock.item.changed",}`, 400, "offset 31"},
		{"cut off", `{"event":"stock.item.chan`, 400, "unexpected end"},
		{"two texts", `{} {}`, 400, "offset 4"},
		{"not UTF-8", "{\"event\":\"\xff\"}", 400, "UTF-8, at offset 10"},
		{"a number", `7`, 422, "neither an object nor an array"},
		{"a string", `"x"`, 422, "neither"},
		{"no name", `{"arguments":{}}`, 422, `"field":"event"`},
		{"name of another type", `{"event":7}`, 422, "event is not a string"},
		{"name in a bad form", `{"event":"order created"}`, 422, "entity.verb"},
		{"unknown name", `{"event":"sales.order.create","arguments":{}}`, 422, `did you mean \"sales.order.created\"?`},
		{"unknown and far", `{"event":"a.b"}`, 422, "postrider webhook list"},
		{"null arguments", `{"event":"stock.item.changed","arguments":null}`, 422, "not a JSON object"},
		{"arguments in an array", `{"event":"stock.item.changed","arguments":[1]}`, 422, `"field":"arguments"`},
		{"arguments in a string", `{"event":"stock.item.changed","arguments":"{}"}`, 422, "not a JSON object"},
		{"wrong arguments", `{"event":"sales.order.created","arguments":{}}`, 422, `"field":"arguments.id"`},
		{"unknown member", `{"event":"stock.item.changed","args":{}}`, 422, `no member \"args\"`},
		{"data without specversion", `{"event":"stock.item.changed","data":{}}`, 422, "specversion"},
		{"a member twice", `{"event":"stock.item.changed","event":"sales.order.created"}`, 422, "two members"},
		{"empty id", `{"event":"stock.item.changed","id":""}`, 422, `"field":"id"`},
		{"null id", `{"event":"stock.item.changed","id":null}`, 422, "id is not a string"},
		{"id with a space", `{"event":"stock.item.changed","id":"a b"}`, 422, "character 2"},
		{"id with an umlaut", `{"event":"stock.item.changed","id":"\u00fc"}`, 422, "printable ASCII"},
		{"long id", `{"event":"stock.item.changed","id":"` + strings.Repeat("x", 256) + `"}`, 422, "256"},
		{"old CloudEvent", `{"specversion":"0.3","type":"stock.item.changed","id":"1"}`, 422, "1.0"},
		{"binary CloudEvent", `{"specversion":"1.0","type":"stock.item.changed","id":"1","data_base64":"e30="}`, 422, "data_base64"},
		{"CloudEvent without type", `{"specversion":"1.0","event":"stock.item.changed","id":"1"}`, 422, `"field":"type"`},
		{"CloudEvent of text", `{"specversion":"1.0","type":"stock.item.changed","id":"1","data":"x"}`, 422, `"field":"data"`},
		{"deep", strings.Repeat("[", 12_000), 413, "4096 bytes"},
		{"too large", `{"event":"stock.item.changed","arguments":{"x":"` + strings.Repeat("x", 4096) + `"}}`, 413, "limits.body"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDaemon()
			problem(t, d.do(http.MethodPost, "/v1/events", test.body, "Content-Type", "application/json"), test.status, test.text)
			if len(d.queue.events) != 0 {
				t.Errorf("got %v in the queue, want nothing", d.queue.events)
			}
		})
	}
}

func TestABodyOfUnknownLengthIsHeldToTheLimit(t *testing.T) {
	d := newDaemon()
	server := httptest.NewServer(d.handler)
	defer server.Close()
	for size, want := range map[int]int{100: http.StatusAccepted, 5000: http.StatusRequestEntityTooLarge} {
		body := io.MultiReader(strings.NewReader(`{"event":"stock.item.changed","arguments":{"x":"`), strings.NewReader(strings.Repeat("x", size)), strings.NewReader(`"}}`))
		r, _ := http.NewRequest(http.MethodPost, server.URL+"/v1/events", body)
		r.Header.Set("Authorization", "Bearer "+adminToken)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("got %d for %d bytes, want %d", response.StatusCode, size, want)
		}
	}
}

func TestOnlyJSONIsTaken(t *testing.T) {
	for contentType, want := range map[string]int{
		"": 202, "application/json": 202, "application/json; charset=UTF-8": 202, "application/cloudevents+json": 202, "Application/JSON": 202,
		"text/plain": 415, "application/x-www-form-urlencoded": 415, "application/json; charset=latin1": 415, "nonsense/": 415, "application/": 415,
	} {
		w := newDaemon().do(http.MethodPost, "/v1/events", `{"event":"stock.item.changed"}`, "Content-Type", contentType)
		if w.Code != want {
			t.Errorf("got %d for content type %q, want %d: %s", w.Code, contentType, want, w.Body)
		}
	}
}

func TestAnEncodedBodyIsRefusedByTheNameOfItsEncoding(t *testing.T) {
	for encoding, want := range map[string]int{"": 202, "identity": 202, "Identity": 202, "gzip": 415, "br, identity": 415} {
		d := newDaemon()
		w := d.do(http.MethodPost, "/v1/events", `{"event":"stock.item.changed"}`, "Content-Encoding", encoding)
		if w.Code != want {
			t.Errorf("got %d for content encoding %q, want %d: %s", w.Code, encoding, want, w.Body)
		}
		if want != 415 {
			continue
		}
		if p := problem(t, w, want, "send it without"); !strings.Contains(p.Detail, encoding) {
			t.Errorf("got %q, want it to name %s", p.Detail, encoding)
		}
		if got := w.Header().Get("Accept-Encoding"); got != "identity" {
			t.Errorf("got Accept-Encoding %q, want what would be taken", got)
		}
	}
}

func TestAQueueThatTakesNothingIsSaidSo(t *testing.T) {
	for _, test := range []struct {
		err    error
		status int
		text   string
	}{
		{core.ErrNoSpace, 507, "free some space"},
		{core.ErrUnavailable, 503, "repeat the request"},
		{core.ErrClosed, 503, "repeat the request"},
		{errors.New("a secret of the inside"), 500, "log"},
	} {
		d := newDaemon()
		d.queue.err = fmt.Errorf("publish: %w", test.err)
		w := d.do(http.MethodPost, "/v1/events", `{"event":"stock.item.changed"}`)
		problem(t, w, test.status, test.text)
		if got, want := w.Header().Get("Retry-After") != "", test.status == 503; got != want {
			t.Errorf("got a Retry-After: %v on %d, want %v", got, test.status, want)
		}
		if strings.Contains(w.Body.String(), "secret") {
			t.Errorf("got %s, want no word of the inside", w.Body)
		}
	}
}

func TestAnEventIsShownWithAllItsDeliveries(t *testing.T) {
	d := newDaemon()
	const id = "a/b?c%d"
	d.store.records[id] = core.EventRecord{
		Event: core.Event{ID: id, Name: "stock.item.changed", Arguments: json.RawMessage(`{"sku":"<1>"}`), Accepted: testTime}, State: core.EventDispatched,
	}
	d.store.deliveries = []core.Delivery{{ID: "dlv_2", Event: id, Subscriber: 2, State: core.DeliveryPending}, {ID: "dlv_1", Event: id, Subscriber: 1, State: core.DeliveryDelivered}}
	w := d.do(http.MethodGet, "/v1/events/a%2Fb%3Fc%25d", "")
	got := decoded[httpapi.EventStatus](t, w, http.StatusOK)
	if got.ID != id || got.State != "dispatched" || !got.Accepted.Equal(testTime) || len(got.Deliveries) != 2 || got.Deliveries[1].State != "delivered" {
		t.Errorf("got %+v", got)
	}
	if !strings.Contains(w.Body.String(), `{"sku":"<1>"}`) {
		t.Errorf("got %s, want the arguments as they were", w.Body)
	}
	problem(t, d.do(http.MethodGet, "/v1/events/other", ""), http.StatusNotFound, `\"other\"`)
}

func TestAnEventThatIsNotResolvedYetSaysWhyAndWhenItIsTriedAgain(t *testing.T) {
	d := newDaemon()
	due := testTime.Add(time.Minute)
	d.store.records["evt_1"] = core.EventRecord{Event: core.Event{ID: "evt_1", Name: "sales.order.created"}, State: core.EventAccepted}
	d.store.attempts = []core.Attempt{
		{Event: "evt_1", Number: 2, Started: testTime, Outcome: core.Retry, Reason: "no order 99", Due: due},
		{Event: "evt_1", Number: 1, Started: testTime, Outcome: core.Retry, Reason: "the shop is closed"},
		{Event: "evt_1", Subscriber: 1, Number: 3, Outcome: core.Delivered},
		{Event: "evt_2", Number: 3, Outcome: core.Retry},
	}
	got := decoded[httpapi.EventStatus](t, d.do(http.MethodGet, "/v1/events/evt_1", ""), http.StatusOK).Attempts
	if len(got) != 2 || got[0].Reason != "the shop is closed" || got[1].Number != 2 || got[1].Reason != "no order 99" || !got[1].Due.Equal(due) {
		t.Errorf("got %+v, want the two attempts to resolve it, by number", got)
	}
}

func TestTheRouteOfEventsIsTakenAsItIsWritten(t *testing.T) {
	for target, want := range map[string]int{
		"/v1/events": 202, "/v1/events?x=1": 202, "/v1/%65vents": 404, "/v1/Events": 404, "/v1//events": 404, "/v1/events/": 404, "/v1%2Fevents": 404,
	} {
		w := newDaemon().do(http.MethodPost, target, `{"event":"stock.item.changed"}`)
		if w.Code != want {
			t.Errorf("got %d for %s, want %d: %s", w.Code, target, want, w.Body)
		}
	}
	w := newDaemon().do(http.MethodGet, "/v1/events", "")
	problem(t, w, http.StatusMethodNotAllowed, "use POST")
	if got := w.Header().Get("Allow"); got != http.MethodPost {
		t.Errorf("got Allow %q, want POST", got)
	}
}
