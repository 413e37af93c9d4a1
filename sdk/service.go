package sdk

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/postrider/postrider/sdk/internal/schema"
)

// Service is a service that no Go type describes: what it is called and what it takes follow from the plugin's configuration. See
// [ConfigureServices]; where you know your services when you write the plugin, use [Method].
type Service struct {
	Class       string
	Method      string
	Description string          // for people, may be ""
	Arguments   json.RawMessage // JSON Schema of the named arguments, an object

	// Call returns the payload's JSON. Its arguments fit the schema; what else holds for the function of a [Method] holds for it.
	Call func(ctx context.Context, arguments json.RawMessage) (json.RawMessage, error)
}

// ConfigureServices is [Configure] for a resolver that offers what its configuration says. The services that f returns are offered beside those
// of [Method]. One without a name, twice the same, and a schema that is none refuse the configuration, with an error that names the service.
//
// Without a configuration f is called all the same, with a zero C: return no services then, rather than an error, if the plugin may lie unused.
func ConfigureServices[C any](f func(ctx context.Context, configuration C) ([]Service, error)) Option {
	return configure(true, f)
}

// offered is what a configured plugin offers.
type offered struct {
	byName     map[serviceName]*service
	configured []*service // those that its configuration brought
}

// offer adds the services that the configuration brought to those that are always there.
func (p *Plugin) offer(services []Service) (offered, error) {
	o := offered{byName: maps.Clone(p.byName)}
	for _, s := range services {
		added, err := s.prepare()
		if err != nil {
			return offered{}, err
		}
		if o.byName[added.serviceName] != nil {
			return offered{}, fmt.Errorf("%s is offered twice", added)
		}
		o.byName[added.serviceName] = added
		o.configured = append(o.configured, added)
	}
	return o, nil
}

func (s Service) prepare() (*service, error) {
	name := serviceName{s.Class, s.Method}
	switch {
	case s.Class == "" || s.Method == "":
		return nil, fmt.Errorf("a service has the class %q and the method %q: both must say something", s.Class, s.Method)
	case s.Call == nil:
		return nil, fmt.Errorf("the function of %s is nil", name)
	}
	arguments, err := schema.Parse(s.Arguments)
	if err != nil {
		return nil, fmt.Errorf("the schema of the arguments of %s is %w", name, err)
	}
	call := func(ctx context.Context, raw []byte) ([]byte, error) {
		if err := arguments.Check(raw, "argument"); err != nil {
			return nil, &InvalidArgumentsError{What: err.Error()}
		}
		payload, err := s.Call(ctx, raw)
		if err != nil {
			return nil, err
		}
		return encode(payload)
	}
	return &service{serviceName: name, description: s.Description, arguments: arguments, call: call}, nil
}
