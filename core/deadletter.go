package core

import "time"

// DeadLetterKind says what a dead letter holds.
type DeadLetterKind string

// The kinds of dead letters. They are stored and shown as they stand here.
const (
	DeadDelivery DeadLetterKind = "delivery" // its payload is known, one subscriber did not get it
	DeadEvent    DeadLetterKind = "event"    // could not be resolved or read: nobody got it
)

// DeadLetter is a delivery, or an event, that will not be tried again by itself. Replaying puts it back to work.
type DeadLetter struct {
	ID         string // of kind delivery: the delivery's id; of kind event: the event's id
	Kind       DeadLetterKind
	Event      EventID
	EventName  string
	Subscriber SubscriberID // 0 for kind event
	Reason     string       // for people: what is wrong, where, and what to do
	Died       time.Time
	Attempts   []Attempt // filled in when one dead letter is read
	Last       int       // number of the last attempt; 0: it was never tried
	Original   []byte    // what came, byte for byte, where it could not be read; nil: it could
}

// DeadLetterFilter selects dead letters. Zero fields select everything.
type DeadLetterFilter struct {
	Kind       DeadLetterKind
	EventName  string
	Subscriber SubscriberID
	Limit      int    // 1 to 1000
	Cursor     string // where an earlier page ended; "" starts with the newest
}
