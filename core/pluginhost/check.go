package pluginhost

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/spelling"
	"github.com/postrider/postrider/sdk/host"
)

// CheckArguments refuses arguments that the service doesn't take, with a [*core.Invalid] that names the argument. While no resolver offers the
// service, nothing is known to be wrong: nil.
func (h *Host) CheckArguments(service core.Service, arguments json.RawMessage) error {
	s, ok := h.table.Load().services[service]
	if !ok || s.schema == nil {
		return nil
	}
	return checkMembers(s.schema, arguments, member{noun: "argument", of: "service " + service.String()})
}

// CheckSubscriber refuses a subscriber that could never get a delivery, with a [*core.Invalid]: a notifier that nobody knows, settings that the
// notifier doesn't take, a URL that it may not call. A notifier that is configured and whose plugin isn't there is accepted: its deliveries wait.
func (h *Host) CheckSubscriber(s core.Subscriber) error {
	name := notifierOf(s)
	t := h.table.Load()
	notifier, known := t.notifiers[name]
	if _, absent := t.absent[name]; !known && !absent {
		return h.unknown(t, name)
	}
	if err := h.egress.CheckURL(s.URL); err != nil {
		return &core.Invalid{Field: "url", What: err.Error()}
	}
	if !known {
		return nil
	}
	return checkSettings(name, notifier.schema, s.Settings)
}

// ShownSettings returns a subscriber's settings with [core.Hidden] in place of its secrets: what the notifier's schema calls writeOnly, or, while the
// notifier isn't there to say, every text.
func (h *Host) ShownSettings(s core.Subscriber) json.RawMessage {
	if len(s.Settings) == 0 {
		return nil
	}
	return h.table.Load().notifiers[notifierOf(s)].schema.Hide(s.Settings, hidden)
}

func checkSettings(name string, schema *host.Schema, settings json.RawMessage) error {
	if len(settings) == 0 || string(settings) == "null" {
		settings = json.RawMessage("{}") // which a schema may still refuse: a setting may be required
	}
	if schema != nil {
		return checkMembers(schema, settings, member{noun: "setting", of: "notifier " + name})
	}
	if something, err := canonical(settings); err != nil || something != "" {
		return core.Invalidf("settings", "notifier %s takes no settings", name)
	}
	return nil
}

// checkConfiguration refuses a configuration that the plugin says it doesn't take, with a [*host.ConfigurationError] that names the key, before the
// plugin sees it: what it says by itself may be less clear.
func (d *description) checkConfiguration(configuration json.RawMessage) error {
	if len(configuration) == 0 {
		configuration = json.RawMessage("{}")
	}
	if d.configuration == nil {
		if something, err := canonical(configuration); err != nil || something != "" {
			return &host.ConfigurationError{Plugin: d.Name, What: "it takes no configuration: remove it"}
		}
		return nil
	}
	err := d.configuration.Check(configuration, "key")
	mismatch, ok := errors.AsType[*host.SchemaMismatch](err)
	if !ok {
		return err
	}
	meant := spelling.DidYouMean(mismatch.Path[strings.LastIndexByte(mismatch.Path, '.')+1:], mismatch.Known)
	return &host.ConfigurationError{Plugin: d.Name, Key: mismatch.Path, What: mismatch.What + meant}
}

// member is what one member of a checked object is called, and whose it is.
type member struct{ noun, of string }

// checkMembers refuses what the schema doesn't allow with a [*core.Invalid] about "arguments" or "settings" that names the member. It never shows
// values: settings may hold secrets.
func checkMembers(schema *host.Schema, object json.RawMessage, m member) error {
	field := m.noun + "s"
	if !bytes.HasPrefix(bytes.TrimSpace(object), []byte("{")) {
		return core.Invalidf(field, "%s: the %s must be a JSON object of names and values", m.of, field)
	}
	err := schema.Check(object, m.noun)
	if err == nil {
		return nil
	}
	meant := ""
	if mismatch, ok := errors.AsType[*host.SchemaMismatch](err); ok {
		meant = spelling.DidYouMean(mismatch.Path[strings.LastIndexByte(mismatch.Path, '.')+1:], mismatch.Known)
	}
	return core.Invalidf(field, "%s: %s%s", m.of, err, meant)
}
