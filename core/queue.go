package core

import (
	"context"
	"time"
)

// QueueName says which of the queues.
type QueueName string

// The queues.
const (
	EventQueue    QueueName = "event"    // events to be resolved
	DeliveryQueue QueueName = "delivery" // deliveries to be attempted
)

// Message asks for one piece of work: to resolve an event (Subscriber 0), or to attempt a delivery. It is small: payload and arguments
// live once, in the event's log record.
type Message struct {
	Event      EventID
	Subscriber SubscriberID // 0: the event itself
	Attempt    int          // the number of the attempt that is asked for, from 1
	First      int          // the number at which this run of attempts began: 1, or where a replay went on
	Since      time.Time    // when this run began, to the millisecond
	Lane       string       // messages of one lane wait together, and never hold up those of another
	Content    *Event       // the event, on the EventQueue: required when publishing; filled in when consumed

	// Set by the queue on what it hands to a Handler.
	Fresh       bool // surely no Handler did anything with it before, except to hold it: the log need not be asked. A queue that can't be sure never says so
	Redelivered bool // some Handler may have done something with it before
}

// EventMessage returns the message that asks for e to be resolved for the first time.
func EventMessage(e Event) Message {
	return Message{Event: e.ID, Attempt: 1, First: 1, Since: e.Accepted, Lane: e.Name, Content: &e}
}

// DeliveryMessage returns the message that asks for the first attempt of a delivery.
func DeliveryMessage(event EventID, subscriber SubscriberID, now time.Time) Message {
	return Message{Event: event, Subscriber: subscriber, Attempt: 1, First: 1, Since: now, Lane: subscriber.String()}
}

// Handler turns one consumed message into what takes its place. An error means: not consumed, redeliver later; a [*Held] says after what.
type Handler func(ctx context.Context, m Message) (Result, error)

// Result is what takes the place of a consumed message.
type Result struct {
	Log  []Record   // event, attempt and dead-letter records
	Next []Outgoing // messages that follow
}

// Outgoing is a message on its way into a queue.
type Outgoing struct {
	Queue   QueueName
	Message Message
	Due     time.Time // zero, or in the past: now
}

// Held is the error of a Handler that has no room for a message now: its lane is full, its subscriber disabled, its plugin down. It
// is no failure and costs no attempt. The queue holds back the whole lane until it is woken.
type Held struct {
	Reason string
	Notify func(wake func()) // calls wake once, from any goroutine, when there may be room; at once if there is already
}

// Error returns the reason.
func (h *Held) Error() string { return "held: " + h.Reason }

// Depth says how much waits in one queue.
type Depth struct {
	Queue QueueName
	Ready int // to be handed over as soon as there is room
	Due   int // due later; a queue that can't tell apart what is due counts it with the deliveries
}

// Queue carries messages at least once and makes the hand-over safe: Result.Log and Result.Next are durable before the consumed message is
// forgotten. What crashes in between, crashes harmlessly, because
//
//   - (event, subscriber, attempt) is unique in the log, and a message that may have been handed over before says so (not Fresh);
//   - an event id that was published before is not consumed again, unless it is a redelivery;
//   - all of Result.Log is durable or nothing of it, and together with it what Result.Next makes known: an attempt in the log has led to all that it led to;
//   - messages of one delivery, or of one event, are in one Handler's hands at a time.
//
// core/coretest states all of this as tests.
type Queue interface {
	// Publish makes out durable, all or nothing, before it returns nil. It returns ErrNoSpace or ErrUnavailable, with nothing
	// accepted, when it can't. A queue that is elsewhere may have accepted some or all of it when the way there broke meanwhile: then, too, it
	// returns ErrUnavailable, and publishing again does no harm.
	//
	// A first publish of an event (Attempt 1) whose id is known is dropped where the content is the same, and ErrConflict where it is
	// not. A delivery message, or an event message whose First is over 1, is a replay: a queue that shares its file with the
	// store takes the dead letter away in the same transaction.
	Publish(ctx context.Context, out ...Outgoing) error

	// Consume hands the messages of q to h, at most concurrency at a time. Cancelling ctx stops the intake; Consume then returns
	// nil once every running handler has handed over, or an error when the drain deadline has passed. Handlers run with a context
	// that outlives ctx until that deadline. One Consume per queue at a time.
	Consume(ctx context.Context, q QueueName, concurrency int, h Handler) error

	// Depths reports every queue. The figures may lag behind by what is in flight.
	Depths(ctx context.Context) ([]Depth, error)

	// Close ends the queue after Consume has returned. Closing twice is fine.
	Close() error
}
