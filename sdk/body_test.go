package sdk_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/postrider/postrider/sdk"
)

var delivery = sdk.Delivery{
	ID: "dlv_1", Attempt: 1, Event: "sales.order.created", EventID: "evt_1",
	Time:    time.Date(2026, 1, 31, 10, 30, 0, 120_000_000, time.FixedZone("CET", 3600)),
	Payload: json.RawMessage("{\"id\": 1,\n \"total\":1e2}"),
}

func TestTheBodyIsEnvelopedAndThePayloadStaysAsItIs(t *testing.T) {
	for envelope, want := range map[string][2]string{
		"standard": {`{"type":"sales.order.created","timestamp":"2026-01-31T09:30:00.120Z","data":` + string(delivery.Payload) + `}`, "application/json"},
		"raw":      {string(delivery.Payload), "application/json"},
		"cloudevents": {`{"specversion":"1.0","source":"postrider","datacontenttype":"application/json","id":"evt_1",` +
			`"type":"sales.order.created","time":"2026-01-31T09:30:00.120Z","data":` + string(delivery.Payload) + `}`, "application/cloudevents+json"},
	} {
		d := delivery
		d.Envelope = envelope
		body, contentType, err := d.Body()
		if err != nil || string(body) != want[0] || contentType != want[1] {
			t.Errorf("%s: got %s, %s, %v\nwant %s, %s", envelope, body, contentType, err, want[0], want[1])
		}
	}
	d := delivery
	d.Envelope = "soap"
	if _, _, err := d.Body(); err == nil {
		t.Error("an unknown envelope is no error")
	}
}

// FuzzBody checks that the body is valid JSON whenever the payload is, and says what the delivery says.
func FuzzBody(f *testing.F) {
	f.Add("sales.order.created", "evt_1", []byte(`{"id":1}`), int64(0))
	f.Add("a\"b\\", "\u2028<", []byte("  null "), int64(-62135596800000))
	f.Add("\xff", "\x00", []byte(nil), int64(253402300799999))
	f.Fuzz(func(t *testing.T, event, eventID string, payload []byte, ms int64) {
		if len(payload) > 0 && !json.Valid(payload) {
			return
		}
		at := time.UnixMilli(ms).UTC()
		if at.Year() < 0 || at.Year() > 9999 {
			return
		}
		for _, envelope := range []string{"standard", "cloudevents", "raw"} {
			d := sdk.Delivery{Event: event, EventID: eventID, Time: at, Payload: payload, Envelope: envelope}
			body, _, err := d.Body()
			if err != nil || !json.Valid(body) {
				t.Fatalf("%s: %q, %v", envelope, body, err)
			}
			if envelope == "raw" {
				continue
			}
			var read struct {
				Timestamp, Time time.Time
				Data            json.RawMessage
			}
			if err := json.Unmarshal(body, &read); err != nil {
				t.Fatal(err)
			}
			if got := read.Timestamp.Add(time.Duration(0)); envelope == "standard" && !got.Equal(at) {
				t.Errorf("timestamp: got %v, want %v", got, at)
			}
			if want := bytes.TrimSpace(payload); len(want) > 0 && !bytes.Equal(read.Data, want) {
				t.Errorf("data: got %q, want %q", read.Data, want)
			}
		}
	})
}

func TestTheCallersPayloadIsNeverWrittenTo(t *testing.T) {
	payload := append(make([]byte, 0, 64), `{"id":1}`...)
	for _, envelope := range []string{"standard", "cloudevents", "raw"} {
		d := sdk.Delivery{Payload: payload, Envelope: envelope}
		if _, _, err := d.Body(); err != nil || string(payload[:9]) != "{\"id\":1}\x00" {
			t.Errorf("%s: %q, %v", envelope, payload[:9], err)
		}
	}
}
