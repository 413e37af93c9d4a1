package rabbitmq

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/postrider/postrider/core"
)

// readTrigger reads an event of the trigger queue, which parseTrigger has checked as [core.Event.Check] would. One that has no id gets one here; if it is delivered again it gets another.
func (q *Queue) readTrigger(d *amqp.Delivery, now time.Time) (envelope, error) {
	event, err := parseTrigger(triggerMessage{
		contentType: d.ContentType, contentEncoding: d.ContentEncoding, messageID: d.MessageId, headers: d.Headers, body: d.Body,
	})
	if err == nil && event.ID == "" {
		event.ID = core.EventID("evt_" + ulid.MustNew(ulid.Timestamp(now), rand.Reader).String())
	}
	event.Accepted = now.UTC().Truncate(time.Millisecond)
	e := envelope{message: core.EventMessage(event)}
	e.message.Redelivered = d.Redelivered
	return e, err
}

// refuse makes a dead letter of a message that can't be read, at once. A store that can't take it now is asked again.
func (c *consumer) refuse(it *item, d *amqp.Delivery, why error) {
	letter := unreadable(it.message.Event, it.source.queue, d, why)
	c.queue.log.Warn("a message cannot be read, and is a dead letter now", "queue", it.source.queue, "dead_letter", letter.ID, "error", why)
	result := core.Result{Log: []core.Record{core.DeadLetterRecord{DeadLetter: letter}}}
	for {
		err := c.handOver(it, core.Message{}, result)
		if err == nil || it.source.hasEnded() {
			return
		}
		c.queue.log.Error("a dead letter cannot be filed, and will be again", "dead_letter", letter.ID, "error", err)
		pause := time.NewTimer(restMax)
		select {
		case <-pause.C:
		case <-it.source.done:
			pause.Stop()
			return
		case <-c.handling.Done():
			pause.Stop()
			return
		}
	}
}

// unreadable returns the dead letter of a message that can't be read, with its original. Its id is the event's, if that can be read; else one that follows
// from the content, so that filing it again after a crash changes nothing.
func unreadable(id core.EventID, queue string, d *amqp.Delivery, why error) core.DeadLetter {
	if id == "" || id.Check() != nil {
		sum := sha256.Sum256(append([]byte(d.MessageId+"\x00"), d.Body...))
		id = core.EventID("unread_" + hex.EncodeToString(sum[:12]))
	}
	original := d.Body
	if original == nil {
		original = []byte{}
	}
	return core.DeadLetter{
		ID: string(id), Kind: core.DeadEvent, Event: id, Died: time.Now(), Original: original,
		Reason: fmt.Sprintf("message of queue %s cannot be read: %s", queue, why),
	}
}
