package sdktest_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/sdktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type byID struct {
	ID   int     `json:"id" jsonschema:"the order's number"`
	Note *string `json:"note"`
}

type order struct {
	ID    int    `json:"id"`
	State string `json:"state"`
}

type orderConfiguration struct {
	State string `json:"state,omitempty"`
}

// orders is what the example's main gives to sdk.ServeResolver.
func orders() []sdk.Option {
	state := "new"
	return []sdk.Option{
		sdk.Configure(func(_ context.Context, c orderConfiguration) error {
			if c.State != "" {
				state = c.State
			}
			return nil
		}),
		sdk.Method("Orders", "get", func(ctx context.Context, a byID) (order, error) {
			select {
			case <-time.After(2 * time.Millisecond): // long enough to be cancelled
				return order{ID: a.ID, State: state}, nil
			case <-ctx.Done():
				return order{}, ctx.Err()
			}
		}),
		sdk.MaxInFlight(8),
	}
}

func TestAResolverPassesTheChecks(t *testing.T) {
	sdktest.CheckResolver(t, sdktest.ResolverCheck{
		Start:         func(t testing.TB) *sdktest.Plugin { return sdktest.Resolver(t, orders()...) },
		Configuration: `{"state":"paid"}`,
		Calls:         []sdktest.Call{{Class: "Orders", Method: "get", Arguments: `{"id":1}`}},
	})
}

func TestAResolverIsCalledThroughTheProtocol(t *testing.T) {
	p := sdktest.Resolver(t, orders()...)
	if got, err := p.Resolve(t.Context(), "Orders", "get", `{"id":7}`); err != nil || got != `{"id":7,"state":"new"}` {
		t.Errorf("got %s, %v", got, err)
	}
}

// poster posts each delivery to its URL.
func poster(ctx context.Context, d sdk.Delivery) (sdk.Outcome, error) {
	body, contentType, err := d.Body()
	if err != nil {
		return sdk.Outcome{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, strings.NewReader(string(body)))
	if err != nil {
		return sdk.Rejected(err.Error()), nil
	}
	request.Header.Set("Content-Type", contentType)
	response, err := sdk.HTTPClient(ctx).Do(request)
	if err != nil {
		return sdk.Retry(err.Error()), nil
	}
	response.Body.Close()
	return sdk.Delivered(), nil
}

func TestANotifierPassesTheChecks(t *testing.T) {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	defer receiver.Close()
	type settings struct {
		Path string `json:"path,omitempty"`
	}
	sdktest.CheckNotifier(t, sdktest.NotifierCheck{
		Start: func(t testing.TB) *sdktest.Plugin {
			return sdktest.Notifier(t, sdk.NotifierFunc(poster), sdk.Settings[settings](), sdk.MaxInFlight(16))
		},
		Delivery: sdk.Delivery{URL: receiver.URL},
	})
	http.DefaultClient.CloseIdleConnections()
}

func TestEveryFieldOfADeliveryAndItsOutcomeCrosses(t *testing.T) {
	sent := sdk.Delivery{
		ID: "dlv_1", Attempt: 2, Event: "sales.order.created", EventID: "evt_1", Time: time.UnixMilli(1700000000123).UTC(),
		Payload: json.RawMessage(`{"a":1}`), Subscriber: 3, URL: "https://example.com/", Token: "secret",
		Settings: json.RawMessage(`{"path":"/x"}`), Envelope: "raw", EarlierTokens: []string{"older", "oldest"},
	}
	answered := sdk.Outcome{Status: sdk.StatusRejected, Code: 410, Reason: "gone", Excerpt: "bye", RetryAfter: 1500 * time.Millisecond, Gone: true}
	wantAllFieldsSet(t, sent)
	wantAllFieldsSet(t, answered)
	var got sdk.Delivery
	type settings struct {
		Path string `json:"path"`
	}
	p := sdktest.Notifier(t, sdk.NotifierFunc(func(_ context.Context, d sdk.Delivery) (sdk.Outcome, error) {
		got = d
		return answered, nil
	}), sdk.Settings[settings]())
	outcome, err := p.Notify(t.Context(), sent)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, sent) {
		t.Errorf("the delivery: got %+v\nwant %+v", got, sent)
	}
	if outcome != answered {
		t.Errorf("the outcome: got %+v\nwant %+v", outcome, answered)
	}
}

// wantAllFieldsSet fails when a field was added that the test doesn't send yet.
func wantAllFieldsSet(t *testing.T, value any) {
	t.Helper()
	for field, v := range reflect.ValueOf(value).Fields() {
		if v.IsZero() {
			t.Errorf("%T.%s is zero: a new field must cross too", value, field.Name)
		}
	}
}

func TestABuiltBinaryPassesTheChecks(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "subject")
	if out, err := exec.Command("go", "build", "-o", binary, "../host/testdata/subject").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	sdktest.CheckResolver(t, sdktest.ResolverCheck{
		Start: func(t testing.TB) *sdktest.Plugin { return sdktest.Launch(t, binary, "SUBJECT=resolver") },
		Calls: []sdktest.Call{{Class: "Subject", Method: "echo", Arguments: `{"text":"a"}`}},
	})
	sdktest.CheckNotifier(t, sdktest.NotifierCheck{
		Start: func(t testing.TB) *sdktest.Plugin { return sdktest.Launch(t, binary, "SUBJECT=notifier") },
	})
}

// failing stands in the environment of a test process that is to fail.
const failing = "SDKTEST_FAILING"

func TestAnAuthorIsToldWhichRuleIsBrokenAndWhatToDo(t *testing.T) {
	if os.Getenv(failing) != "" {
		get := func(context.Context, byID) (order, error) { return order{}, errors.New("the database is away") }
		sdktest.CheckResolver(t, sdktest.ResolverCheck{
			Start: func(t testing.TB) *sdktest.Plugin { return sdktest.Resolver(t, sdk.Method("Orders", "get", get)) },
			Calls: []sdktest.Call{{Class: "Orders", Method: "get", Arguments: `{"id":1}`}},
		})
		return
	}
	itself := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	itself.Env = append(os.Environ(), failing+"=1")
	out, err := itself.CombinedOutput()
	if err == nil {
		t.Error("it passed")
	}
	for _, want := range []string{"FAIL: " + t.Name() + "/answers_with_a_payload", "Orders::get: the database is away", "what to do: Set either payload or failure"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the author doesn't see %q in\n%s", want, out)
		}
	}
}

func TestAPanicOfTheAuthorsCodeCostsOneRequest(t *testing.T) {
	fragile := sdk.NotifierFunc(func(_ context.Context, d sdk.Delivery) (sdk.Outcome, error) {
		if !json.Valid(d.Payload) {
			panic("what is that?")
		}
		return sdk.Delivered(), nil
	})
	sdktest.CheckNotifier(t, sdktest.NotifierCheck{Start: func(t testing.TB) *sdktest.Plugin { return sdktest.Notifier(t, fragile) }})
}
