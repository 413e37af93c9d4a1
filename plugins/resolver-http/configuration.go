package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/postrider/postrider/sdk"
)

// configuration is the `config` of the plugin. Without any, it offers nothing.
type configuration struct {
	APIs     map[string]apiConfig `json:"apis,omitempty" jsonschema:"the Web APIs, by names of your own"`
	Services []serviceConfig      `json:"services,omitempty" jsonschema:"the services to offer"`
}

type apiConfig struct {
	URL            string            `json:"url" jsonschema:"what the paths of requests are below, as https://shop.example.com/rest/V1"`
	Auth           authConfig        `json:"auth,omitzero" jsonschema:"how requests say who sends them: one of bearer, basic and oauth2; left out: they don't"`
	Headers        map[string]string `json:"headers,omitempty" jsonschema:"header fields of all requests"`
	Timeout        string            `json:"timeout,omitempty" jsonschema:"how long an answer may take in all, from 100ms to 30s; left out: 10s"`
	Permanent      []int             `json:"permanent,omitempty" jsonschema:"statuses after which trying again changes nothing; left out: 400, 405, 406, 410, 413, 414, 415, 422, 431 and 501"`
	EncodedSlashes bool              `json:"encoded_slashes,omitempty" jsonschema:"whether values may have slashes in a path, sent as %2F; left out: no, as many servers take that for a slash"`
}

type serviceConfig struct {
	Class       string              `json:"class" jsonschema:"the service's class, as webhooks name it"`
	Method      string              `json:"method" jsonschema:"the service's method, as webhooks name it"`
	Description string              `json:"description,omitempty" jsonschema:"a sentence for people"`
	API         string              `json:"api,omitempty" jsonschema:"which of the apis; may be left out if there is one only"`
	Request     requestConfig       `json:"request" jsonschema:"the request that answers"`
	Arguments   map[string]argument `json:"arguments,omitempty" jsonschema:"the arguments, each with its type or JSON Schema; left out: those named in the request, each a text, a number or a boolean"`
	Optional    []string            `json:"optional,omitempty" jsonschema:"arguments that an event may leave out; what names them in the request is left out too"`
	Result      string              `json:"result,omitempty" jsonschema:"where in the answer the payload is, as $.items[0]; left out: the whole answer"`
}

type requestConfig struct {
	Method  string            `json:"method,omitempty" jsonschema:"GET, POST, PUT or PATCH; left out: GET, or POST with a body"`
	Path    string            `json:"path" jsonschema:"below the API's url, as orders/{id}"`
	Query   map[string]scalar `json:"query,omitempty" jsonschema:"the query, by names"`
	Headers map[string]string `json:"headers,omitempty" jsonschema:"header fields"`
	Body    json.RawMessage   `json:"body,omitempty" jsonschema:"what is sent as JSON; a string that is one {argument} alone becomes the argument's value"`
}

// scalar is a text, or a number or a boolean that becomes one.
type scalar string

// JSONSchema says so.
func (scalar) JSONSchema() json.RawMessage {
	return json.RawMessage(`{"type":["string","number","boolean"]}`)
}

// UnmarshalJSON reads one.
func (s *scalar) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		*s = scalar(text)
		return nil
	}
	*s = scalar(raw)
	return nil
}

// services makes what is offered of the configuration. An error names the key that is wrong.
func services(ctx context.Context, c configuration) ([]sdk.Service, error) {
	apis := make(map[string]*api)
	for _, name := range slices.Sorted(maps.Keys(c.APIs)) {
		a, err := newAPI(ctx, c.APIs[name])
		if err != nil {
			return nil, fmt.Errorf("apis.%s.%w", name, err)
		}
		apis[name] = a
	}
	var offered []sdk.Service
	for i, s := range c.Services {
		service, err := s.offer(apis)
		if err != nil {
			return nil, fmt.Errorf("services[%d] (%s::%s): %w", i, s.Class, s.Method, err)
		}
		offered = append(offered, service)
	}
	return offered, nil
}

func (s serviceConfig) offer(apis map[string]*api) (sdk.Service, error) {
	a, err := s.apiOf(apis)
	if err != nil {
		return sdk.Service{}, err
	}
	r, err := newRequest(s.Request)
	if err != nil {
		return sdk.Service{}, fmt.Errorf("request.%w", err)
	}
	arguments, err := s.schema(r)
	if err != nil {
		return sdk.Service{}, err
	}
	result, err := parsePath(s.Result)
	if err != nil {
		return sdk.Service{}, fmt.Errorf("result: %w", err)
	}
	return sdk.Service{
		Class: s.Class, Method: s.Method, Description: s.Description, Arguments: arguments,
		Call: func(ctx context.Context, raw json.RawMessage) (json.RawMessage, error) {
			request, err := r.build(raw, a)
			if err != nil {
				return nil, err
			}
			answer, err := a.send(ctx, request)
			if err != nil {
				return nil, err
			}
			return result.of(answer)
		},
	}, nil
}

func (s serviceConfig) apiOf(apis map[string]*api) (*api, error) {
	names := slices.Sorted(maps.Keys(apis))
	switch {
	case len(names) == 0:
		return nil, fmt.Errorf("there are no apis: configure one")
	case s.API == "" && len(names) == 1:
		return apis[names[0]], nil
	case s.API == "":
		return nil, fmt.Errorf("api is missing: there are %s", strings.Join(names, ", "))
	case apis[s.API] == nil:
		return nil, fmt.Errorf("api: there is no %q in apis: there are %s", s.API, strings.Join(names, ", "))
	}
	return apis[s.API], nil
}
