package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/postrider/postrider/sdk"
)

// template is a text with arguments in it: "orders/{id}". "{{" and "}}" stand for braces.
type template []part

// part is a literal, or else the name of an argument.
type part struct{ literal, argument string }

func parseTemplate(source string) (template, error) {
	var t template
	literal := new(strings.Builder)
	flush := func() {
		if literal.Len() > 0 {
			t = append(t, part{literal: literal.String()})
			literal.Reset()
		}
	}
	for i := 0; i < len(source); i++ {
		c := source[i]
		doubled := i+1 < len(source) && source[i+1] == c
		switch {
		case (c == '{' || c == '}') && doubled:
			literal.WriteByte(c)
			i++
		case c == '}':
			return nil, fmt.Errorf("%q has a } without a {: write }} for a brace", source)
		case c == '{':
			name, _, closed := strings.Cut(source[i+1:], "}")
			if !closed || name == "" || strings.ContainsAny(name, "{ \t\r\n") {
				return nil, fmt.Errorf("%q has a { that begins no {argument}: write {{ for a brace", source)
			}
			flush()
			t = append(t, part{argument: name})
			i += len(name) + 1
		default:
			literal.WriteByte(c)
		}
	}
	flush()
	return t, nil
}

// alone returns the argument that is all of the template.
func (t template) alone() (string, bool) {
	if len(t) != 1 || t[0].argument == "" {
		return "", false
	}
	return t[0].argument, true
}

// uses says that the template names its arguments at a place.
func (t template) uses(where string, kinds []string) (list []use) {
	for _, p := range t {
		if p.argument != "" {
			list = append(list, use{argument: p.argument, where: where, kinds: kinds})
		}
	}
	return list
}

// arguments are those of one event.
type arguments map[string]any

// fill returns the text with the arguments in place. It returns false where one of them is not there.
func (t template) fill(a arguments) (text string, there bool, err error) {
	var b strings.Builder
	for _, p := range t {
		if p.argument == "" {
			b.WriteString(p.literal)
			continue
		}
		value, ok, err := a.text(p.argument)
		if err != nil || !ok {
			return "", false, err
		}
		b.WriteString(value)
	}
	return b.String(), true, nil
}

// text returns an argument as text. It returns false for one that is not there, or null.
func (a arguments) text(name string) (string, bool, error) {
	text, err := textOf(name, a[name])
	return text, a[name] != nil, err
}

func textOf(name string, value any) (string, error) {
	switch value := value.(type) {
	case nil:
		return "", nil
	case string:
		return value, nil
	case json.Number:
		return value.String(), nil // as the event has it
	case bool:
		if value {
			return "true", nil
		}
		return "false", nil
	}
	return "", sdk.InvalidArguments("argument %q is an object or an array: it must be a text, a number or a boolean to stand in the request", name)
}
