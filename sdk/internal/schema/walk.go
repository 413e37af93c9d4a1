package schema

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// walk looks for the mismatches that people make: a member that is unknown, missing, of another type, or of another form. The library has found that something
// is wrong by then, but reports it by the path in the schema.
type walk struct{ noun string }

func (w walk) check(s *jsonschema.Schema, value any, path string) *Mismatch {
	if m := w.checkType(s, value, path); m != nil {
		return m
	}
	switch value := value.(type) {
	case string:
		return w.checkPattern(s, value, path)
	case map[string]any:
		return w.checkObject(s, value, path)
	case []any:
		if s.Items == nil {
			return nil
		}
		for i, item := range value {
			if m := w.check(s.Items, item, fmt.Sprintf("%s[%d]", path, i)); m != nil {
				return m
			}
		}
	}
	return nil
}

func (w walk) checkType(s *jsonschema.Schema, value any, path string) *Mismatch {
	want := s.Types
	if s.Type != "" {
		want = []string{s.Type}
	}
	got := typeOf(value)
	if len(want) == 0 || slices.Contains(want, got) || got == "integer" && slices.Contains(want, "number") {
		return nil
	}
	wanted := slices.DeleteFunc(slices.Clone(want), func(t string) bool { return t == "null" && len(want) > 1 })
	if path == "" {
		return &Mismatch{What: fmt.Sprintf("the %ss are %s: they must be %s", w.noun, article(got), articles(wanted))}
	}
	return &Mismatch{Path: path, What: fmt.Sprintf("%s %q is %s: it must be %s", w.noun, path, article(got), articles(wanted))}
}

// checkPattern says what is wanted in the words of the schema's description, as people don't read patterns.
func (w walk) checkPattern(s *jsonschema.Schema, value, path string) *Mismatch {
	if s.Pattern == "" || path == "" {
		return nil
	}
	if fits, err := regexp.MatchString(s.Pattern, value); fits || err != nil {
		return nil
	}
	what := fmt.Sprintf("%s %q breaks the rule \"pattern\" of its schema", w.noun, path)
	if s.Description != "" {
		what += ": " + s.Description
	}
	return &Mismatch{Path: path, What: what}
}

func (w walk) checkObject(s *jsonschema.Schema, object map[string]any, path string) *Mismatch {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		property, known := s.Properties[name]
		if !known && isFalse(s.AdditionalProperties) && len(s.PatternProperties) == 0 {
			what := fmt.Sprintf("there is no %s %q", w.noun, join(path, name))
			names := slices.Sorted(maps.Keys(s.Properties))
			if len(names) == 0 {
				what += ": none are taken"
			} else {
				what += ": there are " + strings.Join(names, ", ")
			}
			return &Mismatch{Path: join(path, name), What: what, Known: names}
		}
		if !known {
			property = s.AdditionalProperties
		}
		if property == nil {
			continue
		}
		if m := w.check(property, object[name], join(path, name)); m != nil {
			return m
		}
	}
	for _, name := range s.Required {
		if _, there := object[name]; !there {
			what := fmt.Sprintf("%s %q is missing", w.noun, join(path, name))
			if p := s.Properties[name]; p != nil && p.Description != "" {
				what += ": " + p.Description
			}
			return &Mismatch{Path: join(path, name), What: what}
		}
	}
	return nil
}

// isFalse reports whether the schema accepts nothing, which jsonschema-go represents as not:{}.
func isFalse(s *jsonschema.Schema) bool {
	return s != nil && s.Not != nil && len(s.Not.Properties) == 0 && s.Not.Type == "" && s.Not.Types == nil && s.Not.Not == nil
}

func typeOf(value any) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case float64:
		if value == math.Trunc(value) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	}
	return "object"
}

func article(t string) string {
	switch t {
	case "null":
		return "null"
	case "integer", "array", "object":
		return "an " + t
	}
	return "a " + t
}

func articles(types []string) string {
	words := make([]string, len(types))
	for i, t := range types {
		words[i] = article(t)
	}
	return strings.Join(words, " or ")
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
