package eventjson

import (
	"encoding/json"

	"github.com/postrider/postrider/core"
)

// Envelope is what a publisher gave.
type Envelope struct {
	ID         string // "": none was given
	Name       string
	NameMember string          // which member gave the name: event or type
	Arguments  json.RawMessage // a part of what was read
}

// NoArguments stands for arguments that are left out. It is never to be written to.
var NoArguments = json.RawMessage("{}")

// Read reads a JSON object, a text whose first character but white space is "{": {"id","event","arguments"}, or, when it has a specversion, a CloudEvent in structured mode
// (CloudEvents 1.0, section 3.2 of its JSON format). A CloudEvent's type is the event's name, its data are the arguments, its id is the id; all else
// that it says is ignored. A text that is not JSON is a [Malformed], and nothing is said of it but that. What else is wrong is a [*core.Invalid]; the
// envelope then holds what was read before it. Whether id and name can be an event's is the caller's to check.
func Read(text []byte) (Envelope, error) {
	w := newWalk(text)
	given, err := w.envelope()
	if fault := w.fault(); fault != nil {
		return Envelope{}, fault
	}
	return given, err
}

// ReadBatch reads an array of them, a text whose first character but white space is "[". It hands take each event and what is wrong with it, as Read returns them, until take
// wants no more; then it only checks the rest. Its own error is nil or a [Malformed]: nothing that take was given is to be used then.
func ReadBatch(text []byte, take func(Envelope, error) (more bool)) error {
	w := newWalk(text)
	wanted := true
	for more := w.enter(']'); more; more = w.another(']') {
		if !wanted {
			w.value()
			continue
		}
		given, err := w.envelope()
		wanted = !w.broken && take(given, err)
	}
	w.space()
	return w.fault()
}

// envelope takes what should be an event.
func (w *walk) envelope() (Envelope, error) {
	if w.next() != '{' {
		w.value()
		return Envelope{}, core.Invalidf("", "an event is an object {\"event\":\"…\",\"arguments\":{…}}")
	}
	m, err := w.event()
	if err != nil {
		return Envelope{}, err
	}
	return m.envelope()
}

// envelope tells a plain event and a CloudEvent apart.
func (m *eventMembers) envelope() (given Envelope, err error) {
	name, arguments := m.event, m.arguments
	given.NameMember = "event"
	argumentsMember := "arguments"
	if m.specVersion == nil {
		if stray := m.stray(); stray != "" {
			return given, core.Invalidf(stray, "an event has no member %q: it has event, arguments and, if you like, id; "+
				"a CloudEvent has a specversion", stray)
		}
	} else {
		if err := m.checkCloudEvent(); err != nil {
			return given, err
		}
		name, arguments = m.kind, m.data
		given.NameMember, argumentsMember = "type", "data"
	}

	if given.ID, err = stringOf("id", m.id); err != nil {
		return given, err
	}
	if m.id != nil && given.ID == "" {
		return given, core.EventID("").Check()
	}
	if given.Name, err = stringOf(given.NameMember, name); err != nil {
		return given, err
	}
	if name == nil {
		return given, core.Invalidf(given.NameMember, "the event has no %s, which names its webhook", given.NameMember)
	}
	switch {
	case arguments == nil:
		given.Arguments = NoArguments
	case arguments[0] != '{':
		return given, core.Invalidf(argumentsMember, "the %s of the event are not a JSON object of named arguments", argumentsMember)
	default:
		given.Arguments = arguments
	}
	return given, nil
}

// eventMembers are the members that an event may have, as they stand; nil: it has no such member.
type eventMembers struct {
	id                              []byte
	event, arguments                []byte // of a plain event
	specVersion, kind, data, base64 []byte // of a CloudEvent
	unknown                         string // one that is none of these
}

// event takes an object, and refuses a member that is there twice.
func (w *walk) event() (eventMembers, error) {
	var m eventMembers
	for name, value := range w.members() {
		member := m.called(string(name))
		switch {
		case member == nil:
			m.unknown = string(name)
		case *member != nil:
			return m, core.Invalidf(string(name), "the event has two members %q: which one is meant?", name)
		default:
			*member = value
		}
	}
	return m, nil
}

func (m *eventMembers) called(name string) *[]byte {
	switch name {
	case "id":
		return &m.id
	case "event":
		return &m.event
	case "arguments":
		return &m.arguments
	case "specversion":
		return &m.specVersion
	case "type":
		return &m.kind
	case "data":
		return &m.data
	case "data_base64":
		return &m.base64
	}
	return nil
}

// stray returns a member that a plain event can't have, or "".
func (m *eventMembers) stray() string {
	switch {
	case m.kind != nil:
		return "type"
	case m.data != nil:
		return "data"
	case m.base64 != nil:
		return "data_base64"
	}
	return m.unknown
}

func (m *eventMembers) checkCloudEvent() error {
	if string(m.specVersion) != `"1.0"` {
		return core.Invalidf("specversion", "CloudEvents of specversion %s can't be read: send 1.0", m.specVersion)
	}
	if m.base64 != nil {
		return core.Invalidf("data_base64", "the CloudEvent has its data in base64: send them as a JSON object, in data")
	}
	return nil
}

// stringOf reads a member that must be a string; nil is "".
func stringOf(member string, value []byte) (string, error) {
	if value == nil {
		return "", nil
	}
	text, ok := Text(value)
	if !ok {
		return "", core.Invalidf(member, "the event's %s is not a string", member)
	}
	return text, nil
}
