package schema

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// For derives the schema of a struct from its JSON tags. A field is required unless it says omitempty or omitzero, or is a pointer; the
// tag `jsonschema:"…"` describes it. No other members are allowed. A type with a method JSONSchema() json.RawMessage brings its own.
func For(t reflect.Type) (*Schema, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("%s is not a struct: its fields are what a schema is derived from", t)
	}
	own := make(map[reflect.Type]*jsonschema.Schema)
	if err := collect(t, own, make(map[reflect.Type]bool)); err != nil {
		return nil, err
	}
	root, err := jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: own})
	if err != nil {
		return nil, fmt.Errorf("no JSON Schema follows from %s: %w", t, err)
	}
	relax(root, t)
	raw, err := json.Marshal(root)
	if err != nil {
		return nil, fmt.Errorf("no JSON Schema follows from %s: %w", t, err)
	}
	return prepare(root, raw)
}

var (
	rawMessage      = reflect.TypeFor[json.RawMessage]()
	number          = reflect.TypeFor[json.Number]()
	byteSlice       = reflect.TypeFor[[]byte]()
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	schemaOwner     = reflect.TypeFor[owner]()
)

// owner is a type that takes less, or other things, than its kind says.
type owner interface{ JSONSchema() json.RawMessage }

// collect finds the types that bring their own schema, and those that encoding/json reads in another way than their kind says.
func collect(t reflect.Type, own map[reflect.Type]*jsonschema.Schema, seen map[reflect.Type]bool) error {
	if seen[t] {
		return nil
	}
	seen[t] = true
	switch {
	case t.Kind() != reflect.Interface && t.Name() != "" && reflect.PointerTo(t).Implements(schemaOwner):
		brought, err := Parse(reflect.New(t).Interface().(owner).JSONSchema())
		if err != nil {
			return fmt.Errorf("what %s.JSONSchema returns is %w", t, err)
		}
		own[t] = brought.root
	case t == rawMessage:
		own[t] = &jsonschema.Schema{}
	case t == number:
		own[t] = &jsonschema.Schema{Type: "number"}
	case t == byteSlice:
		own[t] = &jsonschema.Schema{Type: "string", ContentEncoding: "base64"}
	case t.PkgPath() == "time" || t.PkgPath() == "math/big": // the library knows these
	case t.Kind() != reflect.Interface && t.Name() != "" && reflect.PointerTo(t).Implements(textUnmarshaler):
		own[t] = &jsonschema.Schema{Type: "string"}
	case t.Kind() != reflect.Interface && t.Name() != "" && reflect.PointerTo(t).Implements(jsonUnmarshaler):
		own[t] = &jsonschema.Schema{}
	case t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Array || t.Kind() == reflect.Map:
		return collect(t.Elem(), own, seen)
	case t.Kind() == reflect.Struct:
		for f := range t.Fields() {
			if !f.IsExported() && !f.Anonymous {
				continue
			}
			if err := collect(f.Type, own, seen); err != nil {
				return err
			}
		}
	}
	return nil
}

// relax makes pointer fields optional, which the library doesn't.
func relax(s *jsonschema.Schema, t reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case s == nil || reflect.PointerTo(t).Implements(schemaOwner):
	case t.Kind() == reflect.Slice || t.Kind() == reflect.Array:
		relax(s.Items, t.Elem())
	case t.Kind() == reflect.Map:
		relax(s.AdditionalProperties, t.Elem())
	case t.Kind() == reflect.Struct && s.Properties != nil:
		for _, f := range reflect.VisibleFields(t) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" {
				name = f.Name
			}
			property := s.Properties[name]
			if f.Anonymous || property == nil {
				continue
			}
			relax(property, f.Type)
			if f.Type.Kind() == reflect.Pointer {
				s.Required = slices.DeleteFunc(s.Required, func(r string) bool { return r == name })
			}
		}
	}
}
