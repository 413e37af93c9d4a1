package core

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// Trace is the trace context of one attempt, as the header traceparent of W3C Trace Context has it
// (https://www.w3.org/TR/trace-context/#traceparent-header). "": none.
type Trace string

const (
	traceVersion = "00-"
	traceFlags   = "-01" // sampled: whether anybody keeps spans is not ours to say

	traceIDSize = 16 // bytes
	spanIDSize  = 8
)

// TraceOf returns the trace context of one attempt of a delivery or, where delivery is "", of one attempt to resolve the event.
//
// It is a pure function of what it is given: all that is done for one event is one trace, retries and replays and those after a restart
// included, and nothing of it is stored. Like a delivery's id, it tells others no more of the event's id than whether a guess is right.
func TraceOf(event EventID, delivery DeliveryID, attempt int) Trace {
	var hashed [128]byte // longer ids cost an allocation
	trace := sha256.Sum256(append(append(hashed[:0], "trace\x00"...), event...))

	of := append(append(hashed[:0], "span\x00"...), delivery...)
	if delivery == "" {
		of = append(of, event...)
	}
	span := sha256.Sum256(strconv.AppendInt(append(of, 0), int64(attempt), 10))

	var text [len(traceVersion) + 2*traceIDSize + 1 + 2*spanIDSize + len(traceFlags)]byte
	parent := append(text[:0], traceVersion...)
	parent = hex.AppendEncode(parent, trace[:traceIDSize])
	parent = hex.AppendEncode(append(parent, '-'), span[:spanIDSize])
	return Trace(append(parent, traceFlags...))
}

// ID returns the part that all attempts of an event share, which log lines have; "": there is none.
func (t Trace) ID() string {
	if len(t) < len(traceVersion)+2*traceIDSize {
		return ""
	}
	return string(t[len(traceVersion):][:2*traceIDSize])
}
