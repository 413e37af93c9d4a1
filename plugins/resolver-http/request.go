package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/postrider/postrider/sdk"
)

// request makes requests of arguments. It is complete once it is made, and never changed.
type request struct {
	method  string
	path    []template // segments
	query   []field
	headers []field
	body    any // as JSON has it, with templates in place of strings; nil: none
}

// field is one of a query, or of a header.
type field struct {
	name  string
	value template
}

var methods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch}

// newRequest reads the templates. An error begins with the key that is wrong, as "path: …".
func newRequest(c requestConfig) (*request, error) {
	r := &request{method: c.Method}
	hasBody := len(c.Body) > 0 && string(c.Body) != "null"
	switch {
	case r.method == "" && hasBody:
		r.method = http.MethodPost
	case r.method == "":
		r.method = http.MethodGet
	case !slices.Contains(methods, r.method):
		return nil, fmt.Errorf("method: %q is none of %s", r.method, strings.Join(methods, ", "))
	case r.method == http.MethodGet && hasBody:
		return nil, errors.New("body: a GET has none: leave it out, or choose another method")
	}
	var err error
	if r.path, err = segments(c.Path); err != nil {
		return nil, fmt.Errorf("path: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Query)) {
		value, err := parseTemplate(string(c.Query[name]))
		if err != nil {
			return nil, fmt.Errorf("query.%s: %w", name, err)
		}
		r.query = append(r.query, field{name, value})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		if err := checkHeader(name); err != nil {
			return nil, fmt.Errorf("headers.%s: %w", name, err)
		}
		value, err := parseTemplate(c.Headers[name])
		if err != nil {
			return nil, fmt.Errorf("headers.%s: %w", name, err)
		}
		r.headers = append(r.headers, field{name, value})
	}
	if hasBody {
		var document any
		if err := json.Unmarshal(c.Body, &document); err != nil {
			return nil, errors.New("body: it is not JSON")
		}
		if r.body, err = bodyTemplate(document); err != nil {
			return nil, fmt.Errorf("body: %w", err)
		}
	}
	return r, nil
}

// segments reads a path. Its slashes are here: none of an argument's ever becomes one.
func segments(source string) ([]template, error) {
	whole, err := parseTemplate(strings.TrimPrefix(source, "/"))
	if err != nil {
		return nil, err
	}
	list := []template{nil}
	for _, p := range whole {
		if strings.ContainsAny(p.literal, "?#%\\") {
			return nil, fmt.Errorf("%q has one of ? # %% \\: write the query under query, and everything else unescaped", source)
		}
		if p.argument != "" {
			list[len(list)-1] = append(list[len(list)-1], p)
			continue
		}
		for i, literal := range strings.Split(p.literal, "/") {
			if i > 0 {
				list = append(list, nil)
			}
			if literal != "" {
				list[len(list)-1] = append(list[len(list)-1], part{literal: literal})
			}
		}
	}
	for i, segment := range list {
		if len(segment) == 0 && i < len(list)-1 || len(segment) == 1 && (segment[0].literal == "." || segment[0].literal == "..") {
			return nil, fmt.Errorf("%q has a part that is empty, \".\" or \"..\"", source)
		}
	}
	return list, nil
}

// ours are header fields that are not for the configuration to set.
var ours = []string{"Accept-Encoding", "Connection", "Content-Length", "Content-Type", "Host", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "Te",
	"Trailer", "Transfer-Encoding", "Upgrade"}

func checkHeader(name string) error {
	canonical := http.CanonicalHeaderKey(name)
	switch {
	case !httpguts.ValidHeaderFieldName(name):
		return errors.New("that is not the name of a header field")
	case canonical == "Authorization":
		return errors.New("say it with auth of the API")
	case slices.Contains(ours, canonical):
		return errors.New("the request sets it by itself: leave it out")
	}
	return nil
}

// bodyTemplate replaces the strings of a document that name arguments.
func bodyTemplate(document any) (any, error) {
	switch document := document.(type) {
	case string:
		return parseTemplate(document)
	case []any:
		list := make([]any, len(document))
		for i, item := range document {
			var err error
			if list[i], err = bodyTemplate(item); err != nil {
				return nil, err
			}
		}
		return list, nil
	case map[string]any:
		object := make(map[string]any, len(document))
		for name, item := range document {
			var err error
			if object[name], err = bodyTemplate(item); err != nil {
				return nil, err
			}
		}
		return object, nil
	}
	return document, nil
}

// uses lists where the request names arguments.
func (r *request) uses() (list []use) {
	for _, segment := range r.path {
		for _, u := range segment.uses("request.path", simple) {
			u.required = true
			list = append(list, u)
		}
	}
	for _, f := range r.query {
		kinds := simple
		if _, alone := f.value.alone(); alone {
			kinds = append([]string{"array"}, simple...)
		}
		list = append(list, f.value.uses("request.query."+f.name, kinds)...)
	}
	for _, f := range r.headers {
		list = append(list, f.value.uses("request.headers."+f.name, simple)...)
	}
	return append(list, usesOf(r.body)...)
}

func usesOf(body any) (list []use) {
	switch body := body.(type) {
	case template:
		if _, alone := body.alone(); alone {
			return body.uses("request.body", nil)
		}
		return body.uses("request.body", simple)
	case []any:
		for _, item := range body {
			list = append(list, usesOf(item)...)
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(body)) {
			list = append(list, usesOf(body[name])...)
		}
	}
	return list
}

// outgoing is one request, ready to be sent, more than once if need be.
type outgoing struct {
	method string
	url    *url.URL
	header http.Header
	body   []byte // nil: none
}

// build makes the request for an event's arguments. Its error is an [sdk.InvalidArgumentsError] that names the argument at fault.
func (r *request) build(raw json.RawMessage, a *api) (outgoing, error) {
	var values arguments
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&values); err != nil {
		return outgoing{}, sdk.InvalidArguments("the arguments are not a JSON object")
	}
	path, err := r.buildPath(values, a.encodedSlashes)
	if err != nil {
		return outgoing{}, err
	}
	query, err := r.buildQuery(values)
	if err != nil {
		return outgoing{}, err
	}
	o := outgoing{method: r.method, url: a.below(path, query), header: a.headers.Clone()}
	if err := r.buildHeader(values, o.header); err != nil {
		return outgoing{}, err
	}
	if r.body == nil {
		return o, nil
	}
	document, there, err := buildBody(r.body, values)
	if err != nil {
		return outgoing{}, err
	}
	if !there {
		document = nil
	}
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(document); err != nil {
		return outgoing{}, sdk.InvalidArguments("the arguments don't become JSON: %v", err)
	}
	o.body = bytes.TrimSuffix(body.Bytes(), []byte("\n"))
	o.header.Set("Content-Type", "application/json")
	return o, nil
}

// buildPath returns the escaped path.
func (r *request) buildPath(values arguments, slashes bool) (string, error) {
	escaped := make([]string, len(r.path))
	for i, segment := range r.path {
		for _, p := range segment {
			if p.argument == "" {
				continue
			}
			value, there, err := values.text(p.argument)
			if err != nil {
				return "", err
			}
			why := unfit(value, slashes)
			if !there {
				why = "is null"
			}
			if why != "" {
				return "", sdk.InvalidArguments("argument %q %s, and can't stand in the path of a request", p.argument, why)
			}
		}
		text, _, err := segment.fill(values)
		if err != nil {
			return "", err
		}
		if isDots(text) {
			return "", sdk.InvalidArguments("the arguments make a part of the path that is \".\" or \"..\"")
		}
		escaped[i] = url.PathEscape(text)
	}
	return strings.Join(escaped, "/"), nil
}

// unfit says why a value must not stand in a path, or "". Escaped as it will be, it is one part of the path; but servers and proxies decode paths, some
// of them twice, before they look for slashes and dots. So that is done here too.
func unfit(value string, slashes bool) string {
	if value == "" {
		return "is empty"
	}
	for range 8 {
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return "has a control character"
		}
		parts := strings.FieldsFunc(value, func(r rune) bool { return r == '/' || r == '\\' })
		if slices.ContainsFunc(parts, isDots) {
			return "has a \".\" or \"..\" where a part of a path would be"
		}
		if !slashes && strings.ContainsAny(value, `/\`) {
			return "has a slash (set encoded_slashes for APIs that take it as %2F)"
		}
		decoded, err := url.PathUnescape(value)
		if err != nil || decoded == value {
			return ""
		}
		value = decoded
	}
	return "is escaped too often"
}

// isDots reports whether a part of a path means another one: "." and "..", with the parameters that some servers cut off.
func isDots(part string) bool {
	part, _, _ = strings.Cut(part, ";")
	return part == "." || part == ".."
}

func (r *request) buildQuery(values arguments) (string, error) {
	query := make(url.Values)
	for _, f := range r.query {
		if name, alone := f.value.alone(); alone {
			if list, ok := values[name].([]any); ok {
				for _, item := range list {
					text, err := textOf(name, item)
					if err != nil {
						return "", err
					}
					query.Add(f.name, text)
				}
				continue
			}
		}
		text, there, err := f.value.fill(values)
		if err != nil {
			return "", err
		}
		if there {
			query.Set(f.name, text)
		}
	}
	return query.Encode(), nil
}

func (r *request) buildHeader(values arguments, header http.Header) error {
	for _, f := range r.headers {
		text, there, err := f.value.fill(values)
		if err != nil {
			return err
		}
		if !there {
			continue
		}
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) || strings.TrimSpace(text) != text {
			return sdk.InvalidArguments("the arguments of the header field %s have characters that can't stand there: line ends, control characters, "+
				"spaces at an end, or what is not ASCII", f.name)
		}
		header.Set(f.name, text)
	}
	return nil
}

// buildBody fills in a document. It returns false for what names an argument that is not there.
func buildBody(document any, values arguments) (any, bool, error) {
	switch document := document.(type) {
	case template:
		if name, alone := document.alone(); alone {
			value, there := values[name]
			return value, there, nil
		}
		return orNothing(document.fill(values))
	case []any:
		list := make([]any, 0, len(document))
		for _, item := range document {
			filled, there, err := buildBody(item, values)
			if err != nil {
				return nil, false, err
			}
			if there {
				list = append(list, filled)
			}
		}
		return list, true, nil
	case map[string]any:
		object := make(map[string]any, len(document))
		for name, item := range document {
			filled, there, err := buildBody(item, values)
			if err != nil {
				return nil, false, err
			}
			if there {
				object[name] = filled
			}
		}
		return object, true, nil
	}
	return document, true, nil
}

func orNothing(text string, there bool, err error) (any, bool, error) { return text, there, err }
