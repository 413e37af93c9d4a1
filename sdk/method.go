package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/postrider/postrider/sdk/internal/schema"
)

type serviceName struct{ class, method string }

func (n serviceName) String() string { return n.class + "::" + n.method }

// service is one offered method: from the JSON of its arguments to the JSON of its result.
type service struct {
	serviceName
	description string
	arguments   *schema.Schema
	call        func(ctx context.Context, arguments []byte) ([]byte, error)
}

// MethodOption says more about a [Method].
type MethodOption interface{ applyMethod(*service) }

type description string

func (d description) applyMethod(s *service) { s.description = string(d) }

// Description documents a [Method], in a sentence that GET /v1/services and `postrider service list --json` show.
func Description(text string) MethodOption { return description(text) }

// Method offers f as the service class::method. The named arguments are the fields of A, a struct, by their JSON tags: a field is required
// unless it says omitempty or omitzero, or is a pointer; the tag `jsonschema:"…"` describes it. Arguments that are unknown, missing or of
// another type never reach f. A type that takes less than its kind, as a string of a certain form, has a method JSONSchema() json.RawMessage that
// says so.
//
// What f returns becomes JSON, and that the payload; a [json.RawMessage] is passed on as it is. The payload may have [MaxPayload] bytes.
// An error of f is tried again on the schedule, except [InvalidArguments] and [Permanent]. f is called from many goroutines at once, up to
// [MaxInFlight]; its panic is an error of that one call.
func Method[A, R any](class, method string, f func(ctx context.Context, arguments A) (R, error), options ...MethodOption) Option {
	return optionFunc(func(p *Plugin) {
		s := &service{serviceName: serviceName{class, method}}
		switch {
		case class == "" || method == "":
			p.problem("a method has the class %q and the name %q: both must say something", class, method)
			return
		case p.byName[s.serviceName] != nil:
			p.problem("%s is offered twice", s)
			return
		case f == nil:
			p.problem("the function of %s is nil", s)
			return
		}
		var err error
		if s.arguments, err = schema.For(reflect.TypeFor[A]()); err != nil {
			p.problem("the arguments of %s: %w", s, err)
			return
		}
		for _, o := range options {
			o.applyMethod(s)
		}
		s.call = func(ctx context.Context, raw []byte) ([]byte, error) {
			var arguments A
			if err := s.arguments.Decode(raw, "argument", &arguments); err != nil {
				return nil, &InvalidArgumentsError{What: err.Error()}
			}
			result, err := f(ctx, arguments)
			if err != nil {
				return nil, err
			}
			return encode(result)
		}
		p.services = append(p.services, s)
		p.byName[s.serviceName] = s
	})
}

// encode returns the payload of a result. It leaves <, > and & as they are: a payload is no HTML.
func encode(result any) ([]byte, error) {
	if raw, ok := result.(json.RawMessage); ok {
		if len(raw) == 0 {
			return []byte("null"), nil
		}
		if !json.Valid(raw) {
			return nil, Permanent(errors.New("returned a json.RawMessage that is not valid JSON"))
		}
		return raw, nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(result); err != nil {
		return nil, Permanent(fmt.Errorf("returned a result that doesn't become JSON: %w", err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
