package httpapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

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
			if d.store.gotDead != (core.DeadLetterFilter{}) || len(d.store.replayed) > 0 {
				t.Errorf("answered %d, and looked for %+v and replayed %q", w.Code, d.store.gotDead, d.store.replayed)
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
		slices.Sort(d.store.replayed) // they are replayed at once
		if answered := slices.Sorted(slices.Values(got.Replayed)); !slices.Equal(d.store.replayed, answered) {
			t.Errorf("answered that %q are replayed, and replayed %q", answered, d.store.replayed)
		}
		for _, id := range got.Replayed {
			if len(asked.IDs) > 0 && !slices.Contains(asked.IDs, id) {
				t.Errorf("replayed %s, and was asked for %q", id, asked.IDs)
			}
		}
	})
}

// FuzzRotateSecret asks with whatever body for a new token. What is refused changes nothing; else the subscriber has the token asked for, the one before is valid
// for as long as was asked for and the one before that no longer than it was, and the answer shows none of them.
func FuzzRotateSecret(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		d := newDaemon()
		older := core.EarlierToken{Token: "older", Expires: time.Now().Add(time.Hour)}
		was := core.Subscriber{ID: 1, Event: "stock.item.changed", URL: "https://x", Notifier: "default", Token: secret, Earlier: []core.EarlierToken{older}}
		d.store.subscribers = []core.Subscriber{was}
		shown := shownWithoutEarlier(t, d.do(http.MethodGet, "/v1/subscribers/1", ""))
		before := time.Now()
		w := d.do(http.MethodPost, "/v1/subscribers/1/rotate-secret", string(body))
		after := time.Now()
		got, _ := d.store.Subscriber(1)
		if !mustAnswer(t, w, http.StatusOK, 400, 413, 422) {
			if !reflect.DeepEqual(got, was) {
				t.Errorf("answered %d, and changed the subscriber to %+v", w.Code, got)
			}
			return
		}
		var asked httpapi.RotateSecret
		if err := json.Unmarshal(body, &asked); err != nil {
			t.Fatalf("answered %s to what is no request: %v", w.Body, err)
		}
		overlap := 24 * time.Hour
		if asked.Overlap != "" {
			var err error
			if overlap, err = time.ParseDuration(asked.Overlap); err != nil {
				t.Fatalf("took the overlap %q: %v", asked.Overlap, err)
			}
		}
		if overlap < 0 || overlap > core.MaxTokenOverlap {
			t.Errorf("took an overlap of %s", overlap)
		}
		if got.Token != asked.Token || got.Token == "" || got.Token == secret {
			t.Errorf("the token is %q, and %q was asked for", got.Token, asked.Token)
		}
		earliest, latest := before.Add(overlap-time.Millisecond), after.Add(overlap) // times are kept in whole milliseconds
		want := []string{secret, older.Token}
		if asked.Token == older.Token {
			want = want[:1]
		}
		if overlap == 0 {
			want = nil
		}
		var tokens []string
		for _, e := range got.Earlier {
			tokens = append(tokens, e.Token)
			if e.Expires.After(latest) || e.Expires.Before(earliest) && !e.Expires.Equal(older.Expires) || e.Token == older.Token && e.Expires.After(older.Expires) {
				t.Errorf("%q is valid until %s, and the overlap is %s from %s on", e.Token, e.Expires, overlap, before)
			}
		}
		if !slices.Equal(tokens, want) && (overlap == 0 || overlap >= time.Minute) { // what is shorter may be over
			t.Errorf("%q are valid for another %s, want %q", tokens, overlap, want)
		}
		if answer := shownWithoutEarlier(t, w); !reflect.DeepEqual(answer, shown) {
			t.Errorf("the subscriber was shown as %v, and the answer is %v", shown, answer)
		}
	})
}

// shownWithoutEarlier returns a subscriber as it is shown, but for until when its earlier tokens are valid, of which that alone is shown.
func shownWithoutEarlier(t *testing.T, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	s := decoded[map[string]any](t, w, http.StatusOK)
	earlier, _ := s["earlier_tokens"].([]any)
	for _, e := range earlier {
		if token, _ := e.(map[string]any); len(token) != 1 || token["expires"] == nil {
			t.Errorf("an earlier token is shown as %v", e)
		}
	}
	delete(s, "earlier_tokens")
	return s
}
