package pluginhost

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/host"
)

// Whoever adds a field to one of these decides in convert.go whether it crosses, and then counts it here.
func TestEveryFieldIsThoughtOf(t *testing.T) {
	for value, want := range map[any]int{
		reflect.TypeFor[core.Resolution]():   4,  // all cross, Trace in the context
		reflect.TypeFor[host.Resolution]():   4,  // all are set
		reflect.TypeFor[core.Notification](): 7,  // all cross, Trace in the context
		reflect.TypeFor[core.Event]():        5,  // Arguments stay: the payload is there; so does Trace, of which the notification has its own
		reflect.TypeFor[core.Subscriber]():   14, // ID, URL, Token, Earlier and Settings cross
		reflect.TypeFor[sdk.Delivery]():      12, // all are set
		reflect.TypeFor[sdk.Outcome]():       6,  // all cross
		reflect.TypeFor[core.Answer]():       6,  // all are set
	} {
		if got := value.(reflect.Type).NumField(); got != want {
			t.Errorf("%v has %d fields, and convert.go knows %d", value, got, want)
		}
	}
}

func TestEveryFieldOfWhatAPluginGetsIsSet(t *testing.T) {
	accepted := time.UnixMilli(1700000000000)
	d := deliveryOf(core.Notification{
		Delivery: "dlv_1", Attempt: 2, Payload: json.RawMessage("{}"), Envelope: core.EnvelopeRaw,
		Event: core.Event{ID: "evt_1", Name: "a.b", Accepted: accepted},
		Subscriber: core.Subscriber{ID: 7, URL: "https://example.com", Token: "secret", Settings: json.RawMessage(`{"a":1}`), Earlier: []core.EarlierToken{
			{Token: "newer", Expires: time.Now().Add(time.Hour)}, {Token: "expired", Expires: time.Now()},
		}},
	})
	want := sdk.Delivery{
		ID: "dlv_1", Attempt: 2, Event: "a.b", EventID: "evt_1", Time: accepted, Payload: json.RawMessage("{}"), Subscriber: 7,
		URL: "https://example.com", Token: "secret", Settings: json.RawMessage(`{"a":1}`), Envelope: "raw", EarlierTokens: []string{"newer"},
	}
	if !reflect.DeepEqual(d, want) {
		t.Errorf("got %+v, want %+v", d, want)
	}
	r := resolutionOf(core.Resolution{Service: core.Service{Class: "C", Method: "m"}, Arguments: json.RawMessage("{}"), Event: "evt_1"})
	if want := (host.Resolution{Class: "C", Method: "m", Arguments: json.RawMessage("{}"), EventID: "evt_1"}); !reflect.DeepEqual(r, want) {
		t.Errorf("got %+v, want %+v", r, want)
	}
}

func TestAnOutcomeBecomesAnAnswerWithinBounds(t *testing.T) {
	got, err := answerOf(sdk.Outcome{
		Status: sdk.StatusRejected, Code: 410, Reason: "gone", Excerpt: strings.Repeat("ü", 4<<10), RetryAfter: 48 * time.Hour, Gone: true,
	})
	want := core.Answer{
		Outcome: core.Rejected, Code: 410, Reason: "gone", Excerpt: strings.Repeat("ü", 2<<10), RetryAfter: time.Hour, Gone: true,
	}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if got, _ := answerOf(sdk.Outcome{Status: sdk.StatusRetry, RetryAfter: -1, Excerpt: "a" + strings.Repeat("ü", 4<<10)}); got.RetryAfter != 0 ||
		got.Excerpt != "a"+strings.Repeat("ü", 2047) {
		t.Errorf("got %+v, want no RetryAfter, and an excerpt that ends between two letters", got)
	}
	for _, status := range []sdk.Status{0, 4} {
		if _, err := answerOf(sdk.Outcome{Status: status}); err == nil {
			t.Errorf("status %d: got no error", status)
		}
	}
}
