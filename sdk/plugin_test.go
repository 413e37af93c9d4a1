package sdk_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/sdktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inCall runs f as the author's code of one call.
func inCall(t *testing.T, allow []string, ctx context.Context, f func(context.Context)) { //nolint:revive // t comes first in tests
	t.Helper()
	p := sdktest.Resolver(t, sdk.Method("Test", "call", func(ctx context.Context, _ struct{}) (string, error) {
		f(ctx)
		return "", nil
	}))
	if err := p.Configure(ctx, "", allow...); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Resolve(ctx, "Test", "call", `{}`); err != nil {
		t.Fatal(err)
	}
}

func none(context.Context, struct{}) (string, error) { return "", nil }

func TestEverythingThatIsWrongWithAPluginIsSaidAtOnce(t *testing.T) {
	type looping struct{ Next *looping }
	_, err := sdk.NewResolver("my plugin", " ",
		sdk.MaxInFlight(0),
		sdk.Method("", "get", none),
		sdk.Method("A", "twice", none),
		sdk.Method("A", "twice", none),
		sdk.Method[struct{}, string]("A", "nil", nil),
		sdk.Method("A", "scalar", func(context.Context, int) (string, error) { return "", nil }),
		sdk.Method("A", "loop", func(context.Context, looping) (string, error) { return "", nil }),
		sdk.Method("A", "channel", func(context.Context, struct{ C chan int }) (string, error) { return "", nil }),
		sdk.Settings[struct{}](),
	)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`the name "my plugin"`, "no version", "MaxInFlight(0)", `the class ""`, "A::twice is offered twice", "the function of A::nil is nil",
		"the arguments of A::scalar: int is not a struct", "the arguments of A::loop: no JSON Schema follows", "the arguments of A::channel",
		"sdk.Settings is for notifiers",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
	if _, err := sdk.NewResolver("empty", "1"); err == nil || !strings.Contains(err.Error(), "add sdk.Method") {
		t.Errorf("a resolver without services: got %v", err)
	}
	if _, err := sdk.NewNotifier("n", "1", nil, sdk.Method("A", "b", none)); err == nil || !strings.Contains(err.Error(), "notifier is nil") {
		t.Errorf("a notifier that is nil and has services: got %v", err)
	}
}

func TestAPayloadIsWhatTheMethodReturned(t *testing.T) {
	type result struct {
		HTML string `json:"html"`
	}
	p := sdktest.Resolver(t,
		sdk.Method("P", "struct", func(context.Context, struct{}) (result, error) { return result{"<b>&</b>"}, nil }),
		sdk.Method("P", "raw", func(context.Context, struct{}) (json.RawMessage, error) { return json.RawMessage("{ \"a\" :1}"), nil }),
		sdk.Method("P", "empty", func(context.Context, struct{}) (json.RawMessage, error) { return nil, nil }),
		sdk.Method("P", "nil", func(context.Context, struct{}) (*result, error) { return nil, nil }),
		sdk.Method("P", "channel", func(context.Context, struct{}) (chan int, error) { return make(chan int), nil }),
	)
	for method, want := range map[string]string{"struct": `{"html":"<b>&</b>"}`, "raw": `{ "a" :1}`, "empty": "null", "nil": "null"} {
		if got, err := p.Resolve(t.Context(), "P", method, `{}`); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", method, got, err, want)
		}
	}
	if _, err := p.Resolve(t.Context(), "P", "channel", `{}`); err == nil || !strings.Contains(err.Error(), "P::channel: returned a result that doesn't become JSON") {
		t.Errorf("a channel: got %v", err)
	}
}
