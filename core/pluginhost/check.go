package pluginhost

import (
	"encoding/json"
	"fmt"

	"github.com/postrider/postrider/core"
)

// CheckArguments refuses arguments that the service doesn't take, with a [*core.Invalid] that names the argument. While no resolver offers the
// service, nothing is known to be wrong: nil.
func (h *Host) CheckArguments(service core.Service, arguments json.RawMessage) error {
	s, ok := h.table.Load().services[service]
	if !ok || s.schema == nil {
		return nil
	}
	return s.schema.check(arguments, "arguments", fmt.Sprintf("arguments of service %s", service))
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

func checkSettings(name string, schema *schema, settings json.RawMessage) error {
	if len(settings) == 0 || string(settings) == "null" {
		settings = json.RawMessage("{}") // which a schema may still refuse: a setting may be required
	}
	if schema != nil {
		return schema.check(settings, "settings", fmt.Sprintf("settings for notifier %s", name))
	}
	if something, err := canonical(settings); err != nil || something != "" {
		return core.Invalidf("settings", "notifier %s takes no settings", name)
	}
	return nil
}
