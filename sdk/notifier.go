package sdk

import (
	"context"
	"encoding/json"
	"time"
)

// Notifier delivers payloads. Notify is called from many goroutines at once, up to [MaxInFlight]; when ctx ends, nobody waits for its
// answer any more.
//
// An [Outcome] is the receiver's word; an error means that the notifier itself failed (bad configuration, a bug). The delivery is tried again
// after either, on its schedule, except after [Rejected].
type Notifier interface {
	Notify(ctx context.Context, d Delivery) (Outcome, error)
}

// NotifierFunc makes a function a [Notifier].
type NotifierFunc func(ctx context.Context, d Delivery) (Outcome, error)

// Notify calls f.
func (f NotifierFunc) Notify(ctx context.Context, d Delivery) (Outcome, error) { return f(ctx, d) }

// Delivery is one attempt to deliver one event to one subscriber.
type Delivery struct {
	ID         string          // the same on every attempt: receivers de-duplicate on it
	Attempt    int             // from 1
	Event      string          // the event's name, as "sales.order.created"
	EventID    string          // the event's id
	Time       time.Time       // when the event was accepted, to the millisecond
	Payload    json.RawMessage // what the resolver returned, or the event's arguments
	Subscriber int64           // the subscriber's number
	URL        string          // recipient_url
	Token      string          // verification_token: a secret, never log it
	Settings   json.RawMessage // the subscriber's settings, valid by your schema; nil: none
	Envelope   string          // standard, cloudevents or raw: see Body

	// EarlierTokens were replaced, and are valid for a while yet, newest first: what is signed is signed with them too, where that is possible.
	EarlierTokens []string
}

// Status is what became of an attempt.
type Status uint8

// The statuses of an attempt.
const (
	StatusDelivered Status = 1 // the receiver took it
	StatusRetry     Status = 2 // it may work later
	StatusRejected  Status = 3 // it can never work
)

// Outcome is the receiver's word on one attempt. Make one with [Delivered], [Retry] or [Rejected], then fill in what you know.
//
// A notifier that keeps to a receiver's limits puts a delivery off with [Retry], a RetryAfter and no Code: as nobody was asked, that costs the delivery
// nothing of its schedule, and says nothing about the receiver.
type Outcome struct {
	Status     Status
	Code       int           // the receiver's status code; 0: it gave none
	Reason     string        // why it was not delivered: what is wrong, where, and what to do
	Excerpt    string        // the beginning of the receiver's answer; 4 KiB of it are kept
	RetryAfter time.Duration // not before this long from now; 0: the schedule decides. Kept up to an hour
	Gone       bool          // the receiver wants no more deliveries: the subscriber is disabled
}

// Delivered says that the receiver took the delivery.
func Delivered() Outcome { return Outcome{Status: StatusDelivered} }

// Retry says that the delivery may work later, and why it did not now.
func Retry(reason string) Outcome { return Outcome{Status: StatusRetry, Reason: reason} }

// Rejected says that the delivery can never work, and why. It becomes a dead letter at once.
func Rejected(reason string) Outcome { return Outcome{Status: StatusRejected, Reason: reason} }
