package rabbitmq

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"strings"
	"testing"

	"github.com/postrider/postrider/core"
)

func gzipped(t testing.TB, text string) string {
	var b bytes.Buffer
	return compressed(t, &b, gzip.NewWriter(&b), text)
}

func deflated(t testing.TB, text string) string {
	var b bytes.Buffer
	return compressed(t, &b, zlib.NewWriter(&b), text)
}

func compressed(t testing.TB, b *bytes.Buffer, w io.WriteCloser, text string) string {
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// cloudEvent are the headers of a CloudEvent in binary mode.
func cloudEvent(prefix string) map[string]any {
	return map[string]any{prefix + "specversion": "1.0", prefix + "id": "ce-1", prefix + "source": "/shop", prefix + "type": "sales.order.created"}
}

func TestEveryFormOfATriggerIsRead(t *testing.T) {
	const pair = `["sales.order.created","{\"id\":1}"]`
	for _, test := range []struct {
		name string
		m    triggerMessage
		body string
		id   core.EventID
		args string
	}{
		{"the name and the arguments as a string", triggerMessage{}, pair, "", `{"id":1}`},
		{"with a message-id", triggerMessage{messageID: "m-1"}, pair, "m-1", `{"id":1}`},
		{"with a store", triggerMessage{}, ` ["sales.order.created" , "{\"id\":1}", "2"] `, "", `{"id":1}`},
		{"with a store's number", triggerMessage{}, `["sales.order.created","{\"id\":1}",2]`, "", `{"id":1}`},
		{"with white space around the arguments", triggerMessage{}, `["sales.order.created"," {\"id\":1}\n"]`, "", `{"id":1}`},
		{"with PHP's empty array for no arguments", triggerMessage{}, `["sales.order.created","[ ]"]`, "", `{}`},
		{"an object", triggerMessage{}, `{"event":"sales.order.created","arguments":{"id":2}}`, "", `{"id":2}`},
		{"an object with an id and no arguments", triggerMessage{messageID: "m-1"}, `{"id":"e-1","event":"sales.order.created"}`, "e-1", `{}`},
		{"an object with an id, where the message-id is none", triggerMessage{messageID: "<m 1>"}, `{"id":"e-1","event":"sales.order.created"}`, "e-1", `{}`},
		{"a CloudEvent", triggerMessage{contentType: "application/cloudevents+json; charset=UTF-8"},
			`{"specversion":"1.0","id":"ce-1","source":"/shop","type":"sales.order.created","data":{"id":3}}`, "ce-1", `{"id":3}`},
		{"a CloudEvent in binary mode", triggerMessage{contentType: "application/json", headers: cloudEvent("cloudEvents:")}, `{"id":4}`, "ce-1", `{"id":4}`},
		{"a CloudEvent in binary mode with underscores", triggerMessage{headers: cloudEvent("cloudEvents_")}, ``, "ce-1", `{}`},
		{"as text", triggerMessage{contentType: "text/plain"}, pair, "", `{"id":1}`},
		{"as bytes", triggerMessage{contentType: "application/octet-stream"}, pair, "", `{"id":1}`},
		{"compressed with gzip", triggerMessage{contentEncoding: "gzip"}, gzipped(t, pair), "", `{"id":1}`},
		{"compressed with deflate", triggerMessage{contentEncoding: "Deflate"}, deflated(t, pair), "", `{"id":1}`},
		{"with kombu's content-encoding", triggerMessage{contentEncoding: "utf-8"}, pair, "", `{"id":1}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.m.body = []byte(test.body)
			got, err := parseTrigger(test.m)
			if err != nil {
				t.Fatal(err)
			}
			if got.Name != "sales.order.created" || got.ID != test.id || string(got.Arguments) != test.args {
				t.Errorf("got %s with id %q and arguments %s, want id %q and %s", got.Name, got.ID, got.Arguments, test.id, test.args)
			}
		})
	}
}

func TestTheTraceContextOfATriggerIsRead(t *testing.T) {
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, test := range []struct {
		header any
		want   core.Trace
	}{{trace, trace}, {[]byte(trace), trace}, {nil, ""}, {"mine", ""}, {int64(1), ""}} {
		m := triggerMessage{headers: map[string]any{"traceparent": test.header}, body: []byte(`["sales.order.created","{}"]`)}
		if got, err := parseTrigger(m); err != nil || got.Trace != test.want {
			t.Errorf("%v: got %q, %v, want %q", test.header, got.Trace, err, test.want)
		}
	}
}

func TestWhatIsWrongWithATriggerIsSaid(t *testing.T) {
	old, untyped := cloudEvent("cloudEvents:"), cloudEvent("cloudEvents:")
	old["cloudEvents:specversion"] = "0.3"
	delete(untyped, "cloudEvents:type")
	for _, test := range []struct {
		name string
		m    triggerMessage
		body string
		want string
	}{
		{"nothing", triggerMessage{}, ``, "the body is empty"},
		{"no JSON", triggerMessage{}, `["sales.order.created",`, "the body is not JSON: unexpected end of JSON input, at offset 23"},
		{"no UTF-8", triggerMessage{}, "[\"a.b\",\"\xff\"]", "not encoded in UTF-8, at offset 8"},
		{"a number", triggerMessage{}, `1`, "neither an array nor an object"},
		{"a lone name", triggerMessage{}, `["a.b"]`, "the array has 1 elements"},
		{"an empty array", triggerMessage{}, `[]`, "the array has no elements"},
		{"four elements", triggerMessage{}, `["a.b","{}","1","2"]`, "the array has more than 3 elements"},
		{"a name that is none", triggerMessage{}, `["order","{}"]`, `"order" is not of the form entity.verb`},
		{"a name that is a number", triggerMessage{}, `[1,"{}"]`, "element 0 of the array is not a string: it is the webhook's name"},
		{"arguments that are no string", triggerMessage{}, `["a.b",{"id":1}]`, "element 1 of the array is not a string"},
		{"a store that is none", triggerMessage{}, `["a.b","{}",{}]`, "element 2 of the array is not a string: it is the store's id"},
		{"arguments that are no JSON", triggerMessage{}, `["a.b","id=1"]`, "the arguments are not JSON"},
		{"arguments without names", triggerMessage{}, `["a.b","[1]"]`, "not a JSON object of named arguments"},
		{"no arguments at all", triggerMessage{}, `["a.b",""]`, "the arguments are empty"},
		{"an object without a name", triggerMessage{}, `{"arguments":{}}`, "the event has no event, which names its webhook"},
		{"an object with a strange member", triggerMessage{}, `{"event":"a.b","args":{}}`, `has no member "args"`},
		{"an id that can't be one", triggerMessage{}, `{"event":"a.b","id":"dlv_1"}`, `the id of the message can't be an event's: event id "dlv_1" begins with`},
		{"a message-id that can't be one", triggerMessage{messageID: "a b"}, `{"event":"a.b"}`, "the message-id of the message can't be an event's"},
		{"a type that is no JSON", triggerMessage{contentType: "application/xml"}, `<a/>`, `content-type "application/xml" can't be read`},
		{"a type that is no type", triggerMessage{contentType: "a/b/c"}, `{}`, `content-type "a/b/c" can't be understood`},
		{"another charset", triggerMessage{contentType: "text/plain; charset=iso-8859-1"}, `{}`, "send JSON in UTF-8"},
		{"another compression", triggerMessage{contentEncoding: "br"}, `{}`, `content-encoding "br" can't be read`},
		{"no gzip", triggerMessage{contentEncoding: "gzip"}, `{}`, "can't be decompressed"},
		{"a cut gzip", triggerMessage{contentEncoding: "gzip"}, gzipped(t, `["a.b","{}"]`)[:20], "can't be decompressed"},
		{"a bomb", triggerMessage{contentEncoding: "gzip"}, gzipped(t, strings.Repeat(" ", 16<<20)), "more than 8454144 bytes come out of it"},
		{"an array that should be a CloudEvent", triggerMessage{contentType: cloudEventsType}, `["a.b","{}"]`, "the content-type says CloudEvent"},
		{"an object that should be a CloudEvent", triggerMessage{contentType: cloudEventsType}, `{"event":"a.b"}`, "it is not an object with a specversion"},
		{"a batch of CloudEvents", triggerMessage{contentType: "application/cloudevents-batch+json"}, `[]`, "publish each in a message of its own"},
		{"a CloudEvent of another version", triggerMessage{headers: old}, `{}`, `specversion "0.3"`},
		{"a CloudEvent without a type", triggerMessage{headers: untyped}, `{}`, "cloudEvents:type"},
		{"a CloudEvent whose data are no object", triggerMessage{headers: cloudEvent("cloudEvents:")}, `"x"`, "not a JSON object of named arguments"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.m.body = []byte(test.body)
			_, err := parseTrigger(test.m)
			if err == nil || !strings.Contains(err.Error(), test.want) || !core.IsInvalid(err) {
				t.Errorf("got %v, want an invalid one that says %q", err, test.want)
			}
		})
	}
}

func TestATriggerThatCanNotBeReadKeepsTheIdAndNameThatItHas(t *testing.T) {
	got, err := parseTrigger(triggerMessage{messageID: "m-1", body: []byte(`["sales.order.created","{"]`)})
	if err == nil || got.ID != "m-1" || got.Name != "sales.order.created" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// FuzzParseTrigger looks for input that crashes the reader, passes for an event that is none, or fails without saying that it can't be accepted.
func FuzzParseTrigger(f *testing.F) {
	f.Fuzz(func(t *testing.T, contentType, encoding, messageID, cloudType string, body []byte) {
		m := triggerMessage{contentType: contentType, contentEncoding: encoding, messageID: messageID, body: body}
		if cloudType != "" {
			m.headers = map[string]any{"cloudEvents:specversion": "1.0", "cloudEvents:type": cloudType}
		}
		event, err := parseTrigger(m)
		if err != nil {
			if !core.IsInvalid(err) {
				t.Errorf("%v is not an invalid one", err)
			}
			if event.ID != "" && event.ID.Check() != nil {
				t.Errorf("the event that can't be read has the impossible id %q", event.ID)
			}
			return
		}
		if event.ID == "" {
			event.ID = "evt_1"
		}
		if err := event.Check(); err != nil {
			t.Errorf("an event was read that is none: %v", err)
		}
	})
}
