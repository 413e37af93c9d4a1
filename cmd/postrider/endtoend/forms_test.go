package endtoend

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// tell publishes one message as an application does, and waits until the broker has it.
func tell(t *testing.T, url string, message amqp.Publishing) {
	t.Helper()
	tellTo(t, url, "magento", "webhook.trigger", message)
}

// tellTo is tell where exchange and key have other names.
func tellTo(t *testing.T, url, exchange, key string, message amqp.Publishing) {
	t.Helper()
	connection, err := amqp.DialConfig(url, amqp.Config{Dial: amqp.DefaultDial(5 * time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	channel, err := connection.Channel()
	if err == nil {
		err = channel.Confirm(false)
	}
	if err != nil {
		t.Fatal(err)
	}
	confirm, err := channel.PublishWithDeferredConfirmWithContext(t.Context(), exchange, key, true, false, message)
	if err != nil {
		t.Fatal(err)
	}
	if taken, err := confirm.WaitContext(t.Context()); err != nil || !taken {
		t.Fatalf("the broker took the message: %t, %v", taken, err)
	}
}

func TestEventsOfEveryFormAreDeliveredOverRabbitMQ(t *testing.T) {
	t.Parallel()
	url := broker.Start(t).VHost(t)
	in := install(t, onRabbitMQ(url))
	d := in.serve()
	r := receive(t, always(200))
	d.subscribe("stock.item.changed", r.URL)
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	if _, err := zip.Write([]byte(`["stock.item.changed","{\"id\":\"zipped\"}"]`)); err != nil || zip.Close() != nil {
		t.Fatal(err)
	}
	for id, message := range map[string]amqp.Publishing{
		"pair":       {Body: []byte(`["stock.item.changed","{\"id\":\"pair\"}"]`)},
		"of-a-store": {Body: []byte(`["stock.item.changed","{\"id\":\"of-a-store\"}",1]`)},
		"object":     {Body: []byte(`{"id":"object","event":"stock.item.changed","arguments":{"id":"object"}}`), ContentType: "application/json"},
		"structured": {
			Body:        []byte(`{"specversion":"1.0","id":"structured","source":"/shop","type":"stock.item.changed","data":{"id":"structured"}}`),
			ContentType: "application/cloudevents+json",
		},
		"binary": {
			Body: []byte(`{"id":"binary"}`), ContentType: "application/json",
			Headers: amqp.Table{
				"cloudEvents:specversion": "1.0", "cloudEvents:id": "binary", "cloudEvents:source": "/shop", "cloudEvents:type": "stock.item.changed",
			},
		},
		"zipped": {Body: zipped.Bytes(), ContentEncoding: "gzip"},
	} {
		tell(t, url, message)
		eventually(t, "the event "+id+" arrives", func() bool { return r.got(id) })
	}
	d.stop()
}

func TestWhatComesOverRabbitMQAndCannotBeAnEventIsADeadLetterThatSaysWhy(t *testing.T) {
	t.Parallel()
	url := broker.Start(t).VHost(t)
	in := install(t, onRabbitMQ(url))
	d := in.serve()
	d.subscribe("sales.order.created", receive(t, always(200)).URL) // an event that nobody wants is not resolved
	type deadLetter struct{ Kind, Reason, Original string }
	letterOf := func(id string) (letter deadLetter) {
		eventually(t, "the dead letter "+id, func() bool { status, _ := d.call("GET", "/v1/dead-letters/"+id, nil); return status == 200 })
		return get[deadLetter](d, "/v1/dead-letters/"+id)
	}
	for id, test := range map[string]struct{ body, says string }{
		"unknown": {`["sales.order.create","{\"id\":1}"]`, "sales.order.create"},
		"lacking": {`["sales.order.created","{}"]`, "id"},
		"typed":   {`["sales.order.created","{\"id\":\"one\"}"]`, "id"},
	} {
		tell(t, url, amqp.Publishing{MessageId: id, Body: []byte(test.body)})
		if letter := letterOf(id); letter.Kind != "event" || !strings.Contains(letter.Reason, test.says) {
			t.Errorf("%s: got %+v", test.body, letter)
		}
	}

	const garbled = "[\"sales.order.created\",\x1b[2J"
	tell(t, url, amqp.Publishing{MessageId: "garbled", Body: []byte(garbled)})
	letter := letterOf("garbled")
	if original, err := base64.StdEncoding.DecodeString(letter.Original); err != nil || string(original) != garbled {
		t.Errorf("the original is %q, %v", original, err)
	}
	if said := in.postrider("dead-letter", "show", "garbled"); !strings.Contains(said, `[\"sales.order.created\",\x1b[2J`) || strings.Contains(said, "\x1b") {
		t.Errorf("dead-letter show printed %q", said)
	}
	if said := in.fails("dead-letter", "replay", "garbled"); !strings.Contains(said, "publish it anew") {
		t.Errorf("replay of what could not be read said %q", said)
	}
	letterOf("garbled") // is there still
	d.stop()
}
