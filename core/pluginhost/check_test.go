package pluginhost

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/sdk/host"
)

const orderSchema = `{"type":"object","required":["id"],"additionalProperties":false,"properties":{
	"id":{"type":"integer"},"store":{"type":"string","minLength":2},"price":{"type":["number","null"]},
	"options":{"type":"object","properties":{"limit":{"type":"integer","maximum":10}}}}}`

func checkedHost(t *testing.T) *Host {
	t.Helper()
	shop := resolver("shop", "Shop", "get")
	shop.Services[0].Arguments = json.RawMessage(orderSchema)
	free := resolver("free", "Free", "any")
	free.Services[0].Arguments = nil
	web := notifier("web")
	web.SettingsSchema = json.RawMessage(`{"type":"object","additionalProperties":false,"properties":{"timeout":{"type":"string"},"key":{"type":"string","writeOnly":true}}}`)
	h, _ := newFakeHost(t, Config{Notifiers: map[string]Notifier{"default": {Plugin: "http"}}, EgressAllow: []string{"10.1.0.0/16"}},
		map[string]func() (*fake, error){
			"shop": always(&fake{describes: shop}), "free": always(&fake{describes: free}),
			"web": always(&fake{describes: web}), "console": always(&fake{describes: notifier("console")}),
		})
	running(t, h)
	return h
}

func TestArgumentsThatAServiceDoesNotTakeAreNamed(t *testing.T) {
	h := checkedHost(t)
	get := core.Service{Class: "Shop", Method: "get"}
	for arguments, want := range map[string]string{
		`{"id":1}`: "",
		`{"id":1,"store":"de","price":2.5,"options":{}}`: "",
		`{"id":1,"price":null}`:                          "",
		`{}`:                                             `service Shop::get: argument "id" is missing`,
		`{"id":"1"}`:                                     `service Shop::get: argument "id" is a string: it must be an integer`,
		`{"id":1.5}`:                                     `argument "id" is a number: it must be an integer`,
		`{"id":1,"stroe":"de"}`:                          `there is no argument "stroe": there are id, options, price, store (did you mean "store"?)`,
		`{"id":1,"colour":"red"}`:                        `there is no argument "colour": there are id, options, price, store`,
		`{"id":1,"price":"x"}`:                           `argument "price" is a string: it must be a number`,
		`{"id":1,"store":"d"}`:                           `"store" breaks the rule "minLength" of its schema`,
		`{"id":1,"options":{"limit":11}}`:                `"options.limit" breaks the rule "maximum" of its schema`,
		`[1]`:                                            `the arguments must be a JSON object`,
		`{"id":1`:                                        `the arguments are not valid JSON`,
	} {
		err := h.CheckArguments(get, json.RawMessage(arguments))
		var invalid *core.Invalid
		switch {
		case want == "":
			if err != nil {
				t.Errorf("%s: got %v", arguments, err)
			}
		case !errors.As(err, &invalid) || invalid.Field != "arguments" || !strings.Contains(invalid.What, want):
			t.Errorf("%s: got %v, want an Invalid about arguments with %q", arguments, err, want)
		}
	}
	for _, service := range []core.Service{{Class: "Shop", Method: "list"}, {Class: "Free", Method: "any"}} {
		if err := h.CheckArguments(service, json.RawMessage(`{"x":1}`)); err != nil {
			t.Errorf("%s: got %v, want nil: nothing is known to be wrong", service, err)
		}
	}
}

func TestASubscriberThatCouldNeverGetADeliveryIsRefused(t *testing.T) {
	h := checkedHost(t)
	for _, test := range []struct {
		name                    string
		notifier, url, settings string
		field, want             string
	}{
		{"its notifier takes its settings", "web", "https://example.com/x", `{"timeout":"5s"}`, "", ""},
		{"no settings", "web", "https://example.com/x", ``, "", ""},
		{"the notifier's plugin may come later", "", "https://example.com/x", `{"any":1}`, "", ""},
		{"an allowed address", "web", "http://10.1.2.3/", ``, "", ""},
		{"empty settings for a notifier that takes none", "console", "https://example.com/x", `{}`, "", ""},
		{"unknown notifier", "wed", "https://example.com/x", ``, "notifier", `no notifier is called "wed" (did you mean "web"?)`},
		{"private address", "web", "http://10.2.3.4/", ``, "url", "10.2.3.4"},
		{"scheme", "web", "ftp://example.com/", ``, "url", "http"},
		{"no URL", "web", "", ``, "url", ""},
		{"wrong setting", "web", "https://example.com/x", `{"timeout":5}`, "settings", `notifier web: setting "timeout" is an integer: it must be a string`},
		{"unknown setting", "web", "https://example.com/x", `{"timeuot":"5s"}`, "settings", `(did you mean "timeout"?)`},
		{"settings for a notifier that takes none", "console", "https://example.com/x", `{"a":1}`, "settings", "takes no settings"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := h.CheckSubscriber(core.Subscriber{Notifier: test.notifier, URL: test.url, Settings: json.RawMessage(test.settings)})
			var invalid *core.Invalid
			switch {
			case test.field == "":
				if err != nil {
					t.Errorf("got %v", err)
				}
			case !errors.As(err, &invalid) || invalid.Field != test.field || !strings.Contains(invalid.What, test.want):
				t.Errorf("got %v, want an Invalid about %s with %q", err, test.field, test.want)
			}
		})
	}
}

func TestErrorsAboutSettingsNeverShowTheirValues(t *testing.T) {
	s, err := host.ParseSchema(json.RawMessage(`{"properties":{"key":{"type":"string","maxLength":3},"n":{"type":"object","properties":{"key":{"type":"integer"}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, settings := range []string{`{"key":"hunter2: type"}`, `{"n":{"key":"hunter2"}}`} {
		if err := checkMembers(s, json.RawMessage(settings), member{"setting", "notifier web"}); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v, want an error without the value", err)
		}
	}
}

func TestSettingsAreShownWithoutTheirSecrets(t *testing.T) {
	h := checkedHost(t)
	for _, test := range []struct{ notifier, settings, want string }{
		{"web", `{"timeout":"5s","key":"hush"}`, `{"key":"[secret]","timeout":"5s"}`},
		{"", `{"timeout":"5s","n":1}`, `{"n":1,"timeout":"[secret]"}`}, // its plugin isn't there to say what is secret
		{"web", ``, ``},
	} {
		if got := h.ShownSettings(core.Subscriber{Notifier: test.notifier, Settings: json.RawMessage(test.settings)}); string(got) != test.want {
			t.Errorf("%q: got %s, want %s", test.notifier, got, test.want)
		}
	}
}

func BenchmarkCheckArguments(b *testing.B) {
	s, err := host.ParseSchema(json.RawMessage(orderSchema))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := checkMembers(s, json.RawMessage(`{"id":1,"store":"de"}`), member{"argument", "service Shop::get"}); err != nil {
			b.Fatal(err)
		}
	}
}
