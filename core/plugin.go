package core

import (
	"encoding/json"
	"time"
)

// Resolution asks a resolver for the payload of one event.
type Resolution struct {
	Service   Service
	Arguments json.RawMessage
	Event     EventID // for logs
	Trace     Trace
}

// Notification asks a notifier for one attempt of a delivery.
type Notification struct {
	Delivery   DeliveryID
	Attempt    int
	Event      Event
	Payload    json.RawMessage
	Subscriber Subscriber
	Envelope   Envelope // never ""
	Trace      Trace
}

// Answer is the receiver's word on one attempt, as the notifier understood it. An error beside it would mean that the plugin itself
// failed: the two are never returned together.
type Answer struct {
	Outcome    Outcome
	Code       int           // status code; 0: none
	Reason     string        // why it was not delivered
	Excerpt    string        // the beginning of what the receiver answered
	RetryAfter time.Duration // the receiver's wish, or, without a Code, the notifier's, which costs no attempt; 0: none
	Gone       bool          // the receiver wants no more: disable the subscriber
}
