package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/httpapi"
)

const adminToken = "the-admin-token-of-this-test"

// queue keeps what is published, as a real one does with ids.
type queue struct {
	mu     sync.Mutex
	events map[core.EventID]core.Event
	calls  int
	err    error // what Publish answers
	depths []core.Depth
}

func (q *queue) Publish(_ context.Context, out ...core.Outgoing) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.calls++
	if q.err != nil {
		return q.err
	}
	for _, o := range out {
		known, ok := q.events[o.Message.Event]
		if ok && (known.Name != o.Message.Content.Name || !bytes.Equal(known.Arguments, o.Message.Content.Arguments)) {
			return core.ErrConflict
		}
	}
	for _, o := range out {
		q.events[o.Message.Event] = *o.Message.Content
	}
	return nil
}

func (q *queue) Depths(context.Context) ([]core.Depth, error) { return q.depths, q.err }

// store holds everything else.
type store struct {
	mu          sync.Mutex
	subscribers []core.Subscriber
	records     map[core.EventID]core.EventRecord
	attempts    []core.Attempt // of events
	deliveries  []core.Delivery
	letters     []core.DeadLetter
	replayed    []string
	replayErr   error
	gotFilter   core.DeliveryFilter
	gotDead     core.DeadLetterFilter
}

var testTime = time.Date(2026, 11, 23, 15, 36, 26, 120_000_000, time.UTC)

const snapshot = "the database as it is"

func (s *store) Snapshot(context.Context) (io.ReadCloser, int64, error) {
	return io.NopCloser(strings.NewReader(snapshot)), int64(len(snapshot)), nil
}

func (s *store) CreateSubscriber(_ context.Context, sub core.Subscriber) (core.Subscriber, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub.ID, sub.Created, sub.Modified = core.SubscriberID(len(s.subscribers)+1), testTime, testTime
	s.subscribers = append(s.subscribers, sub)
	return sub, nil
}

func (s *store) UpdateSubscriber(_ context.Context, id core.SubscriberID, change func(*core.Subscriber) error) (core.Subscriber, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.subscribers, func(sub core.Subscriber) bool { return sub.ID == id })
	if i < 0 {
		return core.Subscriber{}, core.ErrNotFound
	}
	changed := s.subscribers[i]
	if err := change(&changed); err != nil {
		return core.Subscriber{}, err
	}
	s.subscribers[i] = changed
	return changed, nil
}

func (s *store) DeleteSubscriber(_ context.Context, id core.SubscriberID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscribers = slices.DeleteFunc(s.subscribers, func(sub core.Subscriber) bool { return sub.ID == id })
	return nil
}

func (s *store) Subscriber(id core.SubscriberID) (core.Subscriber, bool) {
	for _, sub := range s.Subscribers() {
		if sub.ID == id {
			return sub, true
		}
	}
	return core.Subscriber{}, false
}

func (s *store) Subscribers() []core.Subscriber {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.subscribers)
}

func (s *store) Event(_ context.Context, id core.EventID) (core.EventRecord, error) {
	record, ok := s.records[id]
	if !ok {
		return record, core.ErrNotFound
	}
	return record, nil
}

func (s *store) Attempt(_ context.Context, event core.EventID, subscriber core.SubscriberID, number int) (core.Attempt, error) {
	for _, a := range s.attempts {
		if a.Event == event && a.Subscriber == subscriber && a.Number == number {
			return a, nil
		}
	}
	return core.Attempt{}, core.ErrNotFound
}

func (s *store) Delivery(_ context.Context, id core.DeliveryID) (core.Delivery, error) {
	for _, d := range s.deliveries {
		if d.ID == id {
			return d, nil
		}
	}
	return core.Delivery{}, core.ErrNotFound
}

// Deliveries answers one delivery a page, so that callers must follow the cursor.
func (s *store) Deliveries(_ context.Context, f core.DeliveryFilter) ([]core.Delivery, string, error) {
	s.gotFilter = f
	i := slices.IndexFunc(s.deliveries, func(d core.Delivery) bool { return f.Cursor == "" || string(d.ID) == f.Cursor })
	switch {
	case i < 0:
		return nil, "", nil
	case i+1 < len(s.deliveries):
		return s.deliveries[i : i+1], string(s.deliveries[i+1].ID), nil
	}
	return s.deliveries[i:], "", nil
}

func (s *store) DeadLetter(_ context.Context, id string) (core.DeadLetter, error) {
	for _, d := range s.letters {
		if d.ID == id {
			return d, nil
		}
	}
	return core.DeadLetter{}, core.ErrNotFound
}

func (s *store) DeadLetters(_ context.Context, f core.DeadLetterFilter) ([]core.DeadLetter, string, error) {
	s.gotDead = f
	return s.letters, "more", nil
}

func (s *store) RemoveDeadLetter(_ context.Context, id string) error {
	before := len(s.letters)
	s.letters = slices.DeleteFunc(s.letters, func(d core.DeadLetter) bool { return d.ID == id })
	if len(s.letters) == before {
		return core.ErrNotFound
	}
	return nil
}

func (s *store) ReplayDeadLetter(ctx context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.replayErr != nil {
		return s.replayErr
	}
	if _, err := s.DeadLetter(ctx, id); err != nil {
		return err
	}
	s.replayed = append(s.replayed, id)
	return nil
}

func (s *store) ReplayDelivery(ctx context.Context, id core.DeliveryID) error {
	if _, err := s.Delivery(ctx, id); err != nil {
		return err
	}
	s.replayed = append(s.replayed, string(id))
	return nil
}

// catalog has the webhooks of a small shop.
type catalog []core.Webhook

var orders = core.Service{Class: `Magento\Sales\Api\OrderRepositoryInterface`, Method: "get"}

func (c catalog) Webhooks() []core.Webhook { return c }

func (c catalog) Webhook(name string) (core.Webhook, bool) {
	for _, w := range c {
		if w.Name == name {
			return w, true
		}
	}
	return core.Webhook{}, false
}

// plugins accept arguments that have an id, and the notifiers "default" and "slack".
type plugins struct{}

func (plugins) Services() []core.OfferedService {
	return []core.OfferedService{{Service: orders, Description: "One order.", Arguments: json.RawMessage(`{"type":"object"}`), Plugin: "orders", Up: true}}
}

func (plugins) Plugins() []core.PluginStatus {
	return []core.PluginStatus{{Name: "orders", File: "resolver-orders", Version: "1.0.0", Role: core.RoleResolver, State: "running", PID: 7,
		Since: time.Date(2026, 1, 31, 9, 30, 0, 123_456_789, time.UTC), Requests: 7, Errors: 1, Memory: 1 << 20,
		Median: 1500 * time.Microsecond, P99: 20 * time.Millisecond}}
}

func (plugins) Reload(context.Context) ([]core.PluginChange, error) {
	return []core.PluginChange{{File: "/plugins/resolver-orders", Name: "orders", Change: core.PluginRefused, Reason: "it is broken"}}, nil
}

func (plugins) CheckArguments(_ core.Service, arguments json.RawMessage) error {
	if !bytes.Contains(arguments, []byte(`"id"`)) {
		return core.Invalidf("arguments.id", "the argument id is missing")
	}
	return nil
}

// ShownSettings hides a token.
func (plugins) ShownSettings(s core.Subscriber) json.RawMessage {
	return regexp.MustCompile(`"token":"[^"]*"`).ReplaceAll(s.Settings, []byte(`"token":"`+core.Hidden+`"`))
}

func (plugins) CheckSubscriber(s core.Subscriber) error {
	if s.Notifier != core.DefaultNotifier && s.Notifier != "slack" {
		return core.Invalidf("notifier", "no notifier is called %q", s.Notifier)
	}
	if !strings.HasPrefix(s.URL, "https://") {
		return core.Invalidf("url", "the URL %q is not https", s.URL)
	}
	return nil
}

// daemon is the API over fakes.
type daemon struct {
	queue   *queue
	store   *store
	reasons []string
	handler http.Handler
}

func newDaemon(change ...func(*httpapi.Config)) *daemon {
	d := &daemon{queue: &queue{events: map[core.EventID]core.Event{}}, store: &store{records: map[core.EventID]core.EventRecord{}}}
	config := httpapi.Config{
		Token: adminToken, BodyLimit: 4096,
		Queue: d.queue, Subscribers: d.store, Log: d.store, DeadLetters: d.store, Replayer: d.store, Backups: d.store,
		Catalog: catalog{
			{Name: "sales.order.created", Service: orders, Source: "webhooks.yaml:2"},
			{Name: "stock.item.changed", Fresh: true, Source: "webhooks.yaml:4"},
			{Name: "sales.order.refunded", Service: core.Service{Class: "Refunds", Method: "get"}, Source: "webhooks.yaml:5"},
		},
		Plugins: plugins{},
		Unready: func() []string { return d.reasons },
	}
	for _, f := range change {
		f(&config)
	}
	d.handler = httpapi.New(config)
	return d
}

// do sends one request with the admin's token; headers are pairs of name and value.
func (d *daemon) do(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, reader)
	r.Header.Set("Authorization", "Bearer "+adminToken)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w
}

// decoded checks the status and decodes the answer.
func decoded[T any](t *testing.T, w *httptest.ResponseRecorder, status int) T {
	t.Helper()
	var v T
	if w.Code != status {
		t.Fatalf("got status %d, want %d: %s", w.Code, status, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("answer %s: %v", w.Body, err)
	}
	return v
}

// problem checks that the answer is a problem of that status, whose detail or errors hold text.
func problem(t *testing.T, w *httptest.ResponseRecorder, status int, text string) httpapi.Problem {
	t.Helper()
	p := decoded[httpapi.Problem](t, w, status)
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("got content type %q, want application/problem+json", got)
	}
	if p.Status != status || p.Title != http.StatusText(status) {
		t.Errorf("got title %q and status %d in the problem of a %d", p.Title, p.Status, status)
	}
	if !strings.Contains(w.Body.String(), text) {
		t.Errorf("got problem %s, want one that says %q", w.Body, text)
	}
	return p
}
