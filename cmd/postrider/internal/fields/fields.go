// Package fields lists the members that a JSON Schema takes, one below the other, for people who fill in a configuration.
package fields

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// Field is one member of an object, or of an object inside of it.
type Field struct {
	Path        string // as "success.retry", "headers.*" for members of any name, "steps[].url" for those of each item
	Type        string // as "integer" or "array of string"
	Required    bool   // wherever the object that it belongs to is given
	Default     string // JSON; "" where there is none
	Description string
}

// deepest is how far into a schema List looks: schemas may contain themselves.
const deepest = 6

// List returns the fields of an object's schema: the required ones first, then by name, those of an inner object after it. An empty schema has none.
func List(raw json.RawMessage) ([]Field, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	root := new(jsonschema.Schema)
	if err := json.Unmarshal(raw, root); err != nil {
		return nil, fmt.Errorf("not a JSON Schema: %w", err)
	}
	l := &lister{root: root}
	l.object(root, "", 0)
	return l.fields, nil
}

type lister struct {
	root   *jsonschema.Schema
	fields []Field
}

func (l *lister) object(s *jsonschema.Schema, prefix string, depth int) {
	if depth == deepest {
		return
	}
	for _, name := range l.names(s) {
		property := l.resolve(s.Properties[name])
		l.add(property, prefix+name, slices.Contains(s.Required, name), depth)
	}
	if extra := l.resolve(s.AdditionalProperties); extra != nil && extra.Not == nil && describes(extra) && depth < deepest-1 {
		l.add(extra, prefix+"*", false, depth)
	}
}

// describes reports whether a schema says anything.
func describes(s *jsonschema.Schema) bool {
	raw, err := json.Marshal(s)
	return err == nil && string(raw) != "{}" && string(raw) != "true"
}

// names lists the members, those that are required first.
func (l *lister) names(s *jsonschema.Schema) []string {
	names := slices.Sorted(maps.Keys(s.Properties))
	slices.SortStableFunc(names, func(a, b string) int {
		return rank(slices.Contains(s.Required, a)) - rank(slices.Contains(s.Required, b))
	})
	return names
}

func rank(required bool) int {
	if required {
		return 0
	}
	return 1
}

func (l *lister) add(s *jsonschema.Schema, path string, required bool, depth int) {
	l.fields = append(l.fields, Field{Path: path, Type: l.kind(s, 0), Required: required, Default: string(s.Default), Description: describe(s)})
	l.object(s, path+".", depth+1)
	for items := l.resolve(s.Items); items != nil; items = l.resolve(items.Items) {
		path += "[]"
		l.object(items, path+".", depth+1)
		if depth++; depth >= deepest {
			return
		}
	}
}

func describe(s *jsonschema.Schema) string {
	if s.Description != "" {
		return s.Description
	}
	return s.Title
}

// resolve follows a reference inside of the document.
func (l *lister) resolve(s *jsonschema.Schema) *jsonschema.Schema {
	for range deepest {
		if s == nil || s.Ref == "" {
			return s
		}
		name, ok := strings.CutPrefix(s.Ref, "#/$defs/")
		target := l.root.Defs[name]
		if !ok || target == nil {
			return s
		}
		s = target
	}
	return s
}

// kind says in words what a schema takes.
func (l *lister) kind(s *jsonschema.Schema, depth int) string {
	if s = l.resolve(s); s == nil || depth == deepest {
		return "anything"
	}
	switch {
	case s.Const != nil:
		return text(*s.Const)
	case len(s.Enum) > 0:
		return alternatives(s.Enum, text)
	case len(s.OneOf) > 0:
		return alternatives(s.OneOf, func(o *jsonschema.Schema) string { return l.kind(o, depth+1) })
	case len(s.AnyOf) > 0:
		return alternatives(s.AnyOf, func(o *jsonschema.Schema) string { return l.kind(o, depth+1) })
	}
	types := slices.DeleteFunc(slices.Clone(s.Types), func(t string) bool { return t == "null" })
	if s.Type != "" {
		types = []string{s.Type}
	}
	switch {
	case len(types) == 0 && len(s.Properties) > 0:
		return "object"
	case len(types) == 0:
		return "anything"
	case len(types) == 1 && types[0] == "array" && s.Items != nil:
		return "array of " + l.kind(s.Items, depth+1)
	case len(types) == 1 && types[0] == "string" && s.Format != "":
		return "string (" + s.Format + ")"
	}
	return strings.Join(types, " or ")
}

func text(value any) string {
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(raw)
}

// alternatives joins different words by "or".
func alternatives[T any](list []T, word func(T) string) string {
	var words []string
	for _, item := range list {
		if w := word(item); !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	return strings.Join(words, " or ")
}
