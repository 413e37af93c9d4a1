package core

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"
)

// Trace is the trace context of one attempt, as the header traceparent of W3C Trace Context has it
// (https://www.w3.org/TR/trace-context/#traceparent-header). "": none.
type Trace string

const (
	traceVersion = "00-"
	traceFlags   = "-01" // sampled: whether anybody keeps spans is not ours to say, but where the publisher says it

	traceIDSize = 16 // bytes
	spanIDSize  = 8

	traceLength = len(traceVersion) + 2*traceIDSize + 1 + 2*spanIDSize + len(traceFlags)
)

// TraceOf returns the trace context of one attempt of a delivery or, where delivery is "", of one attempt to resolve the event.
//
// It is a pure function of what it is given: all that is done for one event is one trace, retries and replays and those after a restart
// included. That is the publisher's trace where it told of one, which is stored with the event; else it is made of the event's id, of which it tells
// others no more, like a delivery's id, than whether a guess is right.
func TraceOf(event Event, delivery DeliveryID, attempt int) Trace {
	var hashed [128]byte // longer ids cost an allocation
	trace := sha256.Sum256(append(append(hashed[:0], "trace\x00"...), event.ID...))

	of := append(append(hashed[:0], "span\x00"...), delivery...)
	if delivery == "" {
		of = append(of, event.ID...)
	}
	span := sha256.Sum256(strconv.AppendInt(append(of, 0), int64(attempt), 10))

	var text [traceLength]byte
	parent := append(text[:0], traceVersion...)
	flags := traceFlags
	if theirs := event.Trace.ID(); theirs == "" {
		parent = hex.AppendEncode(parent, trace[:traceIDSize])
	} else {
		parent = append(parent, theirs...)
		flags = string(event.Trace[traceLength-len(traceFlags):])
	}
	parent = hex.AppendEncode(append(parent, '-'), span[:spanIDSize])
	return Trace(append(parent, flags...))
}

// traceparent is the header in this and in all later versions, whose fields may be followed by more of them.
var traceparent = regexp.MustCompile(`^([0-9a-f]{2})-([0-9a-f]{32}-[0-9a-f]{16})-[0-9a-f]([0-9a-f])(-.*)?$`)

// ParseTrace reads a header traceparent that another one wrote. What is none is ignored, as the specification asks for: it gives "".
func ParseTrace(header string) Trace {
	if header == "" {
		return ""
	}
	parts := traceparent.FindStringSubmatch(header)
	switch {
	case parts == nil, parts[1] == "ff", parts[1] == "00" && parts[4] != "":
		return ""
	case strings.Trim(parts[2][:2*traceIDSize], "0") == "", strings.Trim(parts[2][2*traceIDSize+1:], "0") == "":
		return ""
	}
	sampled := strings.IndexByte("0123456789abcdef", parts[3][0]) & 1 // all other flags are for who knows them
	return Trace(traceVersion + parts[2] + "-0" + strconv.Itoa(sampled))
}

// ID returns the part that all attempts of an event share, which log lines have; "": there is none.
func (t Trace) ID() string {
	if len(t) != traceLength {
		return ""
	}
	return string(t[len(traceVersion):][:2*traceIDSize])
}
