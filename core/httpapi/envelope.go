package httpapi

import (
	"encoding/json"

	"github.com/postrider/postrider/core"
)

// envelope is what a publisher gave, as an [Event] or as a CloudEvent.
type envelope struct {
	id         string
	name       string
	nameMember string // which member gave the name: event or type
	arguments  json.RawMessage
}

// noArguments stands for arguments that are left out.
var noArguments = json.RawMessage("{}")

// readEnvelope reads a valid JSON object: an [Event], or, when it has a specversion, a CloudEvent in structured mode (CloudEvents 1.0, section 3.2
// of its JSON format). A CloudEvent's type is the event's name, its data are the arguments, its id is the id; all else that it says is ignored.
func readEnvelope(object []byte) (envelope, error) {
	var id, event, arguments, specVersion, kind, data, base64 []byte
	var unknown string
	for name, value := range members(object) {
		var member *[]byte
		switch string(name) {
		case "id":
			member = &id
		case "event":
			member = &event
		case "arguments":
			member = &arguments
		case "specversion":
			member = &specVersion
		case "type":
			member = &kind
		case "data":
			member = &data
		case "data_base64":
			member = &base64
		default:
			unknown = string(name)
			continue
		}
		if *member != nil {
			return envelope{}, core.Invalidf(string(name), "the event has two members %q: which one is meant?", name)
		}
		*member = value
	}

	given := envelope{nameMember: "event"}
	argumentsMember := "arguments"
	if specVersion == nil {
		switch {
		case kind != nil:
			unknown = "type"
		case data != nil:
			unknown = "data"
		case base64 != nil:
			unknown = "data_base64"
		}
		if unknown != "" {
			return given, core.Invalidf(unknown, "an event has no member %q: it has event, arguments and, if you like, id; "+
				"a CloudEvent has a specversion", unknown)
		}
	} else {
		if string(specVersion) != `"1.0"` {
			return given, core.Invalidf("specversion", "CloudEvents of specversion %s can't be read: send 1.0", specVersion)
		}
		if base64 != nil {
			return given, core.Invalidf("data_base64", "the CloudEvent has its data in base64: send them as a JSON object, in data")
		}
		given.nameMember, argumentsMember = "type", "data"
		event, arguments = kind, data
	}

	var err error
	if given.id, err = stringOf("id", id); err != nil {
		return given, err
	}
	if id != nil && given.id == "" {
		return given, core.EventID("").Check()
	}
	if given.name, err = stringOf(given.nameMember, event); err != nil {
		return given, err
	}
	if event == nil {
		return given, core.Invalidf(given.nameMember, "the event has no %s, which names its webhook", given.nameMember)
	}
	switch {
	case arguments == nil:
		given.arguments = noArguments
	case arguments[0] != '{':
		return given, core.Invalidf(argumentsMember, "the %s of the event are not a JSON object of named arguments", argumentsMember)
	default:
		given.arguments = arguments
	}
	return given, nil
}

// stringOf reads a member that must be a string; nil is "".
func stringOf(member string, value []byte) (string, error) {
	switch {
	case value == nil:
		return "", nil
	case value[0] != '"':
		return "", core.Invalidf(member, "the event's %s is not a string", member)
	}
	return string(unescape(value)), nil
}
