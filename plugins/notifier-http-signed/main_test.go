package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/plugins/internal/plugintest"
	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/host"
	"github.com/postrider/postrider/sdk/sdktest"
	"github.com/postrider/postrider/sdk/signature"
)

// delivery is one to url, as the daemon would make it.
func delivery(url string) sdk.Delivery {
	return sdk.Delivery{
		ID: "dlv_01KG9ZX3T0ABCDEFGHJKMNPQRS", Attempt: 2, Event: "sales.order.created", EventID: "evt_01KG9ZX3T0ABCDEFGHJKMNPQRS",
		Time: time.Date(2026, 1, 31, 9, 30, 0, 0, time.UTC), Payload: json.RawMessage(`{"entity_id":1}`),
		Subscriber: 7, URL: url, Token: secret, Envelope: "standard",
	}
}

func receiver(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

// received is one request as a receiver got it.
type received struct {
	header http.Header
	body   []byte
	at     time.Time
}

// recorder is a receiver that hands on what it gets.
func recorder(t *testing.T) (url string, got chan received) {
	got = make(chan received, 1)
	return receiver(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- received{r.Header, body, time.Now()}
	}), got
}

func (r received) verify(s signature.Scheme, token string, names signature.Names) error {
	key, err := s.Key(token)
	if err != nil {
		return err
	}
	return signature.Verifier{Scheme: s, Keys: []signature.Key{key}, Names: names}.Verify(r.header, r.body, r.at)
}

func TestThePluginPassesTheChecksOfEveryNotifier(t *testing.T) {
	url := receiver(t, func(http.ResponseWriter, *http.Request) {})
	sdktest.CheckNotifier(t, sdktest.NotifierCheck{
		Start:         start,
		Configuration: `{"timeout":"20s","scheme":"github"}`,
		Delivery:      sdk.Delivery{URL: url, Token: secret, Settings: json.RawMessage(`{"scheme":"stripe","success":{"retry":["5xx"]}}`)},
	})
}

func TestAReceiverGetsTheSignatureBesideTheNamesOfTheDelivery(t *testing.T) {
	url, got := recorder(t)
	if outcome := notify(t, launch(t, `{}`), delivery(url)); outcome.Status != sdk.StatusDelivered {
		t.Fatalf("got %+v", outcome)
	}
	r := <-got
	if err := r.verify(signature.Standard, secret, signature.Names{}); err != nil {
		t.Error(err)
	}
	if want := `{"type":"sales.order.created","timestamp":"2026-01-31T09:30:00.000Z","data":{"entity_id":1}}`; string(r.body) != want {
		t.Errorf("body: got %s, want %s", r.body, want)
	}
	if r.header.Get("webhook-id") != "dlv_01KG9ZX3T0ABCDEFGHJKMNPQRS" || r.header.Get("webhook-attempt") != "2" {
		t.Errorf("got the header %v", r.header)
	}
	for name, values := range r.header {
		if strings.Contains(strings.Join(values, " "), secret) {
			t.Errorf("the verification token is sent in %s", name)
		}
	}
}

func TestASubscriberSignsInItsOwnWay(t *testing.T) {
	url, got := recorder(t)
	p := launch(t, `{"scheme":"github","header_names":{"signature":"x-shop-signature"}}`)
	for _, test := range []struct {
		name, settings string
		scheme         signature.Scheme
		names          signature.Names
	}{
		{"as configured", ``, signature.GitHub, signature.Names{Signature: "X-Shop-Signature"}},
		{"as configured, with other settings", `{"success":{"retry":["5xx"]}}`, signature.GitHub, signature.Names{Signature: "X-Shop-Signature"}},
		{"by another name", `{"header_names":{"signature":"X-Own"}}`, signature.GitHub, signature.Names{Signature: "X-Own"}},
		{"by another scheme", `{"scheme":"magento"}`, signature.Magento, signature.Names{}},
		{"with all names", `{"scheme":"standard","header_names":{"signature":"svix-signature","id":"svix-id","timestamp":"svix-timestamp"}}`,
			signature.Standard, signature.Names{Signature: "svix-signature", ID: "svix-id", Timestamp: "svix-timestamp"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := delivery(url)
			d.Settings = json.RawMessage(test.settings)
			if outcome := notify(t, p, d); outcome.Status != sdk.StatusDelivered {
				t.Fatalf("got %+v", outcome)
			}
			r := <-got
			if err := r.verify(test.scheme, secret, test.names); err != nil {
				t.Errorf("%v in %v", err, r.header)
			}
			if r.header.Get("webhook-id") != d.ID {
				t.Error("there is no webhook-id, on which receivers de-duplicate")
			}
		})
	}
}

func TestEachAttemptIsSignedAnew(t *testing.T) {
	url, got := recorder(t)
	p := launch(t, `{}`)
	before := time.Now().Unix()
	notify(t, p, delivery(url))
	r := <-got
	stamp, err := strconv.ParseInt(r.header.Get("webhook-timestamp"), 10, 64)
	if err != nil || stamp < before || stamp > time.Now().Unix() {
		t.Errorf("signed for %q, want the time of the attempt, and not that of the event", r.header.Get("webhook-timestamp"))
	}
}

func TestATokenThatCannotSignIsAPermanentErrorWithoutTheToken(t *testing.T) {
	p := launch(t, `{}`)
	for _, test := range []struct{ token, settings, want string }{
		{"", "", "subscriber 7 has no verification token"},
		{"whsec_hidden!", "", "rotate-secret 7"},
		{"whpk_" + strings.Repeat("A", 43) + "=", "", "can't sign"},
		{signature.NewEd25519(), `{"scheme":"magento"}`, "scheme standard"},
	} {
		d := delivery("http://127.0.0.1:1/")
		d.Token, d.Settings = test.token, json.RawMessage(test.settings)
		_, err := p.Notify(t.Context(), d)
		failure := new(host.PluginError)
		if !errors.As(err, &failure) || !failure.Permanent || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("got %v, want a permanent error with %q", err, test.want)
		}
	}
}

func TestATokenFromBeforeThatTheSchemeDoesNotKnowIsLeftOut(t *testing.T) {
	url, got := recorder(t)
	d := delivery(url)
	d.Settings = json.RawMessage(`{"scheme":"magento"}`)
	d.EarlierTokens = []string{signature.NewEd25519()}
	notify(t, launch(t, `{}`), d)
	if err := (<-got).verify(signature.Magento, secret, signature.Names{}); err != nil {
		t.Error(err)
	}
}

func TestABadConfigurationIsRefusedByName(t *testing.T) {
	for configuration, want := range map[string]string{
		`{"scheme":"sha1"}`:                               `key "scheme" breaks`,
		`{"header_names":{"signature":"a b"}}`:            "header_names.signature",
		`{"header_names":{"signature":"Content-Length"}}`: "header_names.signature: Content-Length is not for users to set",
		`{"header_names":{"id":"webhook-attempt"}}`:       "header_names.id: Webhook-Attempt is not",
		`{"header_names":{"id":"x-a","timestamp":"X-A"}}`: "same name",
		`{"header_names":{"signatur":"x-a"}}`:             "header_names.signatur",
		`{"timeout":"soon"}`:                              "timeout",
		`{"success":{"retry":["5xy"]}}`:                   "success.retry[0]",
		`{"schem":"github"}`:                              "schem",
	} {
		if err := start(t).Configure(t.Context(), configuration); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", configuration, err, want)
		}
	}
}

func TestBadSettingsEndInAPermanentErrorThatNamesThem(t *testing.T) {
	p := launch(t, `{}`)
	for settings, want := range map[string]string{
		`{"scheme":"sha1"}`:                          `setting "scheme"`,
		`{"header_names":{"signature":"Host"}}`:      "settings of subscriber 7: header_names.signature: Host is not for users to set",
		`{"header_names":{"signature":"a\r\nb: c"}}`: `setting "header_names.signature"`,
		`{"success":{"retry":["banana"]}}`:           `setting "success.retry[0]"`,
	} {
		d := delivery("http://127.0.0.1:1/")
		d.Settings = json.RawMessage(settings)
		_, err := p.Notify(t.Context(), d)
		if failure := new(host.PluginError); !errors.As(err, &failure) || !failure.Permanent || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want a permanent error with %q", settings, err, want)
		}
	}
}

func TestTheSamplesAreAccepted(t *testing.T) {
	for name, configuration := range plugintest.Samples(t, "http-signed") {
		if err := start(t).Configure(t.Context(), configuration); err != nil {
			t.Errorf("notifiers.%s: %v", name, err)
		}
	}

	settings, err := os.ReadFile("settings.json")
	if err != nil {
		t.Fatal(err)
	}
	url, got := recorder(t)
	d := delivery(url)
	d.Settings = settings
	notify(t, launch(t, `{}`), d)
	names := signature.Names{Signature: "svix-signature", ID: "svix-id", Timestamp: "svix-timestamp"}
	if err := (<-got).verify(signature.Standard, secret, names); err != nil {
		t.Errorf("settings.json: %v", err)
	}
}

func TestHeadersAndAuthAreSentBesideTheSignatureAndNeverInItsPlace(t *testing.T) {
	url, got := recorder(t)
	p := launch(t, `{"headers":{"X-Shop":"main"}}`)
	d := delivery(url)
	d.Settings = json.RawMessage(`{"scheme":"github","headers":{"X-More":"1"},"auth":{"basic":{"user":"anna","password":"pa:ss"}}}`)
	if outcome := notify(t, p, d); outcome.Status != sdk.StatusDelivered {
		t.Fatalf("got %+v", outcome)
	}
	r := <-got
	if err := r.verify(signature.GitHub, secret, signature.Names{}); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{"X-Shop": "main", "X-More": "1", "Authorization": "Basic YW5uYTpwYTpzcw=="} {
		if r.header.Get(name) != want {
			t.Errorf("%s: got %q, want %q", name, r.header.Get(name), want)
		}
	}
	d.Settings = json.RawMessage(`{"scheme":"github","headers":{"x-hub-signature-256":"sha256=mine"}}`)
	if _, err := p.Notify(t.Context(), d); err == nil || !strings.Contains(err.Error(), "settings of subscriber 7: headers: X-Hub-Signature-256 is a field of the signature") {
		t.Errorf("in the settings: got %v", err)
	}
	err := start(t).Configure(t.Context(), `{"scheme":"magento","headers":{"X-MAGENTO-signature":"mine"}}`)
	if err == nil || !strings.Contains(err.Error(), "X-Magento-Signature is a field of the signature") {
		t.Errorf("in the configuration: got %v", err)
	}
}
