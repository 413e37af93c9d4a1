package rabbitmq

import (
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/coretest"
)

func TestWhatTheBrokerGaveUpOnAndNeedsADamagedRecordHoldsUpNoOther(t *testing.T) {
	p := newPlaceOn(t, broker.Start(t).URL())
	b := p.open(t)
	e := benchEvent()
	if err := b.Append(t.Context(), core.EventRecord{Event: e, State: core.EventDispatched, Payload: []byte("this payload will break")}); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	coretest.Flip(t, p.database(), "this payload will break")
	b = p.open(t)
	send(t, p, "", p.prefix+deadletterSuffix, encode(&envelope{message: core.DeliveryMessage(e.ID, 7, e.Accepted)}))
	send(t, p, "", p.prefix+deadletterSuffix, amqp.Publishing{MessageId: "the-last", Body: []byte("?")})
	until(t, "the one after it is filed", func() bool { _, err := b.DeadLetter(t.Context(), "the-last"); return err == nil })
	until(t, "it waits in a delay queue", func() bool {
		depths, err := b.Depths(t.Context())
		return err == nil && depths[1].Due == 1
	})
}
