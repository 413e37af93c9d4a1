package httpapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/httpapi"
)

// mustAnswer checks that the answer is JSON and has one of the statuses; any other than the first, which is success, must be a problem.
func mustAnswer(t *testing.T, w *httptest.ResponseRecorder, statuses ...int) (ok bool) {
	t.Helper()
	if !slices.Contains(statuses, w.Code) || !json.Valid(w.Body.Bytes()) {
		t.Fatalf("got status %d, want one of %v, and JSON: %s", w.Code, statuses, w.Body)
	}
	if w.Code == statuses[0] {
		return true
	}
	if p := problem(t, w, w.Code, ""); p.Detail == "" {
		t.Errorf("a problem that says nothing: %s", w.Body)
	}
	return false
}

// FuzzPublish looks for bodies that crash the API, are refused without a reason, or are accepted as an event that is none; and repeats what was accepted.
func FuzzPublish(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte, key, contentType string) {
		d := newDaemon()
		publish := func() *httptest.ResponseRecorder {
			return d.do(http.MethodPost, "/v1/events", string(body), "Idempotency-Key", key, "Content-Type", contentType)
		}
		w := publish()
		if !mustAnswer(t, w, http.StatusAccepted, 400, 409, 413, 415, 422) {
			if len(d.queue.events) > 0 {
				t.Errorf("answered %d, and accepted %v", w.Code, d.queue.events)
			}
			return
		}
		generated := false
		for _, p := range published(t, w) {
			generated = generated || strings.HasPrefix(p.ID, "evt_") // as far as can be told
			if event, ok := d.queue.events[core.EventID(p.ID)]; !ok || event.Name != p.Event {
				t.Errorf("answered %+v, and accepted %v", p, d.queue.events)
			}
		}
		for _, event := range d.queue.events {
			if err := event.Check(); err != nil {
				t.Errorf("accepted %+v: %v", event, err)
			}
			if !json.Valid(event.Arguments) || event.Arguments[0] != '{' {
				t.Errorf("accepted the arguments %s", event.Arguments)
			}
		}
		count := len(d.queue.events)
		again := publish()
		mustAnswer(t, again, http.StatusAccepted)
		if !generated && (again.Body.String() != w.Body.String() || len(d.queue.events) != count) {
			t.Errorf("the repeat got %s, and the first time was %s", again.Body, w.Body)
		}
	})
}

// published reads the answer to one event, or to a batch.
func published(t *testing.T, w *httptest.ResponseRecorder) (all []httpapi.Published) {
	t.Helper()
	if w.Body.Bytes()[0] == '[' {
		return decoded[[]httpapi.Published](t, w, http.StatusAccepted)
	}
	return []httpapi.Published{decoded[httpapi.Published](t, w, http.StatusAccepted)}
}

// FuzzSubscribe makes, reads, changes and lists subscribers with whatever body, on the API's own routes and on those of the reference.
func FuzzSubscribe(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		d := newDaemon()
		w := d.do(http.MethodPost, "/v1/subscribers", string(body))
		if mustAnswer(t, w, http.StatusCreated, 400, 413, 422) {
			created := decoded[httpapi.Subscriber](t, w, http.StatusCreated)
			if !strings.HasPrefix(created.URL, "https://") || created.Event == "" || created.Notifier == "" {
				t.Errorf("created %+v", created)
			}
			read := d.do(http.MethodGet, w.Header().Get("Location"), "")
			if read.Code != http.StatusOK || read.Body.String() != w.Body.String() {
				t.Errorf("created %s, read %d %s", w.Body, read.Code, read.Body)
			}
			mustAnswer(t, d.do(http.MethodPatch, w.Header().Get("Location"), string(body)), http.StatusOK)
		}
		w = d.do(http.MethodPost, "/rest/V1/webhook", string(body))
		if mustAnswer(t, w, http.StatusOK, 400, 413, 422) {
			created := decoded[httpapi.ReferenceSubscriber](t, w, http.StatusOK)
			if !strings.HasPrefix(created.RecipientURL, "https://") || created.EventName == "" {
				t.Errorf("created %+v", created)
			}
		}
		mustAnswer(t, d.do(http.MethodGet, "/v1/subscribers", ""), http.StatusOK)
		mustAnswer(t, d.do(http.MethodGet, "/rest/V1/webhooks?searchCriteria", ""), http.StatusOK)
	})
}

// FuzzReplay asks with whatever body for dead letters to be put back to work. Nothing is replayed that was not asked for, and nothing at all by a request that
// is refused.
func FuzzReplay(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		d := newDaemon()
		d.store.letters = deadLetters()
		w := d.do(http.MethodPost, "/v1/dead-letters/replay", string(body))
		if !mustAnswer(t, w, http.StatusAccepted, 400, 413, 422) {
			if d.store.gotDead != (core.DeadLetterFilter{}) || len(d.queue.events) > 0 {
				t.Errorf("answered %d, and looked for %+v and replayed %v", w.Code, d.store.gotDead, d.queue.events)
			}
			return
		}
		got := decoded[httpapi.Replayed](t, w, http.StatusAccepted)
		var asked httpapi.ReplayDeadLetters
		if err := json.Unmarshal(body, &asked); err != nil {
			t.Fatalf("answered %s to what is no request: %v", w.Body, err)
		}
		if len(asked.IDs) == 0 && asked.Kind == "" && asked.Event == "" && asked.SubscriberID == 0 && !asked.All {
			t.Errorf("replayed %v, and nothing was asked for", got.Replayed)
		}
		for _, id := range got.Replayed {
			if len(asked.IDs) > 0 && !slices.Contains(asked.IDs, id) {
				t.Errorf("replayed %s, and was asked for %q", id, asked.IDs)
			}
		}
	})
}
