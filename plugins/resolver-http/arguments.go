package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// argument is what one argument must be: the name of a type, or a JSON Schema.
type argument json.RawMessage

// JSONSchema says so.
func (argument) JSONSchema() json.RawMessage {
	return json.RawMessage(`{
		"type": ["string", "object"],
		"description": "string, integer, number, boolean, array or object; or a JSON Schema"
	}`)
}

// UnmarshalJSON keeps what there is.
func (a *argument) UnmarshalJSON(raw []byte) error {
	*a = append((*a)[:0], raw...)
	return nil
}

var types = []string{"string", "integer", "number", "boolean", "array", "object"}

// property returns the JSON Schema of the argument.
func (a argument) property() (map[string]any, error) {
	var word string
	schema := make(map[string]any)
	if json.Unmarshal(a, &word) == nil {
		schema["type"] = word
	} else if err := json.Unmarshal(a, &schema); err != nil {
		return nil, fmt.Errorf("it must be the name of a type, or a JSON Schema")
	}
	if name, ok := schema["type"].(string); ok && !slices.Contains(types, name) {
		return nil, fmt.Errorf("there is no type %q: it is string, integer, number, boolean, array or object", name)
	}
	return schema, nil
}

// simple are the types of what can stand in the middle of a text.
var simple = []string{"string", "integer", "number", "boolean"}

// schema returns the JSON Schema of the service's arguments: those that are configured, or else those that the request names. It refuses a request that
// names others, or puts an argument where it can't stand.
func (s serviceConfig) schema(r *request) (json.RawMessage, error) {
	properties := make(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(s.Arguments)) {
		property, err := s.Arguments[name].property()
		if err != nil {
			return nil, fmt.Errorf("arguments.%s: %w", name, err)
		}
		properties[name] = property
	}
	for _, use := range r.uses() {
		if s.Arguments == nil && properties[use.argument] == nil {
			properties[use.argument] = map[string]any{"type": []string{"string", "number", "boolean"}}
		}
		property, ok := properties[use.argument].(map[string]any)
		switch {
		case !ok:
			return nil, fmt.Errorf("%s names {%s}, which is not among the arguments", use.where, use.argument)
		case use.required && slices.Contains(s.Optional, use.argument):
			return nil, fmt.Errorf("%s names {%s}, which is optional: a request can't do without its path", use.where, use.argument)
		case !use.fits(property["type"]):
			return nil, fmt.Errorf("%s names {%s}, whose type can't stand there: only a string, an integer, a number or a boolean can", use.where, use.argument)
		}
	}
	required := []string{}
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if !slices.Contains(s.Optional, name) {
			required = append(required, name)
		}
	}
	for _, name := range s.Optional {
		if properties[name] == nil {
			return nil, fmt.Errorf("optional: there is no argument %q", name)
		}
	}
	return json.Marshal(map[string]any{
		"type": "object", "properties": properties, "required": required, "additionalProperties": false,
	})
}

// use is one place where a request names an argument.
type use struct {
	argument, where string
	required        bool     // the place can't be left out
	kinds           []string // the types of what can stand there; nil: any
}

// fits reports whether values of a type can stand there. Of one that isn't known, each value is looked at.
func (u use) fits(declared any) bool {
	name, ok := declared.(string)
	return !ok || u.kinds == nil || slices.Contains(u.kinds, name)
}
