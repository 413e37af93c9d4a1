package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// result is where in an answer the payload is: a query of RFC 9535 (JSONPath) that selects one value, as "$.items[0]['sku']".
type result struct {
	source string
	steps  []step
}

// step leads into an object by the name of a member, or into an array by an index; a negative one counts from its end.
type step struct {
	member  string
	index   int
	isIndex bool
}

var (
	shorthand = regexp.MustCompile(`^\.([A-Za-z_\x80-\x{10FFFF}][0-9A-Za-z_\x80-\x{10FFFF}]*)`)
	bracket   = regexp.MustCompile(`^\[\s*(?:(0|-?[1-9][0-9]{0,8})|'([^'\\]*)'|"([^"\\]*)")\s*\]`)
)

// parsePath reads a query; "" selects the whole answer.
func parsePath(source string) (result, error) {
	r := result{source: source}
	if source == "" {
		return r, nil
	}
	rest, ok := strings.CutPrefix(source, "$")
	if !ok {
		return r, fmt.Errorf("%q doesn't begin with $, which is the answer: write it as $.items[0]", source)
	}
	for rest != "" {
		if m := shorthand.FindStringSubmatch(rest); m != nil {
			r.steps = append(r.steps, step{member: m[1]})
			rest = rest[len(m[0]):]
			continue
		}
		m := bracket.FindStringSubmatch(rest)
		if m == nil {
			return r, fmt.Errorf("%q can't be read from %q on: it consists of .member, ['member'] and [index], and selects one value", source, rest)
		}
		s := step{member: m[2] + m[3]}
		if m[1] != "" {
			s.index, _ = strconv.Atoi(m[1]) // it is digits, few enough
			s.isIndex = true
		}
		r.steps = append(r.steps, s)
		rest = rest[len(m[0]):]
	}
	return r, nil
}

// of returns the part of an answer, byte for byte. What isn't there may be there later: an API that is searched answers with an empty list.
func (r result) of(answer json.RawMessage) (json.RawMessage, error) {
	at := answer
	for _, s := range r.steps {
		next, ok := s.in(at)
		if !ok {
			return nil, fmt.Errorf("the API's answer has no %s", r.source)
		}
		at = next
	}
	return at, nil
}

func (s step) in(value json.RawMessage) (json.RawMessage, bool) {
	if !s.isIndex {
		var object map[string]json.RawMessage
		if json.Unmarshal(value, &object) != nil {
			return nil, false
		}
		member, ok := object[s.member]
		return member, ok
	}
	var list []json.RawMessage
	if json.Unmarshal(value, &list) != nil {
		return nil, false
	}
	i := s.index
	if i < 0 {
		i += len(list)
	}
	if i < 0 || i >= len(list) {
		return nil, false
	}
	return list[i], true
}
