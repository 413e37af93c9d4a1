package sdk

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/postrider/postrider/sdk/internal/schema"
	"github.com/postrider/postrider/sdk/internal/wire"
)

// DefaultMaxInFlight is how many calls run at once in a plugin that doesn't say otherwise.
const DefaultMaxInFlight = 256

// Plugin is a plugin that is ready to be served. Most authors never see one: [ServeResolver] and [ServeNotifier] make it and serve it.
// Package sdktest tests one.
type Plugin struct {
	name, version string
	resolver      bool
	notifier      Notifier // nil in a resolver
	services      []*service
	byName        map[serviceName]*service
	configuration *configuration // nil: it takes none
	settings      *schema.Schema // nil: it takes none
	health        func(context.Context) error
	maxInFlight   int
	problems      []error // what the options found wrong
}

// Option says more about a plugin: [Method], [Configure], [ConfigureServices], [Settings], [Health], [MaxInFlight].
type Option interface{ apply(*Plugin) }

type optionFunc func(*Plugin)

func (f optionFunc) apply(p *Plugin) { f(p) }

// NewResolver makes the plugin that [ServeResolver] serves. Its error says everything that is wrong with the options.
func NewResolver(name, version string, options ...Option) (*Plugin, error) {
	p := newPlugin(name, version, options)
	p.resolver = true
	if len(p.services) == 0 && !p.configuresServices() {
		p.problem("a resolver offers services, but this one has none: add sdk.Method, or sdk.ConfigureServices")
	}
	if p.settings != nil {
		p.problem("sdk.Settings is for notifiers: a resolver has no subscribers")
	}
	return p, p.problemsFound()
}

// NewNotifier makes the plugin that [ServeNotifier] serves. Its error says everything that is wrong with the options.
func NewNotifier(name, version string, n Notifier, options ...Option) (*Plugin, error) {
	p := newPlugin(name, version, options)
	p.notifier = n
	if n == nil {
		p.problem("the notifier is nil")
	}
	if len(p.services) > 0 || p.configuresServices() {
		p.problem("sdk.Method and sdk.ConfigureServices are for resolvers: a notifier offers no services")
	}
	return p, p.problemsFound()
}

func newPlugin(name, version string, options []Option) *Plugin {
	p := &Plugin{name: name, version: version, byName: make(map[serviceName]*service), maxInFlight: DefaultMaxInFlight}
	if !wire.IsName(name) {
		p.problem("the name %q must consist of letters, digits, \"-\" and \"_\", and start with a letter or a digit", name)
	}
	if strings.TrimSpace(version) == "" {
		p.problem("it has no version")
	}
	for _, o := range options {
		o.apply(p)
	}
	return p
}

// configuresServices reports whether there may be services that only the configuration brings.
func (p *Plugin) configuresServices() bool { return p.configuration != nil && p.configuration.services }

func (p *Plugin) problem(format string, args ...any) {
	p.problems = append(p.problems, fmt.Errorf(format, args...))
}

func (p *Plugin) problemsFound() error {
	if len(p.problems) == 0 {
		return nil
	}
	return fmt.Errorf("plugin %s: %w", p.name, errors.Join(p.problems...))
}

func (p *Plugin) role() string {
	if p.resolver {
		return "resolver"
	}
	return "notifier"
}

// MaxInFlight bounds how many calls run at once, from 1 to 65,536. The daemon keeps what is more waiting. Left out, it is
// [DefaultMaxInFlight].
func MaxInFlight(n int) Option {
	return optionFunc(func(p *Plugin) {
		if n < 1 || n > wire.MaxInFlight {
			p.problem("MaxInFlight(%d): it must be 1 to %d", n, wire.MaxInFlight)
			return
		}
		p.maxInFlight = n
	})
}
