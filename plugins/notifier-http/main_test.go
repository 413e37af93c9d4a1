package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/plugins/internal/plugintest"
	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/host"
	"github.com/postrider/postrider/sdk/sdktest"
)

// delivery is one to url, as the daemon would make it.
func delivery(url string) sdk.Delivery {
	return sdk.Delivery{
		ID: "dlv_01KG9ZX3T0ABCDEFGHJKMNPQRS", Attempt: 2, Event: "sales.order.created", EventID: "evt_01KG9ZX3T0ABCDEFGHJKMNPQRS",
		Time: time.Date(2026, 1, 31, 9, 30, 0, 0, time.UTC), Payload: json.RawMessage(`{"entity_id":1}`),
		Subscriber: 7, URL: url, Token: "fv38u07Wdh$R@mRd", Envelope: "standard",
	}
}

func receiver(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

func TestThePluginPassesTheChecksOfEveryNotifier(t *testing.T) {
	url := receiver(t, func(http.ResponseWriter, *http.Request) {})
	sdktest.CheckNotifier(t, sdktest.NotifierCheck{
		Start:         start,
		Configuration: `{"timeout":"20s","success":{"delivered":["2xx"]}}`,
		Delivery:      sdk.Delivery{URL: url, Settings: json.RawMessage(`{"success":{"retry":["5xx"]}}`)},
	})
}

func TestAReceiverGetsTheEnvelopeAndTheNamesOfTheDelivery(t *testing.T) {
	type request struct {
		header http.Header
		body   string
	}
	got := make(chan request, 1)
	url := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- request{r.Header, r.Method + " " + r.URL.String() + " " + string(body)}
	})
	before := time.Now().Unix()
	outcome := notify(t, launch(t, `{}`), delivery(url+"/orders?shop=1"))
	if want := (sdk.Outcome{Status: sdk.StatusDelivered, Code: 200}); outcome != want {
		t.Errorf("got %+v, want %+v", outcome, want)
	}
	r := <-got
	want := `POST /orders?shop=1 {"type":"sales.order.created","timestamp":"2026-01-31T09:30:00.000Z","data":{"entity_id":1}}`
	if r.body != want {
		t.Errorf("\n got %s\nwant %s", r.body, want)
	}
	for name, want := range map[string]string{
		"webhook-id": "dlv_01KG9ZX3T0ABCDEFGHJKMNPQRS", "webhook-attempt": "2", "content-type": "application/json", "user-agent": "Postrider/" + version,
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	var stamp int64
	if _, err := fmt.Sscan(r.header.Get("webhook-timestamp"), &stamp); err != nil || stamp < before || stamp > time.Now().Unix() {
		t.Errorf("webhook-timestamp: got %q, want the seconds of this attempt", r.header.Get("webhook-timestamp"))
	}
	for name, values := range r.header {
		if strings.Contains(strings.Join(values, " "), "fv38u07Wdh$R@mRd") {
			t.Errorf("the verification token is sent in %s", name)
		}
	}
}

func TestAnswersBecomeOutcomes(t *testing.T) {
	answer := func(status int, header, body string) string {
		return receiver(t, func(w http.ResponseWriter, r *http.Request) {
			if name, value, ok := strings.Cut(header, ": "); ok {
				w.Header().Set(name, value)
			}
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		})
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	onlyServerErrors := `{"success":{"retry":["5xx","429"]}}`
	strict := `{"success":{"errors_member_fails":true}}`
	tests := []struct {
		name, url, settings string
		want                sdk.Outcome // Reason: a part of it
	}{
		{"200", answer(200, "", "thanks"), "", sdk.Outcome{Status: sdk.StatusDelivered, Code: 200, Excerpt: "thanks"}},
		{"500", answer(500, "", "out of\x1b[31m order"), "",
			sdk.Outcome{Status: sdk.StatusRetry, Code: 500, Reason: "answered 500 Internal Server Error", Excerpt: "out of [31m order"}},
		{"404", answer(404, "", ""), "", sdk.Outcome{Status: sdk.StatusRetry, Code: 404, Reason: "answered 404 Not Found"}},
		{"410", answer(410, "", ""), "", sdk.Outcome{Status: sdk.StatusRejected, Code: 410, Reason: "wants no more", Gone: true}},
		{"a redirect", answer(301, "Location: https://example.com/new", ""), "",
			sdk.Outcome{Status: sdk.StatusRetry, Code: 301, Reason: "make it the recipient_url"}},
		{"Retry-After", answer(429, "Retry-After: 90", ""), "",
			sdk.Outcome{Status: sdk.StatusRetry, Code: 429, Reason: "answered 429", RetryAfter: 90 * time.Second}},
		{"Retry-After of a day", answer(503, "Retry-After: 86400", ""), "",
			sdk.Outcome{Status: sdk.StatusRetry, Code: 503, Reason: "answered 503", RetryAfter: time.Hour}},
		{"a huge answer", answer(200, "", strings.Repeat("x", 1<<20)), "",
			sdk.Outcome{Status: sdk.StatusDelivered, Code: 200, Excerpt: strings.Repeat("x", 1<<10)}},
		{"connection refused", "http://" + closed.Addr().String(), "", sdk.Outcome{Status: sdk.StatusRetry, Reason: "connection refused"}},
		{"an unknown host", "http://no-such-host.invalid/", "", sdk.Outcome{Status: sdk.StatusRetry, Reason: "no-such-host.invalid"}},
		{"a private address", "http://10.1.2.3/", "", sdk.Outcome{Status: sdk.StatusRejected, Reason: "egress.allow"}},
		{"cloud metadata", "http://169.254.169.254/latest/", "", sdk.Outcome{Status: sdk.StatusRejected, Reason: "egress.allow"}},
		{"404 where only 5xx is tried again", answer(404, "", ""), onlyServerErrors,
			sdk.Outcome{Status: sdk.StatusRejected, Code: 404, Reason: "success rule"}},
		{"503 where only 5xx is tried again", answer(503, "", ""), onlyServerErrors,
			sdk.Outcome{Status: sdk.StatusRetry, Code: 503, Reason: "answered 503"}},
		{"errors in a 200", answer(200, "", `{"errors":["no"]}`), strict,
			sdk.Outcome{Status: sdk.StatusRetry, Code: 200, Reason: "`errors`", Excerpt: `{"errors":["no"]}`}},
		{"no errors in a 200", answer(200, "", `{"errors":[]}`), strict,
			sdk.Outcome{Status: sdk.StatusDelivered, Code: 200, Excerpt: `{"errors":[]}`}},
	}
	p := launch(t, `{}`)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := delivery(test.url)
			if test.settings != "" {
				d.Settings = json.RawMessage(test.settings)
			}
			got := notify(t, p, d)
			if (test.want.Reason == "") != (got.Reason == "") || !strings.Contains(got.Reason, test.want.Reason) {
				t.Errorf("reason: got %q, want one with %q", got.Reason, test.want.Reason)
			}
			got.Reason, test.want.Reason = "", ""
			if got != test.want {
				t.Errorf("\n got %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestARuleThatWouldKillEveryDeliveryIsRefusedWithItsSubscriber(t *testing.T) {
	settings, err := host.ParseSchema(launch(t, `{}`).Description().SettingsSchema)
	if err != nil {
		t.Fatal(err)
	}
	for document, want := range map[string]string{
		`{"success":{"delivered":["2xx","409"],"retry":["5xx","429","418"]}}`: "",
		`{"success":{"delivered":null}}`:                                      "",
		`{"success":{"delivered":["2xx","9xx"]}}`:                             `setting "success.delivered[1]" breaks the rule "pattern" of its schema: an HTTP status`,
		`{"success":{"retry":["410"]}}`:                                       `setting "success.retry[0]" breaks`,
		`{"success":{"retry":[429]}}`:                                         `setting "success.retry[0]" is an integer: it must be a string`,
	} {
		switch err := settings.Check([]byte(document), "setting"); {
		case want == "" && err != nil:
			t.Errorf("%s: got %v", document, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want %s", document, err, want)
		}
	}
}

func TestTheConfiguredRuleHoldsForSubscribersWithoutTheirOwn(t *testing.T) {
	url := receiver(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusConflict) })
	p := launch(t, `{"success":{"delivered":["2xx","409"]}}`)
	if got := notify(t, p, delivery(url)); got.Status != sdk.StatusDelivered {
		t.Errorf("by the configuration: got %+v", got)
	}
	d := delivery(url)
	d.Settings = json.RawMessage(`{"success":{}}`)
	if got := notify(t, p, d); got.Status != sdk.StatusRetry {
		t.Errorf("by the subscriber's own rule: got %+v", got)
	}
}

func TestASlowReceiverEndsAtTheConfiguredTimeout(t *testing.T) {
	release := make(chan struct{})
	url := receiver(t, func(w http.ResponseWriter, r *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	start := time.Now()
	got := notify(t, launch(t, `{"timeout":"1s"}`), delivery(url))
	if got.Status != sdk.StatusRetry || got.Code != 0 {
		t.Errorf("got %+v", got)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v, want about 1s", took)
	}
}

func TestALoopbackAddressIsRefusedUnlessAllowed(t *testing.T) {
	var reached atomic.Int32
	url := receiver(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	got := notify(t, launch(t, `{}`, "192.0.2.0/24"), delivery(url))
	if got.Status != sdk.StatusRejected || !strings.Contains(got.Reason, "egress.allow") || reached.Load() != 0 {
		t.Errorf("got %+v, and %d requests", got, reached.Load())
	}
	if got := notify(t, launch(t, `{}`, "127.0.0.0/8"), delivery(url)); got.Status != sdk.StatusDelivered {
		t.Errorf("allowed: got %+v", got)
	}
}

func TestManyDeliveriesShareFewConnections(t *testing.T) {
	var opened, received atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { received.Add(1) }))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	p := launch(t, `{}`)
	const callers, each = 8, 50
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for range each {
				if got := notify(t, p, delivery(server.URL)); got.Status != sdk.StatusDelivered {
					t.Errorf("got %+v", got)
				}
			}
		})
	}
	group.Wait()
	if received.Load() != callers*each || opened.Load() > 4*callers {
		t.Errorf("%d deliveries arrived over %d connections, want %d over about %d", received.Load(), opened.Load(), callers*each, callers)
	}
}

func TestReceiversThatHangTakeNobodyAlong(t *testing.T) {
	release := make(chan struct{})
	var waiting sync.WaitGroup
	const hanging = 1000
	waiting.Add(hanging)
	hangs := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		waiting.Done()
		<-release
	})
	fine := receiver(t, func(http.ResponseWriter, *http.Request) {})
	p := launch(t, `{"timeout":"1m"}`)
	var group sync.WaitGroup
	for range hanging {
		group.Go(func() { notify(t, p, delivery(hangs)) })
	}
	waiting.Wait()
	if got := notify(t, p, delivery(fine)); got.Status != sdk.StatusDelivered {
		t.Errorf("beside %d that hang: got %+v", hanging, got)
	}
	close(release)
	group.Wait()
}

func TestCancellationReachesTheReceiver(t *testing.T) {
	arrived, gone := make(chan struct{}), make(chan struct{})
	url := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(arrived)
		<-r.Context().Done()
		close(gone)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	_, _ = launch(t, `{}`).Notify(ctx, delivery(url))
	<-gone
}

func TestABadConfigurationIsRefusedByName(t *testing.T) {
	for configuration, want := range map[string]string{
		`{"timeout":"soon"}`:               "timeout",
		`{"timeout":"0s"}`:                 "timeout",
		`{"timeout":15}`:                   "timeout",
		`{"success":{"retry":["5xy"]}}`:    "success.retry[0]",
		`{"success":{"delivered":[200]}}`:  "success.delivered[0]",
		`{"success":{"deliverd":["2xx"]}}`: "success.deliverd",
		`{"sucess":{}}`:                    "sucess",
	} {
		if err := start(t).Configure(t.Context(), configuration); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error that names %s", configuration, err, want)
		}
	}
}

func TestBadSettingsEndInAPermanentErrorThatNamesThem(t *testing.T) {
	d := delivery("http://127.0.0.1:1/")
	d.Settings = json.RawMessage(`{"success":{"retry":["banana"]}}`)
	_, err := launch(t, `{}`).Notify(t.Context(), d)
	if err == nil || !strings.Contains(err.Error(), `settings of subscriber 7: setting "success.retry[0]"`) {
		t.Errorf("got %v", err)
	}
}

func TestTheSamplesAreAccepted(t *testing.T) {
	for name, configuration := range plugintest.Samples(t, "http") {
		if err := start(t).Configure(t.Context(), configuration); err != nil {
			t.Errorf("notifiers.%s: %v", name, err)
		}
	}

	settings, err := os.ReadFile("settings.json")
	if err != nil {
		t.Fatal(err)
	}
	d := delivery(receiver(t, func(http.ResponseWriter, *http.Request) {}))
	d.Settings = settings
	if got := notify(t, launch(t, `{}`), d); got.Status != sdk.StatusDelivered {
		t.Errorf("settings.json: got %+v", got)
	}
}
