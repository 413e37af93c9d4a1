package definition

import (
	"errors"

	"github.com/postrider/postrider/core/strictyaml"
)

// parseYAML returns what a YAML file defines, in its order, and beside it all that is wrong with the file.
func parseYAML(path string, content []byte) ([]written, error) {
	document, err := strictyaml.Parse(path, content)
	if err != nil {
		return nil, err
	}
	top, err := document.Keys("a definition file", "webhooks")
	if err != nil {
		return nil, err
	}
	fields, err := top["webhooks"].Fields()
	errs := []error{err}
	var all []written
	for _, field := range fields {
		w, err := parseYAMLWebhook(field)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, w)
	}
	return all, errors.Join(errs...)
}

func parseYAMLWebhook(field strictyaml.Field) (written, error) {
	keys, err := field.Value.Keys("webhook "+field.Key, "service", "payload")
	if err != nil {
		return written{}, err
	}
	w := written{name: field.Key, place: field.At.Place(), service: !keys["service"].IsNull()}
	service, err := keys["service"].Keys("a service", "class", "method")
	errs := []error{err}
	for _, one := range []struct {
		from strictyaml.Value
		to   *string
	}{{service["class"], &w.class}, {service["method"], &w.method}, {keys["payload"], &w.payload}} {
		if one.from.IsNull() {
			continue
		}
		text, err := one.from.Text()
		errs = append(errs, err)
		*one.to = text
	}
	return w, errors.Join(errs...)
}
