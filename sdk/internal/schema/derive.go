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
// tag `jsonschema:"…"` describes it. No other members are allowed.
func For(t reflect.Type) (*Schema, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("%s is not a struct: its fields are what a schema is derived from", t)
	}
	own := make(map[reflect.Type]*jsonschema.Schema)
	collect(t, own, make(map[reflect.Type]bool))
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
)

// collect finds the types that encoding/json reads in another way than their kind says.
func collect(t reflect.Type, own map[reflect.Type]*jsonschema.Schema, seen map[reflect.Type]bool) {
	if seen[t] {
		return
	}
	seen[t] = true
	switch {
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
		collect(t.Elem(), own, seen)
	case t.Kind() == reflect.Struct:
		for f := range t.Fields() {
			if f.IsExported() || f.Anonymous {
				collect(f.Type, own, seen)
			}
		}
	}
}

// relax makes pointer fields optional, which the library doesn't.
func relax(s *jsonschema.Schema, t reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case s == nil:
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
