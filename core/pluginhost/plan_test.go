package pluginhost

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/postrider/postrider/sdk/host"
)

func offered(t *testing.T, file string, d host.Description) offer {
	t.Helper()
	described, err := describe(d)
	if err != nil {
		t.Fatal(err)
	}
	return offer{file: "/plugins/" + file, description: described}
}

func TestEveryClashIsReportedWithItsFiles(t *testing.T) {
	offers := []offer{
		offered(t, "http-old", notifier("http")),
		offered(t, "http-new", notifier("http")),
		offered(t, "shop-a", resolver("shop-a", "Shop", "get")),
		offered(t, "shop-b", resolver("shop-b", "Shop", "get")),
	}
	c := Config{
		Dir:     "/plugins",
		Plugins: map[string]json.RawMessage{"htpt": json.RawMessage(`{"a":1}`), "http": json.RawMessage(`[]`)},
		Notifiers: map[string]Notifier{
			"default": {Plugin: "shop-a"}, "http": {Plugin: "other"}, "none": {},
			"bad": {Plugin: "http", Config: json.RawMessage(`3`)},
		},
	}
	_, err := makePlan(c, offers)
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{
		`2 plugins call themselves "http": /plugins/http-new and /plugins/http-old`,
		`service Shop::get is offered by 2 plugins: /plugins/shop-a and /plugins/shop-b`,
		`plugins.http.config: is not a JSON object`,
		`notifiers.default: plugin "shop-a" (/plugins/shop-a) is a resolver, not a notifier`,
		`notifiers.none: plugin is missing`,
		`notifiers.http: the notifier in /plugins/http-new has that name itself`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not among the errors:\n%v", want, err)
		}
	}
}

func TestTheConfigurationOfAPluginThatIsNotThereStopsTheStart(t *testing.T) {
	h, _ := newFakeHost(t, Config{Plugins: map[string]json.RawMessage{"wbe": nil}}, map[string]func() (*fake, error){
		"web": always(&fake{describes: notifier("web")}),
	})
	err := h.Start(t.Context())
	if want := `plugins.wbe: no plugin in ` + h.config.Dir + ` calls itself "wbe" (did you mean "web"?)`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestAConfiguredPluginThatIsNotThereMayBeOneThatIsStillSilent(t *testing.T) {
	h, _ := newFakeHost(t, Config{Plugins: map[string]json.RawMessage{"shop": nil}}, map[string]func() (*fake, error){
		"shop": func() (*fake, error) { return nil, errors.New("exits at once") },
	})
	running(t, h)
}

func TestNotifiersShareAProcessWhenTheyShareAConfiguration(t *testing.T) {
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	for _, test := range []struct {
		name   string
		own    string
		named  map[string]Notifier
		shares []share
	}{
		{"a notifier is there under its own name", "", nil, []share{
			{names: []string{"http"}, configuration: raw("")},
		}},
		{"a name without configuration takes the plugin's own", `{"a": 1}`, map[string]Notifier{"default": {Plugin: "http"}}, []share{
			{names: []string{"http", "default"}, configuration: raw(`{"a":1}`), written: true},
		}},
		{"a configuration of its own is a process of its own", `{"a":1}`, map[string]Notifier{"signed": {Plugin: "http", Config: raw(`{"b":2}`)}}, []share{
			{names: []string{"http"}, configuration: raw(`{"a":1}`), written: true},
			{label: "signed", names: []string{"signed"}, configuration: raw(`{"b":2}`), written: true},
		}},
		{"equal configurations, however they are written, are one", "", map[string]Notifier{
			"x": {Plugin: "http", Config: raw(`{"a":1,"b":{"c":12345678901234567890}}`)},
			"y": {Plugin: "http", Config: raw(`{ "b":{"c":12345678901234567890}, "a":1 }`)},
			"z": {Plugin: "http", Config: raw(`{}`)},
		}, []share{
			{names: []string{"http", "z"}, configuration: raw("")},
			{label: "x", names: []string{"x", "y"}, configuration: raw(`{"a":1,"b":{"c":12345678901234567890}}`), written: true},
		}},
		{"a configuration for the plugin's own name is that of its process", "", map[string]Notifier{"http": {Plugin: "http", Config: raw(`{"b":2}`)}}, []share{
			{label: "http", names: []string{"http"}, configuration: raw(`{"b":2}`), written: true},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := Config{Notifiers: test.named}
			if test.own != "" {
				c.Plugins = map[string]json.RawMessage{"http": raw(test.own)}
			}
			p, err := makePlan(c, []offer{offered(t, "http", notifier("http"))})
			if err != nil {
				t.Fatal(err)
			}
			if got := p.shares["http"]; !reflect.DeepEqual(got, test.shares) {
				t.Errorf("got %+v, want %+v", got, test.shares)
			}
		})
	}
}

func TestADescriptionThatCannotBeUsedIsRefused(t *testing.T) {
	twice := resolver("shop", "Shop", "get")
	twice.Services = append(twice.Services, twice.Services[0])
	badSchema := notifier("http")
	badSchema.SettingsSchema = json.RawMessage(`{"type":3}`)
	for want, d := range map[string]host.Description{
		"without a name":                 {Role: "notifier"},
		`a "printer"`:                    {Name: "x", Role: "printer"},
		"offers service Shop::get twice": twice,
		"not a JSON Schema":              badSchema,
	} {
		if _, err := describe(d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}
