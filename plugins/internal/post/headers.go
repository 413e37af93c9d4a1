package post

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Headers are header fields that a user adds to all requests. Their values are secrets: many hold a key.
type Headers map[string]string

// mostHeaders is how many there may be; together with their lengths they stay below what servers take.
const mostHeaders = 32

// JSONSchema takes what [Headers.fields] takes.
func (Headers) JSONSchema() json.RawMessage {
	names := make([]string, len(reserved))
	for i, name := range reserved {
		names[i] = anyCase(name)
	}
	schema, err := json.Marshal(map[string]any{
		"type":          []string{"null", "object"},
		"maxProperties": mostHeaders,
		"propertyNames": map[string]any{
			"pattern":     fieldNamePattern,
			"not":         map[string]any{"pattern": "^(" + strings.Join(names, "|") + "|" + anyCase(namesOfDeliveries) + ".*)$"},
			"description": "the name of a header field that the connection, the body and webhook-… don't need for themselves",
		},
		"additionalProperties": map[string]any{
			"type": "string", "writeOnly": true, "maxLength": 4096,
			"pattern":     `^[^\x00-\x08\x0a-\x1f\x7f]*$`,
			"description": "the value of a header field: one line, without control characters",
		},
	})
	if err != nil {
		panic(err) // texts and maps always have JSON
	}
	return schema
}

// anyCase returns a pattern for a text in whatever case. JSON Schema's patterns have no flag for that.
func anyCase(text string) string {
	var pattern strings.Builder
	for _, c := range text {
		if c == '-' {
			pattern.WriteRune(c)
			continue
		}
		pattern.WriteString("[" + strings.ToUpper(string(c)) + strings.ToLower(string(c)) + "]")
	}
	return pattern.String()
}

// fields reads them, sorted by name. An error begins with the name that is wrong, and holds no value.
func (h Headers) fields() ([]Field, error) {
	var fields []Field
	for _, name := range slices.Sorted(maps.Keys(h)) {
		canonical, err := FieldName(name).Canonical()
		switch {
		case err != nil:
			return nil, fmt.Errorf("headers: %w", err)
		case len(fields) > 0 && hasField(fields, canonical):
			return nil, fmt.Errorf("headers: %s is there twice, in different case", canonical)
		case !httpguts.ValidHeaderFieldValue(h[name]):
			return nil, fmt.Errorf("headers.%s: its value must be one line, without control characters", name)
		}
		fields = append(fields, Field{Name: canonical, Value: h[name]})
	}
	return fields, nil
}

func hasField(fields []Field, name string) bool {
	return slices.ContainsFunc(fields, func(f Field) bool { return f.Name == name })
}

// Has reports whether a field of that name is among them, in whatever case.
func (h Headers) Has(name string) bool {
	for own := range h {
		if strings.EqualFold(own, name) {
			return true
		}
	}
	return false
}

// without returns the headers without the one of that name, in whatever case.
func (h Headers) without(name string) Headers {
	rest := maps.Clone(h)
	maps.DeleteFunc(rest, func(own, _ string) bool { return strings.EqualFold(own, name) })
	return rest
}

// with returns the headers and others, which win.
func (h Headers) with(others Headers) Headers {
	if len(others) == 0 {
		return h
	}
	all := maps.Clone(others)
	for name, value := range h {
		if !others.Has(name) {
			all[name] = value
		}
	}
	return all
}
