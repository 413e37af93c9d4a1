// Package schema derives JSON Schemas (draft 2020-12) from Go types, and checks documents against schemas with errors that name what is
// wrong in the words of whoever wrote the document.
//
// Its errors name members and rules, never values: settings and configurations hold secrets, and errors are logged.
package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

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
	Path  string   // the member at fault, as "customer.name" or "items[2]"; "" for the whole document
	What  string   // a sentence that names it, and says what is wrong
	Known []string // where nothing is called like the last part of Path: what is, sorted
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
	err = s.resolved.Validate(value)
	if err == nil {
		return nil
	}
	if m := (walk{noun: noun}).check(s.root, value, ""); m != nil {
		return m
	}
	return broken(err, noun) // what walk has no words for: enums, combinations
}

// broken takes the place and the rule out of the library's error, which is "validating root: validating /properties/a: rule: …" and goes on
// with the value.
func broken(err error, noun string) *Mismatch {
	var path, rule string
	for part := range strings.SplitSeq(err.Error(), ": ") {
		place, ok := strings.CutPrefix(part, "validating ")
		if !ok {
			rule = part
			break
		}
		if place != "root" {
			path = strings.TrimPrefix(strings.ReplaceAll(place, "/properties/", "."), ".")
		}
	}
	if path == "" {
		return &Mismatch{What: fmt.Sprintf("the %ss break the rule %q of their schema", noun, rule)}
	}
	return &Mismatch{Path: path, What: fmt.Sprintf("%s %q breaks the rule %q of its schema", noun, path, rule)}
}

// Decode checks the document, and unmarshals it into target.
func (s *Schema) Decode(document []byte, noun string, target any) error {
	if err := s.Check(document, noun); err != nil {
		return err
	}
	err := json.Unmarshal(document, target)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" { // a number that is too large for its field, say
		kind, _, _ := strings.Cut(wrong.Value, " ") // of a number, the value follows
		return &Mismatch{Path: wrong.Field, What: fmt.Sprintf("%s %q is a %s that doesn't fit a Go %s", noun, wrong.Field, kind, wrong.Type)}
	}
	if err != nil { // of a type with a reading of its own, which may say what it read
		return &Mismatch{What: fmt.Sprintf("the %ss can't be read: one of them is not of the form that its type asks for", noun)}
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
