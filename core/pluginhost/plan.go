package pluginhost

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/sdk/host"
)

// description is what a plugin says of itself, ready for use.
type description struct {
	host.Description                               // as it was before the plugin had its configuration
	services         []host.Service                // of a resolver: all, those that its configuration has brought included
	arguments        map[core.Service]*host.Schema // of the services
	settings         *host.Schema                  // of a notifier; nil: it takes none
	configuration    *host.Schema                  // nil: it takes none
}

// describe reads what a plugin says of itself.
func describe(d host.Description) (*description, error) {
	if d.Name == "" {
		return nil, errors.New("it describes itself without a name")
	}
	described := &description{Description: d, services: d.Services, arguments: make(map[core.Service]*host.Schema)}
	switch core.PluginRole(d.Role) {
	case core.RoleResolver, core.RoleNotifier:
	default:
		return nil, fmt.Errorf("it describes itself as a %q: a plugin is a resolver or a notifier", d.Role)
	}
	for _, s := range d.Services {
		service := core.Service{Class: s.Class, Method: s.Method}
		if _, twice := described.arguments[service]; twice {
			return nil, fmt.Errorf("it offers service %s twice", service)
		}
		schema, err := host.ParseSchema(s.Arguments)
		if err != nil {
			return nil, fmt.Errorf("the schema of the arguments of %s is %w", service, err)
		}
		described.arguments[service] = schema
	}
	var err error
	if described.settings, err = host.ParseSchema(d.SettingsSchema); err != nil {
		return nil, fmt.Errorf("the schema of its settings is %w", err)
	}
	if described.configuration, err = host.ParseSchema(d.ConfigSchema); err != nil {
		return nil, fmt.Errorf("the schema of its configuration is %w", err)
	}
	return described, nil
}

// with returns the description of the same plugin with the services that it offers now that it is configured.
func (d *description) with(configured host.Description) (*description, error) {
	extended, err := describe(configured)
	if err != nil {
		return nil, err
	}
	extended.Description = d.Description
	return extended, nil
}

func (d *description) same(other host.Description) bool {
	return reflect.DeepEqual(d.Description, other)
}

// offer is a plugin that has described itself, and the file it is in.
type offer struct {
	file string
	*description
}

// share is one process that the plan asks for: those who share a plugin and its configuration share it.
type share struct {
	label         string   // the notifier name whose configuration it is; "" for the plugin's own
	names         []string // the notifier names that it serves
	configuration json.RawMessage
	written       bool // whether the operator wrote that configuration
}

// plan says which processes each plugin runs in.
type plan struct {
	shares map[string][]share // by the plugin's name; the first takes the process that described itself
	absent map[string]string  // notifier names whose plugin isn't there, and that plugin
}

// makePlan lays out the processes that offers and the configuration ask for. Its errors are for the operator to mend, and are all reported
// together: nothing is guessed where two plugins claim one name or one service.
func makePlan(c Config, offers []offer) (plan, error) {
	names, problems := byName(offers)
	problems = append(problems, serviceClashes(offers)...)
	known := slices.Sorted(maps.Keys(names))

	p := plan{shares: make(map[string][]share), absent: make(map[string]string)}
	wanted := make(map[string][]string) // notifier names by plugin
	for _, name := range slices.Sorted(maps.Keys(c.Notifiers)) {
		plugin := c.Notifiers[name].Plugin
		target, ok := names[plugin]
		if own, isPlugin := names[name]; isPlugin && name != plugin && own.Role == string(core.RoleNotifier) {
			problems = append(problems, fmt.Errorf("notifiers.%s: the notifier in %s has that name itself; name this one differently", name, own.file))
			continue
		}
		switch {
		case plugin == "":
			problems = append(problems, fmt.Errorf("notifiers.%s: plugin is missing: name the notifier plugin to use", name))
		case !ok:
			p.absent[name] = plugin
		case target.Role != string(core.RoleNotifier):
			problems = append(problems, fmt.Errorf("notifiers.%s: plugin %q (%s) is a %s, not a notifier", name, plugin, target.file, target.Role))
		default:
			wanted[plugin] = append(wanted[plugin], name)
		}
	}

	for _, name := range known {
		o := names[name]
		shares, err := sharesOf(c, o, wanted[o.Name])
		if err != nil {
			problems = append(problems, err)
		}
		p.shares[o.Name] = shares
	}
	return p, errors.Join(problems...)
}

// unclaimed finds the configurations of plugins that aren't there, by the plugins' names.
func unclaimed(c Config, offers []offer) map[string]error {
	names, _ := byName(offers)
	known := slices.Sorted(maps.Keys(names))
	missing := make(map[string]error)
	written := maps.Clone(c.Plugins)
	for name := range c.Limits {
		if written == nil {
			written = make(map[string]json.RawMessage)
		}
		written[name] = nil
	}
	for name := range written {
		if _, ok := names[name]; !ok {
			missing[name] = fmt.Errorf("plugins.%s: no plugin in %s calls itself %q%s", name, c.Dir, name, suggestion(name, known))
		}
	}
	return missing
}

// sharesOf groups the names under which a plugin is used by the configuration they use it with.
func sharesOf(c Config, o offer, names []string) ([]share, error) {
	own, written := c.Plugins[o.Name]
	first, err := canonical(own)
	if err != nil {
		return nil, fmt.Errorf("plugins.%s.config: %w", o.Name, err)
	}
	var keys []string
	shares := make(map[string]*share)
	add := func(key, label, name string, configuration json.RawMessage, written bool) {
		s, ok := shares[key]
		if !ok {
			s = &share{label: label, configuration: configuration, written: written}
			shares[key] = s
			keys = append(keys, key)
		}
		s.written = s.written || written
		if name != "" {
			s.names = append(s.names, name)
		}
	}

	switch {
	case o.Role != string(core.RoleNotifier):
		add(first, "", "", json.RawMessage(first), written)
	case !slices.Contains(names, o.Name):
		add(first, "", o.Name, json.RawMessage(first), written)
	}
	for _, name := range names {
		key, err := canonical(c.Notifiers[name].Config)
		if err != nil {
			return nil, fmt.Errorf("notifiers.%s.config: %w", name, err)
		}
		if key == "" || key == first {
			add(first, "", name, json.RawMessage(first), written)
		} else {
			add(key, name, name, json.RawMessage(key), true)
		}
	}
	result := make([]share, 0, len(keys))
	for _, key := range keys {
		result = append(result, *shares[key])
	}
	return result, nil
}

// canonical returns raw in one form for all that mean the same: sorted keys, no space; "" for nothing, null and {}.
func canonical(raw json.RawMessage) (string, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return "", nil
	}
	var value map[string]any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return "", fmt.Errorf("is not a JSON object: %w", err)
	}
	if len(value) == 0 {
		return "", nil
	}
	same, err := json.Marshal(value)
	return string(same), err
}

// byName indexes offers, and finds the names that are claimed more than once.
func byName(offers []offer) (map[string]offer, []error) {
	var problems []error
	names := make(map[string]offer)
	files := make(map[string][]string)
	for _, o := range offers {
		names[o.Name] = o
		files[o.Name] = append(files[o.Name], o.file)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if len(files[name]) > 1 {
			problems = append(problems, fmt.Errorf("%d plugins call themselves %q: %s; remove all but one",
				len(files[name]), name, join(files[name])))
		}
	}
	return names, problems
}

// serviceClashes finds the services that several plugins offer. Plugins of one name are reported for that already.
func serviceClashes(offers []offer) []error {
	claims := make(map[core.Service][]offer)
	for _, o := range offers {
		for service := range o.arguments {
			claims[service] = append(claims[service], o)
		}
	}
	var problems []error
	for _, service := range slices.SortedFunc(maps.Keys(claims), compareServices) {
		var files []string
		plugins := make(map[string]bool)
		for _, o := range claims[service] {
			files = append(files, o.file)
			plugins[o.Name] = true
		}
		if len(plugins) > 1 {
			problems = append(problems, fmt.Errorf("service %s is offered by %d plugins: %s; remove all but one", service, len(files), join(files)))
		}
	}
	return problems
}

func compareServices(a, b core.Service) int { return strings.Compare(a.String(), b.String()) }

// join lists files as a sentence has them.
func join(files []string) string {
	files = slices.Sorted(slices.Values(files))
	return strings.Join(files[:len(files)-1], ", ") + " and " + files[len(files)-1]
}

// fileName is what a plugin is called that never described itself.
func fileName(file string) string { return filepath.Base(file) }
