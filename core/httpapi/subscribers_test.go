package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/httpapi"
)

const secret = "fv38u07Wdh$R@mRd"

func TestASubscriberIsMadeShownChangedAndRemoved(t *testing.T) {
	d := newDaemon()
	w := d.do(http.MethodPost, "/v1/subscribers", `{"event":"sales.order.created","url":"https://example.com/a","token":"`+secret+`",
		"settings":{"channel":"#shop"},"retry":["5s","5m"],"envelope":"raw"}`)
	made := decoded[httpapi.Subscriber](t, w, http.StatusCreated)
	if got := w.Header().Get("Location"); got != "/v1/subscribers/1" {
		t.Errorf("got location %q", got)
	}
	if made.ID != 1 || made.Notifier != "default" || !made.Enabled || string(made.Settings) != `{"channel":"#shop"}` || made.Envelope != "raw" || !made.Created.Equal(testTime) {
		t.Errorf("got %+v", made)
	}
	if got, _ := d.store.Subscriber(1); got.Token != secret || string(got.Retry) != `["5s","5m"]` {
		t.Errorf("got %+v in the store", got)
	}

	for _, method := range []string{http.MethodPut, http.MethodPatch} {
		changed := decoded[httpapi.Subscriber](t, d.do(method, "/v1/subscribers/1", `{"url":"https://example.com/b","settings":null}`), http.StatusOK)
		if changed.URL != "https://example.com/b" || changed.Settings != nil || string(changed.Retry) != `["5s","5m"]` || !changed.Enabled {
			t.Errorf("%s: got %+v, want another url, no settings, and all else as before", method, changed)
		}
	}
	if got, _ := d.store.Subscriber(1); got.Token != secret {
		t.Errorf("got token %q, want the one from before", got.Token)
	}
	shown := d.do(http.MethodGet, "/v1/subscribers/1", "")
	if strings.Contains(shown.Body.String(), secret) || strings.Contains(w.Body.String(), secret) {
		t.Errorf("got %s, want no token", shown.Body)
	}

	if w := d.do(http.MethodDelete, "/v1/subscribers/1", ""); w.Code != http.StatusNoContent {
		t.Errorf("got %d, want 204", w.Code)
	}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		problem(t, d.do(method, "/v1/subscribers/1", "{}"), http.StatusNotFound, "no subscriber 1")
	}
	problem(t, d.do(http.MethodGet, "/v1/subscribers/one", ""), http.StatusNotFound, "no subscriber one")
}

func TestASubscriberWhoseNotifierHasGoneCanBeDisabledAndEnabledForgetsTheReason(t *testing.T) {
	d := newDaemon()
	d.store.subscribers = []core.Subscriber{
		{ID: 1, Event: "gone.too", URL: "http://old", Notifier: "gone", Enabled: true},
		{ID: 2, Event: "stock.item.changed", URL: "https://x", Notifier: "default", Reason: "the receiver answered 410", Disabled: time.UnixMilli(1700000000000)},
	}
	if got := decoded[httpapi.Subscriber](t, d.do(http.MethodPatch, "/v1/subscribers/1", `{"enabled":false}`), http.StatusOK); got.Enabled {
		t.Errorf("got %+v, want it disabled", got)
	}
	problem(t, d.do(http.MethodPatch, "/v1/subscribers/1", `{"url":"https://new"}`), http.StatusUnprocessableEntity, "gone")
	if got := decoded[httpapi.Subscriber](t, d.do(http.MethodPatch, "/v1/subscribers/2", `{"token":"x"}`), http.StatusOK); got.DisabledReason == "" || got.DisabledSince.UnixMilli() != 1700000000000 {
		t.Errorf("got %+v, want it disabled for the same reason and since the same time", got)
	}
	if body := d.do(http.MethodGet, "/v1/subscribers/1", "").Body.String(); strings.Contains(body, "disabled_since") {
		t.Errorf("one that says no time is shown with one: %s", body)
	}
	if got := decoded[httpapi.Subscriber](t, d.do(http.MethodPatch, "/v1/subscribers/2", `{"enabled":true}`), http.StatusOK); !got.Enabled || got.DisabledReason != "" {
		t.Errorf("got %+v, want it enabled without a reason", got)
	}
}

func TestABadSubscriberIsRefusedByTheNameOfItsField(t *testing.T) {
	for _, test := range []struct {
		body   string
		status int
		field  string
	}{
		{`{"url":"https://x"}`, 422, "event"},
		{`{"event":"","url":"https://x"}`, 422, "event"},
		{`{"event":"sales.order.creted","url":"https://x"}`, 422, "event"},
		{`{"event":"sales order","url":"https://x"}`, 422, "event"},
		{`{"event":7,"url":"https://x"}`, 422, "event"},
		{`{"event":"stock.item.changed"}`, 422, "url"},
		{`{"event":"stock.item.changed","url":"ftp://x"}`, 422, "url"},
		{`{"event":"stock.item.changed","url":"https://x","notifier":"carrier-pigeon"}`, 422, "notifier"},
		{`{"event":"stock.item.changed","url":"https://x","retry":["5 parsecs"]}`, 422, "retry"},
		{`{"event":"stock.item.changed","url":"https://x","retry":7}`, 422, "retry"},
		{`{"event":"stock.item.changed","url":"https://x","envelope":"paper"}`, 422, "envelope"},
		{`{"event":"stock.item.changed","url":"https://x","enabled":"yes"}`, 422, "enabled"},
		{`{"event":"stock.item.changed","url":"https://x","evnt":"x"}`, 422, "evnt"},
	} {
		d := newDaemon()
		p := problem(t, d.do(http.MethodPost, "/v1/subscribers", test.body), test.status, "")
		if len(p.Errors) != 1 || p.Errors[0].Field != test.field || p.Errors[0].Message == "" {
			t.Errorf("%s: got errors %+v, want one on %q", test.body, p.Errors, test.field)
		}
		if len(d.store.subscribers) != 0 {
			t.Errorf("%s: got a subscriber, want none", test.body)
		}
	}
	problem(t, newDaemon().do(http.MethodPost, "/v1/subscribers", `{"event":`), http.StatusBadRequest, "offset")
	problem(t, newDaemon().do(http.MethodPost, "/v1/subscribers", `[]`), http.StatusUnprocessableEntity, "the body is a JSON array: it must be an object")
}

func TestSubscribersAreListedInPages(t *testing.T) {
	d := newDaemon()
	for i := range 5 {
		event := []string{"stock.item.changed", "sales.order.created"}[i%2]
		d.store.subscribers = append(d.store.subscribers, core.Subscriber{ID: core.SubscriberID(i + 1), Event: event, Enabled: i != 4, Token: secret})
	}
	for _, test := range []struct{ query, ids, next string }{
		{"", "12345", ""},
		{"?event=stock.item.changed", "135", ""},
		{"?enabled=false", "5", ""},
		{"?enabled=true&event=sales.order.created", "24", ""},
		{"?event=a.b", "", ""},
		{"?limit=2", "12", "2"},
		{"?limit=2&cursor=2", "34", "4"},
		{"?limit=2&cursor=4", "5", ""},
		{"?limit=5", "12345", ""},
	} {
		w := d.do(http.MethodGet, "/v1/subscribers"+test.query, "")
		page := decoded[httpapi.Page[httpapi.Subscriber]](t, w, http.StatusOK)
		ids := ""
		for _, s := range page.Items {
			ids += core.SubscriberID(s.ID).String()
		}
		if ids != test.ids || page.Next != test.next || page.Items == nil {
			t.Errorf("%s: got %q and next %q, want %q and %q", test.query, ids, page.Next, test.ids, test.next)
		}
		if strings.Contains(w.Body.String(), secret) {
			t.Errorf("%s: the list shows a token", test.query)
		}
	}
	for query, text := range map[string]string{
		"?enabled=maybe": "true or false", "?limit=0": "from 1", "?limit=1001": "at most 1000", "?cursor=x": "number", "?evnt=x": `no parameter \"evnt\"`, "?event=%zz": "can't be read",
	} {
		problem(t, d.do(http.MethodGet, "/v1/subscribers"+query, ""), http.StatusUnprocessableEntity, text)
	}
}

func TestASubscriberWhoseReceiverFailsSaysWhenItIsTriedAgain(t *testing.T) {
	until := time.Date(2026, 11, 24, 12, 0, 30, 0, time.UTC)
	d := newDaemon(func(c *httpapi.Config) {
		c.Paused = func(id core.SubscriberID) (time.Time, bool) { return until, id == 2 }
	})
	for range 2 {
		d.do(http.MethodPost, "/v1/subscribers", `{"event":"stock.item.changed","url":"https://example.com/"}`)
	}
	if got := decoded[httpapi.Subscriber](t, d.do(http.MethodGet, "/v1/subscribers/2", ""), http.StatusOK); !got.PausedUntil.Equal(until) {
		t.Errorf("paused until %v, want %v", got.PausedUntil, until)
	}
	if body := d.do(http.MethodGet, "/v1/subscribers/1", "").Body.String(); strings.Contains(body, "paused_until") {
		t.Errorf("a subscriber whose receiver works: %s", body)
	}
}

func TestSecretsOfSettingsAreNotShownAndSurviveBeingWrittenBack(t *testing.T) {
	d := newDaemon()
	d.do(http.MethodPost, "/v1/subscribers", `{"event":"sales.order.created","url":"https://example.com/a","settings":{"auth":{"token":"hush"},"n":1.50}}`)
	for _, method := range []string{http.MethodPut, http.MethodPatch} {
		shown := decoded[httpapi.Subscriber](t, d.do(http.MethodGet, "/v1/subscribers/1", ""), http.StatusOK)
		if want := `{"auth":{"token":"[secret]"},"n":1.50}`; string(shown.Settings) != want {
			t.Errorf("got %s, want %s", shown.Settings, want)
		}
		decoded[httpapi.Subscriber](t, d.do(method, "/v1/subscribers/1", `{"settings":{"auth":{"token":"[secret]"},"more":"x","n":1.50}}`), http.StatusOK)
		stored, _ := d.store.Subscriber(1)
		if want := `{"auth":{"token":"hush"},"more":"x","n":1.50}`; string(stored.Settings) != want {
			t.Errorf("%s: stored is %s, want %s", method, stored.Settings, want)
		}
		decoded[httpapi.Subscriber](t, d.do(method, "/v1/subscribers/1", `{"settings":{"auth":{"token":"hush"},"n":1.50}}`), http.StatusOK)
	}
	if answer := d.do(http.MethodPatch, "/v1/subscribers/1", `{"settings":{"key":"[secret]"}}`); answer.Code != http.StatusUnprocessableEntity {
		t.Errorf("a secret that isn't there: got %d", answer.Code)
	}
}
