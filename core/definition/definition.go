// Package definition reads the files that define webhooks: which events there are, and which service makes the payload of each.
//
// The YAML form:
//
//	webhooks:
//	  sales.order.created:
//	    service: {class: 'Magento\Sales\Api\OrderRepositoryInterface', method: get}
//	    payload: frozen # or fresh: a retry resolves the payload again
//	  stock.item.changed: {} # no service: the published arguments are the payload
//
// The XML form is the webhooks.xml of the Magento module, as it stands; payload is an attribute that Postrider adds:
//
//	<config>
//	    <webhook hook_name="sales.order.created" payload="frozen">
//	        <service class="Magento\Sales\Api\OrderRepositoryInterface" method="get"/>
//	    </webhook>
//	</config>
//
// Both readers only find what is written, and where. What makes a definition valid is in this file.
package definition

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/spelling"
)

// written is a definition as it stands in a file.
type written struct {
	name    string
	place   string // file and line
	service bool   // whether there is a service, however incomplete
	class   string
	method  string
	payload string // "" where nothing is said
}

// Load reads definition files, by their ending: .yaml, .yml or .xml. An empty file defines nothing; one that is missing is an error.
//
// The map is by name, and what could be read is in it even if err is not nil. err joins all that is wrong in all files, each with file and line.
func Load(paths ...string) (map[string]core.Webhook, error) {
	webhooks := map[string]core.Webhook{}
	var errs []error
	for _, path := range paths {
		found, err := read(path)
		errs = append(errs, err)
		for _, w := range found {
			webhook, err := w.check()
			if first, ok := webhooks[w.name]; ok {
				err = fmt.Errorf("%s: webhook %q is defined already at %s: remove one", w.place, w.name, first.Source)
			}
			if err != nil {
				errs = append(errs, err)
				continue
			}
			webhooks[w.name] = webhook
		}
	}
	return webhooks, errors.Join(errs...)
}

func read(path string) ([]written, error) {
	var parse func(path string, content []byte) ([]written, error)
	switch strings.ToLower(filepath.Ext(path)) {
	case ".yaml", ".yml":
		parse = parseYAML
	case ".xml":
		parse = parseXML
	default:
		return nil, fmt.Errorf("%s: webhooks are defined in files that end in .yaml, .yml or .xml: rename it", path)
	}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: there is no such file: create it, or correct its name under `webhooks` in the configuration", path)
	}
	if err != nil {
		return nil, fmt.Errorf("read webhook definitions: %w", err)
	}
	return parse(path, content)
}

// check returns the webhook that a definition makes, or all that is wrong with it.
func (w written) check() (core.Webhook, error) {
	var errs []error
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %w", w.place, fmt.Errorf(format, args...)))
	}
	if err := core.CheckName(w.name); err != nil {
		wrong("%w", err)
	}
	switch {
	case w.service && w.class == "" && w.method == "":
		wrong("webhook %q: the service has neither class nor method: write both, or leave the service out to deliver the published arguments", w.name)
	case w.service && w.class == "":
		wrong("webhook %q: the service has no class: write the one whose method %q makes the payload", w.name, w.method)
	case w.service && w.method == "":
		wrong("webhook %q: the service has no method: write which of %q makes the payload", w.name, w.class)
	}
	for _, part := range []struct{ key, value string }{{"class", w.class}, {"method", w.method}} {
		if strings.TrimSpace(part.value) != part.value {
			wrong("webhook %q: the %s %q of the service begins or ends with a space: remove it", w.name, part.key, part.value)
		}
	}
	switch w.payload {
	case "", "frozen", "fresh":
	default:
		wrong("webhook %q: a payload is frozen or fresh, not %q%s", w.name, w.payload,
			spelling.DidYouMean(w.payload, []string{"frozen", "fresh"}))
	}
	return core.Webhook{
		Name:    w.name,
		Service: core.Service{Class: w.class, Method: w.method},
		Fresh:   w.payload == "fresh",
		Source:  w.place,
	}, errors.Join(errs...)
}
