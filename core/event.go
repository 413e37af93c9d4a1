package core

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// EventID names one published occurrence. Publishers may choose it (1 to 255 printable ASCII characters without spaces, not beginning
// with "dlv_"), so that a publish can be repeated without harm; else it is "evt_" and a ULID.
type EventID string

// Event is one published occurrence of a webhook: thin, the payload is fetched when it is consumed.
type Event struct {
	ID        EventID
	Name      string          // the webhook's name, as "sales.order.created"
	Arguments json.RawMessage // the service's named arguments: a JSON object
	Accepted  time.Time       // when Postrider took it, to the millisecond
	Trace     Trace           // the publisher's, as [ParseTrace] returns it; "": it has none, or said nothing of it
}

// MaxEventIDLength is the longest event id, in bytes.
const MaxEventIDLength = 255

var webhookName = regexp.MustCompile(`^[a-zA-Z0-9_-]+(\.[a-zA-Z0-9_-]+)+$`)

// CheckName refuses what can't be the name of a webhook: entity[.entity…].verb, each part of letters, digits, "_" and "-".
func CheckName(name string) error {
	if len(name) > 255 {
		return Invalidf("event", "event name of %d characters is too long: at most 255", len(name))
	}
	if !webhookName.MatchString(name) {
		return Invalidf("event", "event name %q is not of the form entity.verb: at least two parts joined by dots, "+
			"each of letters, digits, \"_\" and \"-\"", name)
	}
	return nil
}

// Check refuses an id that a publisher may not choose.
func (id EventID) Check() error {
	if id == "" || len(id) > MaxEventIDLength {
		return Invalidf("id", "event id of %d characters: it must have 1 to %d", len(id), MaxEventIDLength)
	}
	if i := strings.IndexFunc(string(id), func(r rune) bool { return r <= ' ' || r > '~' }); i >= 0 {
		return Invalidf("id", "event id %q: character %d is not printable ASCII, or is a space", string(id), i+1)
	}
	if strings.HasPrefix(string(id), deliveryPrefix) { // dead letters of events and of deliveries lie side by side, by id
		return Invalidf("id", "event id %q begins with %q, as the ids of deliveries do: choose another", string(id), deliveryPrefix)
	}
	return nil
}

// Check refuses an event that no queue should ever hold: a bad id or name, or arguments that are not a JSON object.
func (e Event) Check() error {
	if err := e.ID.Check(); err != nil {
		return err
	}
	if err := CheckName(e.Name); err != nil {
		return err
	}
	trimmed := strings.TrimLeft(string(e.Arguments), " \t\r\n")
	if !strings.HasPrefix(trimmed, "{") || !json.Valid(e.Arguments) {
		return Invalidf("arguments", "arguments of event %q are not a JSON object of named arguments", e.Name)
	}
	return nil
}

// EventState says how far an event has come.
type EventState uint8

// The states of an event. Their numbers are stored: never reuse one.
const (
	EventAccepted   EventState = 1 // waits to be resolved
	EventDispatched EventState = 2 // its deliveries exist and have states of their own
	EventUnwanted   EventState = 3 // nobody subscribed to it when it was consumed
	EventDead       EventState = 4 // could not be resolved or read; there is a dead letter
)

var eventStates = map[EventState]string{
	EventAccepted: "accepted", EventDispatched: "dispatched", EventUnwanted: "unwanted", EventDead: "dead",
}

// String returns the state's word, as the API shows it.
func (s EventState) String() string {
	if word, ok := eventStates[s]; ok {
		return word
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}
