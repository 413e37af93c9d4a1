package rabbitmq

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"strconv"
	"strings"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/eventjson"
)

// triggerMessage is a message of the trigger queue, as far as reading it matters.
type triggerMessage struct {
	contentType     string
	contentEncoding string
	messageID       string
	headers         map[string]any
	body            []byte
}

// maxTrigger bounds a message once it is decompressed, in bytes: arguments of 4 MiB as a JSON string, in which every other character is escaped.
const maxTrigger = 8<<20 + 1<<16

// parseTrigger reads an event in any of the forms that publishers may use:
//
//   - ["sales.order.created", "{\"id\":1}"], what Magento's modules publish: the webhook's name, and the named arguments as a string of JSON. A third
//     string may name a store.
//   - {"id", "event", "arguments"}, as over HTTP
//   - a CloudEvent 1.0 in structured mode, or in binary mode: then its attributes are headers that begin with "cloudEvents:" or "cloudEvents_" (its
//     AMQP binding, section 3.1), and the body is its data
//
// The event's id is the one in the body (or of the CloudEvent), else the message-id, which libraries set by themselves; "" where there is neither. What
// is wrong is a [*core.Invalid], but for a trace context, which is ignored then; the event then holds what could be read, its id among it if that is a valid one.
func parseTrigger(m triggerMessage) (core.Event, error) {
	given, err := readTrigger(m)
	event := core.Event{Name: given.Name, Arguments: given.Arguments, Trace: traceIn(m.headers)}
	id, source := core.EventID(given.ID), "id"
	if id == "" {
		id, source = core.EventID(m.messageID), "message-id"
	}
	if invalid := id.Check(); id == "" || invalid == nil {
		event.ID = id
	} else if err == nil {
		err = core.Invalidf(source, "the %s of the message can't be an event's: %s", source, invalid)
	}
	if err == nil {
		err = core.CheckName(event.Name)
	}
	return event, err
}

// readTrigger tells the forms apart.
func readTrigger(m triggerMessage) (eventjson.Envelope, error) {
	kind, err := mediaType(m.contentType)
	if err != nil {
		return eventjson.Envelope{}, err
	}
	body, err := decompress(m.contentEncoding, m.body)
	if err != nil {
		return eventjson.Envelope{}, err
	}
	if version, ok := cloudAttribute(m.headers, "specversion"); ok {
		return readBinaryCloudEvent(m.headers, version, body)
	}
	if err := eventjson.Check(body); err != nil {
		return eventjson.Envelope{}, core.Invalidf("body", "the body is %s", err)
	}
	body = body[eventjson.SkipSpace(body, 0):]
	switch {
	case kind == "application/cloudevents-batch+json":
		return eventjson.Envelope{}, core.Invalidf("content-type", "a batch of CloudEvents can't be read: publish each in a message of its own")
	case kind == cloudEventsType && !isCloudEvent(body):
		return eventjson.Envelope{}, core.Invalidf("body", "the content-type says CloudEvent, and the body is none: it is not an object with a specversion")
	case body[0] == '{':
		return eventjson.Read(body)
	case body[0] == '[':
		return readPair(body)
	}
	return eventjson.Envelope{}, core.Invalidf("body", `the body is neither an array nor an object: an event is ["name", "{\"argument\":1}"], `+
		`{"event":"name","arguments":{…}}, or a CloudEvent`)
}

// readPair reads the form of Magento's modules.
func readPair(array []byte) (eventjson.Envelope, error) {
	var elements [][]byte
	for element := range eventjson.Elements(array) {
		elements = append(elements, element)
		if len(elements) > 3 {
			break
		}
	}
	if len(elements) < 2 || len(elements) > 3 {
		return eventjson.Envelope{}, core.Invalidf("body", "the array has %s elements: it is the webhook's name, its arguments as a string of JSON, and, "+
			"if you like, a store", map[int]string{0: "no", 1: "1", 4: "more than 3"}[len(elements)])
	}
	var texts [3]string
	for i, element := range elements {
		text, ok := eventjson.Text(element)
		if !ok && string(element) != "null" && !(i == 2 && isInteger(element)) {
			return eventjson.Envelope{Name: texts[0]}, core.Invalidf("["+strconv.Itoa(i)+"]", "element %d of the array is not a string: it is %s", i,
				[3]string{"the webhook's name", `its arguments as a string of JSON, as "{\"id\":1}"`, "the store's id"}[i])
		}
		texts[i] = text
	}
	given := eventjson.Envelope{Name: texts[0], NameMember: "[0]"}
	arguments, err := readArguments("[1]", []byte(texts[1]))
	given.Arguments = arguments
	return given, err
}

func isInteger(value []byte) bool {
	_, err := strconv.ParseInt(string(value), 10, 64)
	return err == nil
}

// readArguments reads the text of named arguments. PHP writes an array without elements as [], whichever kind it is meant to be.
func readArguments(field string, text []byte) (json.RawMessage, error) {
	if err := eventjson.Check(text); err != nil {
		return nil, core.Invalidf(field, "the arguments are %s", err)
	}
	text = bytes.TrimSpace(text)
	switch {
	case text[0] == '{':
		return text, nil
	case text[0] == '[' && text[eventjson.SkipSpace(text, 1)] == ']':
		return eventjson.NoArguments, nil
	}
	return nil, core.Invalidf(field, `the arguments are not a JSON object of named arguments, as {"id":1}`)
}

// cloudEventsType is what a structured CloudEvent is sent as.
const cloudEventsType = "application/cloudevents+json"

func isCloudEvent(body []byte) bool {
	var event struct {
		SpecVersion *json.RawMessage `json:"specversion"`
	}
	return json.Unmarshal(body, &event) == nil && event.SpecVersion != nil
}

// cloudAttribute finds an attribute of a CloudEvent in binary mode.
func cloudAttribute(headers map[string]any, name string) (string, bool) {
	for _, prefix := range []string{"cloudEvents:", "cloudEvents_"} {
		switch value := headers[prefix+name].(type) {
		case string:
			return value, true
		case []byte:
			return string(value), true
		}
	}
	return "", false
}

func readBinaryCloudEvent(headers map[string]any, version string, body []byte) (given eventjson.Envelope, err error) {
	if version != "1.0" {
		return given, core.Invalidf("specversion", "CloudEvents of specversion %q can't be read: send 1.0", version)
	}
	given.NameMember = "type"
	given.ID, _ = cloudAttribute(headers, "id")
	given.Name, _ = cloudAttribute(headers, "type")
	if given.Name == "" {
		return given, core.Invalidf("type", "the CloudEvent has no type, which names its webhook: it is the header cloudEvents:type")
	}
	if len(body) == 0 {
		given.Arguments = eventjson.NoArguments
		return given, nil
	}
	given.Arguments, err = readArguments("data", body)
	return given, err
}

// mediaType returns the type of a body that may be JSON. Many publishers leave it out, and php-amqplib's examples say text/plain.
func mediaType(header string) (string, error) {
	if header == "" {
		return "", nil
	}
	kind, params, err := mime.ParseMediaType(header)
	switch {
	case err != nil:
		return "", core.Invalidf("content-type", "the content-type %q can't be understood: send JSON as application/json", header)
	case kind != "application/json" && kind != "text/json" && kind != "text/plain" && kind != "application/octet-stream" &&
		!(strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")):
		return "", core.Invalidf("content-type", "a body of content-type %q can't be read: send JSON, as application/json", header)
	}
	if charset := params["charset"]; charset != "" && !isUTF8(charset) {
		return "", core.Invalidf("content-type", "a body in the charset %q can't be read: send JSON in UTF-8", charset)
	}
	return kind, nil
}

func isUTF8(charset string) bool {
	return strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8") || strings.EqualFold(charset, "us-ascii")
}

// decompress undoes a content-encoding. Some clients write the charset into it, Python's kombu always.
func decompress(encoding string, body []byte) ([]byte, error) {
	var plain io.Reader
	var err error
	switch strings.ToLower(encoding) {
	case "", "identity":
		return body, nil
	case "gzip", "x-gzip":
		plain, err = gzip.NewReader(bytes.NewReader(body))
	case "deflate": // RFC 9110, section 8.4.1.2: in the zlib format
		plain, err = zlib.NewReader(bytes.NewReader(body))
	default:
		if isUTF8(encoding) {
			return body, nil
		}
		return nil, core.Invalidf("content-encoding", "a body of content-encoding %q can't be read: send it plain, or as gzip or deflate", encoding)
	}
	if err == nil {
		body, err = io.ReadAll(io.LimitReader(plain, maxTrigger+1))
	}
	if err == nil && len(body) > maxTrigger {
		err = errors.New("more than " + strconv.Itoa(maxTrigger) + " bytes come out of it")
	}
	if err != nil {
		return nil, core.Invalidf("content-encoding", "the body can't be decompressed as its content-encoding %q says: %s", encoding, err)
	}
	return body, nil
}
