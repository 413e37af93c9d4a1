package pluginhost

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/postrider/postrider/core"
)

// schema checks JSON objects against a plugin's JSON Schema. It is compiled once, when the plugin describes itself: checking is on the
// path of every publish.
type schema struct {
	resolved *jsonschema.Resolved
	names    []string // of the properties, sorted
	closed   bool     // no others are allowed
}

// compile reads a JSON Schema; nil for an empty one.
func compile(raw json.RawMessage) (*schema, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var s jsonschema.Schema
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, err
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		return nil, err
	}
	additional, _ := json.Marshal(s.AdditionalProperties)
	return &schema{
		resolved: resolved,
		names:    slices.Sorted(maps.Keys(s.Properties)),
		closed:   string(additional) == "false",
	}, nil
}

// check refuses what the schema doesn't allow with a [*core.Invalid] about field that names the property. thing is what one property is called
// and of whom, as "argument of shop::get".
func (s *schema) check(raw json.RawMessage, field, thing string) error {
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil || object == nil {
		return core.Invalidf(field, "%s must be a JSON object of names and values", field)
	}
	err := s.resolved.Validate(object)
	if err == nil {
		return nil
	}
	return core.Invalidf(field, "%s", s.explain(err, object, thing))
}

// explain says in our words what is wrong with an object that isn't valid, where it is one of the usual things: a name that is missing, unknown, or
// has a value of the wrong type. The values themselves are never shown: settings may hold secrets.
func (s *schema) explain(err error, object map[string]any, thing string) string {
	root := s.resolved.Schema()
	for _, name := range root.Required {
		if _, ok := object[name]; !ok {
			return fmt.Sprintf("%s: %q is missing", thing, name)
		}
	}
	if s.closed {
		for _, name := range slices.Sorted(maps.Keys(object)) {
			if _, ok := root.Properties[name]; !ok && len(root.PatternProperties) == 0 {
				return fmt.Sprintf("%s: there is no %q%s", thing, name, suggestion(name, s.names))
			}
		}
	}
	for _, name := range s.names {
		value, ok := object[name]
		if !ok {
			continue
		}
		property := root.Properties[name]
		wanted := property.Types
		if property.Type != "" {
			wanted = []string{property.Type}
		}
		if got := typeOf(value); len(wanted) > 0 && !slices.Contains(wanted, got) && !(got == "integer" && slices.Contains(wanted, "number")) {
			return fmt.Sprintf("%s: %q must be of type %s, not %s", thing, name, strings.Join(wanted, " or "), got)
		}
	}
	return fmt.Sprintf("%s: %s", thing, detail(err))
}

// detail shortens the library's error, "validating root: validating /properties/a/properties/b: rule: …", to its last place and rule.
func detail(err error) string {
	parts := strings.Split(err.Error(), ": ")
	place, rule := "", ""
	for _, part := range parts {
		path, ok := strings.CutPrefix(part, "validating ")
		if !ok {
			rule = part
			break
		}
		if path != "root" {
			place = strings.TrimPrefix(strings.ReplaceAll(path, "/properties/", "."), ".")
		}
	}
	if place == "" {
		return fmt.Sprintf("it breaks the rule %q of its schema", rule)
	}
	return fmt.Sprintf("%q breaks the rule %q of its schema", place, rule)
}

func typeOf(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	}
	return "object"
}

// canonical returns raw in one form for all that mean the same: sorted keys, no space; "" for nothing, null and {}.
func canonical(raw json.RawMessage) (string, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return "", nil
	}
	var value map[string]any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return "", fmt.Errorf("is not a JSON object: %w", err)
	}
	if len(value) == 0 {
		return "", nil
	}
	same, err := json.Marshal(value)
	return string(same), err
}
