package sdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/host"
	"github.com/postrider/postrider/sdk/sdktest"
)

// named is a configuration that lists the methods to offer.
type named struct {
	Methods []string        `json:"methods,omitempty"`
	Schema  json.RawMessage `json:"schema,omitempty"`
}

// configured is a resolver that offers what its configuration names; each method answers with its arguments.
func configured() []sdk.Option {
	return []sdk.Option{
		sdk.Method("Always", "there", none),
		sdk.ConfigureServices(func(_ context.Context, c named) (services []sdk.Service, err error) {
			for _, method := range c.Methods {
				services = append(services, sdk.Service{
					Class: "Configured", Method: method, Description: "answers with its arguments", Arguments: c.Schema,
					Call: func(_ context.Context, arguments json.RawMessage) (json.RawMessage, error) { return arguments, nil },
				})
			}
			return services, nil
		}),
	}
}

const oneID = `{"type":"object","properties":{"id":{"type":"integer"}},"required":["id"],"additionalProperties":false}`

func TestAResolverWhoseConfigurationSaysWhatItOffersPassesTheChecks(t *testing.T) {
	sdktest.CheckResolver(t, sdktest.ResolverCheck{
		Start:         func(t testing.TB) *sdktest.Plugin { return sdktest.Resolver(t, configured()...) },
		Configuration: `{"methods":["get"],"schema":` + oneID + `}`,
		Calls:         []sdktest.Call{{Class: "Always", Method: "there", Arguments: `{}`}, {Class: "Configured", Method: "get", Arguments: `{"id":1}`}},
	})
}

func TestServicesFollowFromTheConfiguration(t *testing.T) {
	p := sdktest.Resolver(t, configured()...)
	if got := p.Description().Services; len(got) != 1 || got[0].Class != "Always" {
		t.Errorf("before it is configured it offers %+v", got)
	}
	if _, err := p.Resolve(t.Context(), "Configured", "get", `{"id":1}`); err == nil {
		t.Error("it offers what no configuration named")
	}

	p = sdktest.Resolver(t, configured()...)
	if err := p.Configure(t.Context(), `{"methods":["get","getList"],"schema":`+oneID+`}`); err != nil {
		t.Fatal(err)
	}
	got := p.Description().Services
	want := host.Service{Class: "Configured", Method: "getList", Description: "answers with its arguments", Arguments: json.RawMessage(oneID)}
	if len(got) != 3 || got[2].Class != want.Class || got[2].Method != want.Method || got[2].Description != want.Description ||
		string(got[2].Arguments) != string(want.Arguments) {
		t.Errorf("configured, it offers %+v, the last of which should be %+v", got, want)
	}
	if payload, err := p.Resolve(t.Context(), "Configured", "get", `{"id":1}`); err != nil || payload != `{"id":1}` {
		t.Errorf("got %s, %v", payload, err)
	}
	var failure *host.PluginError
	_, err := p.Resolve(t.Context(), "Configured", "get", `{"id":"1"}`)
	if !errors.As(err, &failure) || !failure.InvalidArguments || !strings.Contains(err.Error(), `argument "id" is a string`) {
		t.Errorf("an argument of another type: got %v", err)
	}
}

func TestAServiceThatCannotBeOfferedRefusesTheConfiguration(t *testing.T) {
	for configuration, want := range map[string]string{
		`{"methods":["get","get"],"schema":` + oneID + `}`: "Configured::get is offered twice",
		`{"methods":[""],"schema":` + oneID + `}`:          `the class "Configured" and the method ""`,
		`{"methods":["get"],"schema":{"type":7}}`:          "the schema of the arguments of Configured::get is not a JSON Schema",
		`{"methods":["get"]}`:                              "the schema of the arguments of Configured::get is not a JSON Schema",
	} {
		p := sdktest.Resolver(t, configured()...)
		err := p.Configure(t.Context(), configuration)
		if refusal := new(host.ConfigurationError); !errors.As(err, &refusal) || !strings.Contains(refusal.What, want) {
			t.Errorf("%s: got %v, want it refused with %q", configuration, err, want)
		}
		if err := p.Configure(t.Context(), `{"methods":["get"],"schema":`+oneID+`}`); err != nil {
			t.Errorf("a good configuration after %s: got %v", configuration, err)
		}
	}
}

func TestANotifierHasNoServicesToConfigure(t *testing.T) {
	_, err := sdk.NewNotifier("n", "1", sdk.NotifierFunc(nil), sdk.ConfigureServices(
		func(context.Context, named) ([]sdk.Service, error) { return nil, nil }))
	if err == nil || !strings.Contains(err.Error(), "sdk.ConfigureServices are for resolvers") {
		t.Errorf("got %v", err)
	}
}
