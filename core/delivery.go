package core

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// DeliveryID names one delivery: one event to one subscriber. Receivers see it as webhook-id, the same on every attempt.
type DeliveryID string

// crockfordAlphabet is that of ULIDs (https://github.com/ulid/spec).
const crockfordAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

var crockford = base32.NewEncoding(crockfordAlphabet).WithPadding(base32.NoPadding)

const (
	eventPrefix    = "evt_"
	deliveryPrefix = "dlv_"
	ulidLength     = 26
	ulidTimeLength = 10
	firstULIDTime  = "01JGFJJZ00" // 2025: there was no Postrider before
	ulidTimeEnd    = "8"          // where 48 bits of milliseconds end
)

// DeliveryIDOf returns the id of the delivery of event to subscriber. It is a pure function of both ids, 130 bits of their
// SHA-256, so that every crash and redelivery finds the same delivery.
//
// An event id that Postrider made is a ULID, which starts with its time; the delivery takes that start over in the place of 50 of the bits, so
// that the ids of deliveries made together lie together in an index.
func DeliveryIDOf(event EventID, subscriber SubscriberID) DeliveryID {
	var hashed [128]byte                          // longer ids cost an allocation
	of := append(append(hashed[:0], event...), 0) // a byte that no event id holds
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(of, uint64(subscriber)))
	var hash [28]byte
	crockford.Encode(hash[:], sum[:17])

	var text [len(deliveryPrefix) + ulidLength]byte
	id := append(text[:0], deliveryPrefix...)
	if own, ok := event.ulidTime(); ok {
		id = append(id, own...)
	} else {
		id = append(id, hash[16:16+ulidTimeLength]...)
	}
	return DeliveryID(append(id, hash[:16]...))
}

// ulidTime returns the time that starts an id of the form that Postrider makes. A publisher's own ids may have that form, too; those
// that only look like it (numbers with leading zeroes, say) would all begin alike, and what they hold besides would reach receivers.
func (id EventID) ulidTime() (start string, ok bool) {
	ulid, ok := strings.CutPrefix(string(id), eventPrefix)
	if !ok || len(ulid) != ulidLength || !isCrockford(ulid) || ulid < firstULIDTime || ulid >= ulidTimeEnd {
		return "", false
	}
	return ulid[:ulidTimeLength], true
}

func isCrockford(s string) bool {
	for _, c := range []byte(s) {
		digit, letter := '0' <= c && c <= '9', 'A' <= c && c <= 'Z' && c != 'I' && c != 'L' && c != 'O' && c != 'U'
		if !digit && !letter {
			return false
		}
	}
	return true
}

// Outcome is what became of one attempt.
type Outcome uint8

// The outcomes of an attempt. Their numbers are stored: never reuse one.
const (
	Delivered Outcome = 1 // the receiver took it
	Retry     Outcome = 2 // it may work later
	Rejected  Outcome = 3 // it can never work
)

var outcomes = map[Outcome]string{Delivered: "delivered", Retry: "retry", Rejected: "rejected"}

// String returns the outcome's word, as the API shows it.
func (o Outcome) String() string {
	if word, ok := outcomes[o]; ok {
		return word
	}
	return fmt.Sprintf("outcome(%d)", uint8(o))
}

// Attempt is one try of a delivery or, with Subscriber 0, one try to resolve an event. (Event, Subscriber, Number) is unique in the
// log.
type Attempt struct {
	Event      EventID
	Subscriber SubscriberID // 0: the event's resolution
	Number     int          // from 1, numbered on through replays
	First      int          // the number at which the budget of this run of attempts began
	Since      time.Time    // when this run began: what max_age counts from

	Started  time.Time
	Duration time.Duration
	Outcome  Outcome
	Code     int       // the receiver's status code; 0: it gave none
	Reason   string    // why it was not delivered, for people
	Excerpt  string    // the beginning of the receiver's answer
	Due      time.Time // when the next attempt is due; zero: there is none
}

// DeliveryState says how far a delivery has come. It follows from its last attempt, its message and its dead letter.
type DeliveryState uint8

// The states of a delivery.
const (
	DeliveryPending   DeliveryState = 1 // waits for its first attempt, or for the first one after a replay
	DeliveryScheduled DeliveryState = 2 // failed, and a retry is due
	DeliveryDelivered DeliveryState = 3
	DeliveryDead      DeliveryState = 4 // will not be tried again by itself; there is a dead letter
)

var deliveryStates = map[DeliveryState]string{
	DeliveryPending: "pending", DeliveryScheduled: "scheduled", DeliveryDelivered: "delivered", DeliveryDead: "dead",
}

// String returns the state's word, as the API shows it.
func (s DeliveryState) String() string {
	if word, ok := deliveryStates[s]; ok {
		return word
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// ParseDeliveryState reads the word of a state.
func ParseDeliveryState(word string) (DeliveryState, error) {
	for state, w := range deliveryStates {
		if w == word {
			return state, nil
		}
	}
	return 0, Invalidf("state", "no delivery is ever %q: a state is pending, scheduled, delivered or dead", word)
}

// Delivery is what is known of one delivery.
type Delivery struct {
	ID         DeliveryID
	Event      EventID
	EventName  string
	Subscriber SubscriberID
	State      DeliveryState
	Attempts   []Attempt // by number; empty in lists
	Last       *Attempt  // nil: none yet
}

// DeliveryFilter selects deliveries. Zero fields select everything.
type DeliveryFilter struct {
	Event      EventID
	EventName  string
	Subscriber SubscriberID
	State      DeliveryState
	Limit      int    // 1 to 1000
	Cursor     string // where an earlier page ended; "" starts with the newest
}
