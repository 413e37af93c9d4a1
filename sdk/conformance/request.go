package conformance

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/postrider/postrider/proto/pluginv1"
	"github.com/postrider/postrider/sdk"
)

// request is what either role may be asked: a resolver for its call, a notifier for its delivery.
type request struct {
	call      Call
	delivery  sdk.Delivery
	remaining time.Duration // 0: without end
	newer     bool          // has a field that this version of the protocol doesn't know
}

func (q request) resolve(id uint64) *pluginv1.ResolveRequest {
	m := &pluginv1.ResolveRequest{
		Id:          id,
		RemainingMs: q.remaining.Milliseconds(),
		Class:       q.call.Class,
		Method:      q.call.Method,
		Arguments:   q.call.Arguments,
		EventId:     "evt_test",
	}
	if q.newer {
		m.ProtoReflect().SetUnknown(newerField)
	}
	return m
}

func (q request) notify(id uint64) *pluginv1.NotifyRequest {
	d := q.delivery
	m := &pluginv1.NotifyRequest{
		Id:          id,
		RemainingMs: q.remaining.Milliseconds(),
		DeliveryId:  d.ID,
		Attempt:     int32(d.Attempt),
		Event:       d.Event,
		EventId:     d.EventID,
		TimeMs:      d.Time.UnixMilli(),
		Payload:     d.Payload,
		Subscriber:  d.Subscriber,
		Url:         d.URL,
		Token:       d.Token,
		Settings:    d.Settings,
		Envelope:    d.Envelope,
	}
	if q.newer {
		m.ProtoReflect().SetUnknown(newerField)
	}
	return m
}

// newerField is the field 1000 of some later version, a string.
var newerField = protowire.AppendString(protowire.AppendTag(nil, 1000, protowire.BytesType), "from a later version")

// answer is what either role answers.
type answer struct {
	id      uint64
	payload []byte            // of a resolver
	outcome *pluginv1.Outcome // of a notifier
	failure *pluginv1.Failure
}

func answersOf(message any) (answers []answer) {
	switch m := message.(type) {
	case *pluginv1.ResolveAnswers:
		for _, a := range m.GetAnswers() {
			answers = append(answers, answer{id: a.GetId(), payload: a.GetPayload(), failure: a.GetFailure()})
		}
	case *pluginv1.NotifyAnswers:
		for _, a := range m.GetAnswers() {
			answers = append(answers, answer{id: a.GetId(), outcome: a.GetOutcome(), failure: a.GetFailure()})
		}
	}
	return answers
}

// delivered reports whether the receiver took the delivery.
func (a answer) delivered() bool {
	return a.failure == nil && a.outcome.GetStatus() == pluginv1.Outcome_STATUS_DELIVERED
}

// String says what was answered, for problems. It shows no payload.
func (a answer) String() string {
	switch {
	case a.failure != nil:
		return fmt.Sprintf("a failure (%v): %s", a.failure.GetKind(), a.failure.GetMessage())
	case a.outcome != nil:
		return strings.TrimSuffix(fmt.Sprintf("the outcome %v: %s", a.outcome.GetStatus(), a.outcome.GetReason()), ": ")
	}
	return fmt.Sprintf("a payload of %d bytes", len(a.payload))
}

// wrong says which rule of answers this one breaks, or "".
func (a answer) wrong() string {
	switch {
	case a.failure != nil && (a.outcome != nil || len(a.payload) > 0):
		return "has a failure and a result: one of them must be left out"
	case a.failure != nil && a.failure.GetMessage() == "":
		return "is a failure without a message: say what is wrong, in a sentence"
	case a.failure != nil:
		return ""
	case a.outcome != nil && a.outcome.GetStatus() == pluginv1.Outcome_STATUS_UNSPECIFIED:
		return "is an outcome without a status"
	case a.outcome != nil && a.outcome.GetStatus() != pluginv1.Outcome_STATUS_DELIVERED && a.outcome.GetReason() == "":
		return "is an outcome that is not delivered and gives no reason"
	case a.outcome != nil:
		return ""
	case len(a.payload) > sdk.MaxPayload:
		return fmt.Sprintf("is a payload of %d bytes: it may have %d, and more is a failure of the kind KIND_TOO_LARGE", len(a.payload), sdk.MaxPayload)
	case !json.Valid(a.payload):
		return "is a payload that is not valid JSON"
	}
	return ""
}
