package sdktest

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/sdk/host"
	"github.com/postrider/postrider/sdk/internal/schema"
)

// unknown is a member that no plugin knows.
const unknown = "sdktest_unknown"

// object is the part of a JSON Schema that the checks look at.
type object struct {
	Type                 string                     `json:"type"`
	Properties           map[string]json.RawMessage `json:"properties"`
	Required             []string                   `json:"required"`
	AdditionalProperties any                        `json:"additionalProperties"`
}

func checkDescription(t *testing.T, d host.Description, role string) {
	t.Helper()
	if d.Role != role {
		t.Errorf("it is a %s, want a %s", d.Role, role)
	}
	if d.Version == "" {
		t.Error("it has no version")
	}
	checkSchema(t, "the configuration", d.ConfigSchema)
	checkSchema(t, "the settings", d.SettingsSchema)
}

func checkServices(t *testing.T, services []host.Service) {
	t.Helper()
	if len(services) == 0 {
		t.Error("it offers no service, even with its configuration")
	}
	for _, s := range services {
		checkSchema(t, s.Class+"::"+s.Method, s.Arguments)
	}
}

func checkSchema(t *testing.T, of string, raw json.RawMessage) {
	t.Helper()
	if len(raw) == 0 {
		return
	}
	if _, err := schema.Parse(raw); err != nil {
		t.Errorf("the schema of %s: %v", of, err)
		return
	}
	var o object
	if err := json.Unmarshal(raw, &o); err != nil || o.Type != "object" {
		t.Errorf("the schema of %s is not that of an object: %s", of, raw)
	}
}

// checkConfiguration gives the plugin bad configurations first, and then the good one: a refused plugin must take another try.
func checkConfiguration(t *testing.T, p *Plugin, good string) {
	t.Helper()
	refuse := func(configuration, key string) {
		t.Helper()
		err := p.Configure(t.Context(), configuration)
		if refusal := new(host.ConfigurationError); !errors.As(err, &refusal) || !strings.Contains(refusal.What, key) {
			t.Errorf("configuration %s: got %v, want it refused with %q in the error", configuration, err, key)
		}
	}
	refuse(with(good, unknown, `1`), unknown)
	refuse(`[]`, "")
	refuse(`{"`, "")
	for name, document := range spoilt(p.Description().ConfigSchema, good) {
		refuse(document, name)
	}
	if err := p.Configure(t.Context(), good); err != nil {
		t.Errorf("configuration %s: %v", good, err)
	}
}

func checkArguments(t *testing.T, p *Plugin, call Call) {
	t.Helper()
	service, ok := serviceOf(p.Description(), call)
	if !ok {
		t.Fatal("it is not described")
	}
	refuse := func(arguments, name string) {
		t.Helper()
		_, err := p.Resolve(t.Context(), call.Class, call.Method, arguments)
		if failure := new(host.PluginError); !errors.As(err, &failure) || !failure.InvalidArguments || !strings.Contains(failure.Message, name) {
			t.Errorf("arguments %s: got %v, want them refused with %q in the error", arguments, err, name)
		}
	}
	refuse(`[]`, "")
	refuse(`{"`, "")
	if open := parse(service.Arguments); open.AdditionalProperties == nil || open.AdditionalProperties == true {
		t.Logf("it takes arguments that its schema doesn't name")
	} else {
		refuse(with(call.Arguments, unknown, `1`), unknown)
	}
	for name, document := range spoilt(service.Arguments, call.Arguments) {
		refuse(document, name)
	}
}

func serviceOf(d host.Description, call Call) (host.Service, bool) {
	i := slices.IndexFunc(d.Services, func(s host.Service) bool { return s.Class == call.Class && s.Method == call.Method })
	if i < 0 {
		return host.Service{}, false
	}
	return d.Services[i], true
}

func parse(raw json.RawMessage) (o object) {
	if len(raw) > 0 {
		json.Unmarshal(raw, &o) //nolint:errcheck // checkSchema reports it
	}
	return o
}

// spoilt returns documents that don't fit the schema, by the name of the member at fault: each required member left out, and each member
// with a value of another type.
func spoilt(raw json.RawMessage, good string) map[string]string {
	o := parse(raw)
	documents := make(map[string]string)
	for _, name := range o.Required {
		documents[name] = with(good, name, "")
	}
	for name, property := range o.Properties {
		s, err := schema.Parse(property)
		if err != nil {
			continue
		}
		for _, value := range []string{`1.5`, `"sdktest"`, `[{}]`} {
			if s.Check([]byte(value), "value") != nil {
				documents[name] = with(good, name, value)
				break
			}
		}
	}
	return documents
}

// with returns the object with one member set, or, if the value is "", left out.
func with(document, name, value string) string {
	members := make(map[string]json.RawMessage)
	json.Unmarshal([]byte(document), &members) //nolint:errcheck // "" is no members
	delete(members, name)
	if value != "" {
		members[name] = json.RawMessage(value)
	}
	changed, _ := json.Marshal(members)
	return string(changed)
}
