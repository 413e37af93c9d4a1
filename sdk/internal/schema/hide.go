package schema

import (
	"bytes"
	"encoding/json"

	"github.com/google/jsonschema-go/jsonschema"
)

// Hide returns the document with placeholder wherever the schema says writeOnly: in properties, additionalProperties and items. A nil schema, which
// knows nothing, hides every text. A document that is no JSON comes to nothing.
func (s *Schema) Hide(document json.RawMessage, placeholder string) json.RawMessage {
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber() // numbers stay as they were written
	var value any
	if d.Decode(&value) != nil {
		return nil
	}
	h := hiding{placeholder: placeholder, everything: s == nil}
	var root *jsonschema.Schema
	if s != nil {
		root = s.root
	}
	shown, err := json.Marshal(h.of(root, value))
	if err != nil {
		return nil
	}
	return shown
}

type hiding struct {
	placeholder string
	everything  bool
}

func (h hiding) of(s *jsonschema.Schema, value any) any {
	if s != nil && s.WriteOnly && value != nil {
		return h.placeholder
	}
	switch value := value.(type) {
	case string:
		if h.everything {
			return h.placeholder
		}
	case map[string]any:
		for name, member := range value {
			value[name] = h.of(memberOf(s, name), member)
		}
	case []any:
		for i, item := range value {
			value[i] = h.of(itemOf(s), item)
		}
	}
	return value
}

func memberOf(s *jsonschema.Schema, name string) *jsonschema.Schema {
	if s == nil {
		return nil
	}
	if property, ok := s.Properties[name]; ok {
		return property
	}
	return s.AdditionalProperties
}

func itemOf(s *jsonschema.Schema) *jsonschema.Schema {
	if s == nil {
		return nil
	}
	return s.Items
}
