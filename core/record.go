package core

import "time"

// Record is one entry of the log: what a Handler wants to be known of a message it consumed. The kinds are [EventRecord],
// [AttemptRecord], [DeadLetterRecord], [ResurrectRecord] and [DisableRecord]. Applying a record twice changes nothing.
type Record interface{ record() }

// EventRecord says how far an event has come, and what was resolved for it.
type EventRecord struct {
	Event   Event
	State   EventState
	Payload []byte // the frozen payload; nil: the arguments are the payload, or it is not resolved (yet), or none is kept
}

// AttemptRecord logs one attempt. One that is logged already (same event, subscriber and number) stays as it is.
type AttemptRecord struct{ Attempt Attempt }

// DeadLetterRecord files a dead letter; one of the same id is replaced.
type DeadLetterRecord struct{ DeadLetter DeadLetter }

// ResurrectRecord takes a dead letter away, because it was put back to work.
type ResurrectRecord struct{ ID string }

// DisableRecord disables a subscriber that asked for it (HTTP 410), with the reason.
type DisableRecord struct {
	Subscriber SubscriberID
	Reason     string
	At         time.Time
}

func (EventRecord) record()      {}
func (AttemptRecord) record()    {}
func (DeadLetterRecord) record() {}
func (ResurrectRecord) record()  {}
func (DisableRecord) record()    {}
