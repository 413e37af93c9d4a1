package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/postrider/postrider/sdk/internal/schema"
)

// unknown is a member that no plugin knows.
const unknown = "postrider_unknown"

// parse reads a schema that the host has found to be good; an empty one takes anything.
func parse(raw json.RawMessage) *jsonschema.Schema {
	s := new(jsonschema.Schema)
	if len(raw) > 0 {
		json.Unmarshal(raw, s) //nolint:errcheck // the host has read it already
	}
	return s
}

// closed reports whether a schema takes no members but those that it names.
func closed(raw json.RawMessage) bool {
	if len(raw) == 0 {
		return true // no schema: no members
	}
	extra := parse(raw).AdditionalProperties
	return extra != nil && extra.Not != nil // how the library reads false
}

// bad is a document that doesn't fit its schema.
type bad struct {
	document json.RawMessage
	member   string // at fault; "": the whole document
}

// misfits returns what a plugin must refuse: documents that are no object; the good one with a member that nobody knows, where the schema says so; each
// required member left out; and each member with a value of another type.
func misfits(raw, good json.RawMessage) []bad {
	documents := []bad{{document: json.RawMessage(`[]`)}, {document: json.RawMessage(`"text"`)}, {document: json.RawMessage(`{"`)}}
	if closed(raw) {
		documents = append(documents, bad{with(good, unknown, json.RawMessage(`1`)), unknown})
	}
	s := parse(raw)
	for _, name := range s.Required {
		documents = append(documents, bad{with(good, name, nil), name})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		property, err := json.Marshal(s.Properties[name])
		if err != nil {
			continue
		}
		parsed, err := schema.Parse(property)
		if err != nil {
			continue
		}
		for _, value := range []string{`1.5`, `"postrider"`, `[{}]`} {
			if parsed.Check([]byte(value), "value") != nil {
				documents = append(documents, bad{with(good, name, json.RawMessage(value)), name})
				break
			}
		}
	}
	return documents
}

// with returns an object with one member set, or, if the value is nil, left out.
func with(document json.RawMessage, name string, value json.RawMessage) json.RawMessage {
	members := make(map[string]json.RawMessage)
	json.Unmarshal(document, &members) //nolint:errcheck // nothing is no members
	delete(members, name)
	if value != nil {
		members[name] = value
	}
	changed, err := json.Marshal(members)
	if err != nil {
		return document // it was no JSON before
	}
	return changed
}

// sample makes up a document that fits a schema: its required members alone, with the schema's own default or example where it has one.
func sample(raw json.RawMessage) (json.RawMessage, error) {
	if len(raw) == 0 {
		return json.RawMessage(`{}`), nil
	}
	document, err := json.Marshal(value(parse(raw)))
	if err != nil {
		return nil, err
	}
	s, err := schema.Parse(raw)
	if err != nil {
		return nil, err
	}
	if err := s.Check(document, "argument"); err != nil {
		return nil, fmt.Errorf("no arguments can be made up: %w", err)
	}
	return document, nil
}

func value(s *jsonschema.Schema) any {
	switch {
	case s.Default != nil:
		return s.Default
	case s.Const != nil:
		return *s.Const
	case len(s.Examples) > 0:
		return s.Examples[0]
	case len(s.Enum) > 0:
		return s.Enum[0]
	}
	switch kind := kindOf(s); kind {
	case "object":
		members := make(map[string]any)
		for _, name := range s.Required {
			if property := s.Properties[name]; property != nil {
				members[name] = value(property)
			}
		}
		return members
	case "array":
		return []any{}
	case "boolean":
		return true
	case "integer", "number":
		if s.Minimum != nil {
			return max(*s.Minimum, 1)
		}
		return 1
	case "null":
		return nil
	}
	return "postrider"
}

// kindOf returns the first type that a schema takes.
func kindOf(s *jsonschema.Schema) string {
	for _, kind := range append(s.Types, s.Type) {
		if kind != "null" && kind != "" {
			return kind
		}
	}
	if len(s.Properties) > 0 {
		return "object"
	}
	return "string"
}
