// Package schema derives JSON Schemas (draft 2020-12) from Go types, and checks documents against schemas with errors that name what is
// wrong in the words of whoever wrote the document.
//
// The daemon and the plugin check with the same code, so that an argument is refused with the same sentence wherever it is refused.
package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/google/jsonschema-go/jsonschema"
)

// Schema is a JSON Schema of an object. It is safe for concurrent use.
type Schema struct {
	raw      json.RawMessage
	root     *jsonschema.Schema
	resolved *jsonschema.Resolved
}

// Mismatch is the error of a document that doesn't fit its schema.
type Mismatch struct {
	Path string // the member at fault, as "customer.name" or "items[2]"; "" for the whole document
	What string // a sentence that names it, and says what is wrong
}

// Error returns the sentence.
func (m *Mismatch) Error() string { return m.What }

// Parse reads a schema. The error says what makes it none.
func Parse(raw json.RawMessage) (*Schema, error) {
	root := new(jsonschema.Schema)
	if err := json.Unmarshal(raw, root); err != nil {
		return nil, fmt.Errorf("not a JSON Schema: %w", err)
	}
	return prepare(root, raw)
}

func prepare(root *jsonschema.Schema, raw json.RawMessage) (*Schema, error) {
	resolved, err := root.Resolve(nil)
	if err != nil {
		return nil, fmt.Errorf("not a JSON Schema: %w", err)
	}
	return &Schema{raw: raw, root: root, resolved: resolved}, nil
}

// JSON returns the schema's document.
func (s *Schema) JSON() json.RawMessage { return s.raw }

// Check refuses, with a [*Mismatch], a document that doesn't fit. Its members are called noun: "argument", "key", "setting".
func (s *Schema) Check(document []byte, noun string) error {
	value, err := parse(document)
	if err != nil {
		return &Mismatch{What: fmt.Sprintf("the %ss are not valid JSON: %v", noun, err)}
	}
	if m := (walk{noun: noun}).check(s.root, value, ""); m != nil {
		return m
	}
	if err := s.resolved.Validate(value); err != nil { // what walk has no words for: patterns, enums, combinations
		return &Mismatch{What: fmt.Sprintf("the %ss don't fit their schema: %v", noun, err)}
	}
	return nil
}

// Decode checks the document, and unmarshals it into target.
func (s *Schema) Decode(document []byte, noun string, target any) error {
	if err := s.Check(document, noun); err != nil {
		return err
	}
	err := json.Unmarshal(document, target)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" { // a number that is too large for its field, say
		return &Mismatch{Path: wrong.Field, What: fmt.Sprintf("%s %q is a %s, which doesn't fit a Go %s", noun, wrong.Field, wrong.Value, wrong.Type)}
	}
	if err != nil {
		return &Mismatch{What: fmt.Sprintf("the %ss can't be read: %v", noun, err)}
	}
	return nil
}

// parse reads exactly one JSON value.
func parse(document []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(document))
	var value any
	if err := d.Decode(&value); err != nil {
		if err == io.EOF {
			return nil, errors.New("there is nothing")
		}
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows the first value")
	}
	return value, nil
}
