package sdk

import (
	"bytes"
	"context"
	"errors"
	"reflect"

	"github.com/postrider/postrider/sdk/internal/schema"
)

// configuration is what a plugin does with its configuration.
type configuration struct {
	schema   *schema.Schema
	services bool // whether services follow from it
	accept   func(ctx context.Context, raw []byte) ([]Service, error)
}

// Configure takes the plugin's configuration, which operators write under plugins.<name>.config, or notifiers.<name>.config. Its keys are
// the fields of C, a struct, with the rules of [Method]: a key that is unknown, missing or of another type is refused, with an error
// that names it, before f sees it. f is called once, before any work; its error refuses the configuration. Its context may be used for
// [HTTPClient] and [Logger], and ends when f returns.
//
// A plugin without Configure refuses a configuration that isn't empty.
func Configure[C any](f func(ctx context.Context, configuration C) error) Option {
	return configure(false, func(ctx context.Context, c C) ([]Service, error) { return nil, f(ctx, c) })
}

func configure[C any](services bool, f func(context.Context, C) ([]Service, error)) Option {
	return optionFunc(func(p *Plugin) {
		if p.configuration != nil {
			p.problem("there is more than one of sdk.Configure and sdk.ConfigureServices")
			return
		}
		derived, err := schema.For(reflect.TypeFor[C]())
		if err != nil {
			p.problem("the configuration: %w", err)
			return
		}
		p.configuration = &configuration{schema: derived, services: services, accept: func(ctx context.Context, raw []byte) ([]Service, error) {
			var c C
			if err := derived.Decode(raw, "key", &c); err != nil {
				return nil, err
			}
			return f(ctx, c)
		}}
	})
}

// Settings says that the notifier takes settings per subscriber, which subscribers are created with. Their keys are the fields of S, a
// struct, with the rules of [Method]; they reach the notifier, checked, as [Delivery.Settings]. A notifier without Settings refuses them. What the schema calls
// writeOnly, as that of a type with a method JSONSchema may, is never shown by the daemon's API.
func Settings[S any]() Option {
	return optionFunc(func(p *Plugin) {
		derived, err := schema.For(reflect.TypeFor[S]())
		if err != nil {
			p.problem("the settings: %w", err)
			return
		}
		p.settings = derived
	})
}

// configure gives the plugin its configuration, and returns all services that it offers with it. An error that is a [*schema.Mismatch] names a
// key.
func (p *Plugin) configure(ctx context.Context, raw []byte) (offered, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		raw = []byte("{}")
	}
	if p.configuration == nil {
		if err := nothing.Check(raw, "key"); err != nil {
			var m *schema.Mismatch
			if errors.As(err, &m) && m.Path != "" {
				m.What = "key \"" + m.Path + "\" is configured, but this plugin takes no configuration"
			}
			return offered{}, err
		}
		return p.offer(nil)
	}
	services, err := p.configuration.accept(ctx, raw)
	if err != nil {
		return offered{}, err
	}
	return p.offer(services)
}

// nothing is the schema of an empty object.
var nothing = func() *schema.Schema {
	s, err := schema.For(reflect.TypeFor[struct{}]())
	if err != nil {
		panic(err) // an empty struct always has a schema
	}
	return s
}()
