package host

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/postrider/postrider/proto/pluginv1"
)

func described() *pluginv1.DescribeResponse {
	return &pluginv1.DescribeResponse{
		Name: "orders-2", Version: "1.0.0", Role: pluginv1.Role_ROLE_RESOLVER, MaxInFlight: 7,
		ConfigurationSchema: []byte(`{"type":"object"}`),
		SettingsSchema:      []byte(`{"type":"object","title":"settings"}`),
		Services: []*pluginv1.Service{
			{Class: "C", Method: "m", Description: "what it does", ArgumentsSchema: []byte(`{"type":"object","title":"arguments"}`)},
		},
	}
}

func TestEveryFieldOfADescriptionCrosses(t *testing.T) {
	got, err := descriptionFrom(described())
	if err != nil {
		t.Fatal(err)
	}
	want := Description{
		Name: "orders-2", Version: "1.0.0", Role: RoleResolver, MaxInFlight: 7,
		ConfigSchema:   json.RawMessage(`{"type":"object"}`),
		SettingsSchema: json.RawMessage(`{"type":"object","title":"settings"}`),
		Services: []Service{
			{Class: "C", Method: "m", Description: "what it does", Arguments: json.RawMessage(`{"type":"object","title":"arguments"}`)},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	wantAllFieldsSet(t, got)
	wantAllFieldsSet(t, got.Services[0])
	wantAllFieldsSent(t, described())
	wantAllFieldsSent(t, described().GetServices()[0])
}

func TestAConfiguredServiceThatMakesNoSenseIsAnError(t *testing.T) {
	for want, s := range map[string]*pluginv1.Service{
		`the class "" and the method "m"`:  {Method: "m"},
		"the schema of its C::m is not a ": {Class: "C", Method: "m", ArgumentsSchema: []byte(`{`)},
	} {
		if _, err := servicesFrom([]*pluginv1.Service{s}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}

// wantAllFieldsSet fails when a field was added that nobody fills in yet.
func wantAllFieldsSet(t *testing.T, value any) {
	t.Helper()
	for field, v := range reflect.ValueOf(value).Fields() {
		if v.IsZero() {
			t.Errorf("%T.%s is zero: a new field must cross too", value, field.Name)
		}
	}
}

// wantAllFieldsSent fails when a field was added to the protocol that the test doesn't send yet.
func wantAllFieldsSent(t *testing.T, m proto.Message) {
	t.Helper()
	fields := m.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if !m.ProtoReflect().Has(fields.Get(i)) {
			t.Errorf("%s is not sent: a new field must cross too", fields.Get(i).FullName())
		}
	}
}

func TestADescriptionThatMakesNoSenseIsRefused(t *testing.T) {
	for want, spoil := range map[string]func(*pluginv1.DescribeResponse){
		"its role is ROLE_UNSPECIFIED":               func(r *pluginv1.DescribeResponse) { r.Role = 0 },
		`its name is "a b"`:                          func(r *pluginv1.DescribeResponse) { r.Name = "a b" },
		`its name is "-a"`:                           func(r *pluginv1.DescribeResponse) { r.Name = "-a" },
		`its name is ""`:                             func(r *pluginv1.DescribeResponse) { r.Name = "" },
		"its max_in_flight is 0":                     func(r *pluginv1.DescribeResponse) { r.MaxInFlight = 0 },
		"the schema of its configuration is not a":   func(r *pluginv1.DescribeResponse) { r.ConfigurationSchema = []byte("{") },
		"the schema of its settings is not a":        func(r *pluginv1.DescribeResponse) { r.SettingsSchema = []byte(`{"type":7}`) },
		"the schema of its C::m is not a":            func(r *pluginv1.DescribeResponse) { r.Services[0].ArgumentsSchema = []byte("x") },
		`a service with the class "" and the method`: func(r *pluginv1.DescribeResponse) { r.Services[0].Class = "" },
	} {
		r := described()
		spoil(r)
		if _, err := descriptionFrom(r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestEveryFieldOfARequestIsSent(t *testing.T) {
	// sdktest's TestEveryFieldOfADeliveryAndItsOutcomeCrosses covers what comes from a Delivery; these three are the stream's.
	stream := map[string]bool{"id": true, "remaining_ms": true, "traceparent": true}
	for _, m := range []proto.Message{&pluginv1.NotifyRequest{}, &pluginv1.ResolveRequest{}} {
		fields := m.ProtoReflect().Descriptor().Fields()
		own := 0
		for i := range fields.Len() {
			if !stream[string(fields.Get(i).Name())] {
				own++
			}
		}
		want := reflect.TypeFor[Resolution]().NumField()
		if _, ok := m.(*pluginv1.NotifyRequest); ok {
			want = 12 // sdk.Delivery's
		}
		if own != want {
			t.Errorf("%s has %d fields beside the stream's, want %d: convert the new one", m.ProtoReflect().Descriptor().Name(), own, want)
		}
	}
}
