package pluginhost

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/sdk/host"
)

// table says who serves what. It is never changed: requests read it without a lock, and a new one takes its place.
type table struct {
	services  map[core.Service]served
	notifiers map[string]served
	absent    map[string]string // notifier names whose plugin isn't there, and that plugin
	silent    []string          // files that haven't described themselves, or may not run: what nobody serves, one of them may
}

// served is a service or a notifier name.
type served struct {
	by          *worker
	schema      *host.Schema // of the arguments, or of the settings; nil: there is none
	description string
	arguments   json.RawMessage
}

// tableOf writes down what the workers serve.
func tableOf(workers []*worker, absent map[string]string, refused []string) *table {
	t := &table{services: make(map[core.Service]served), notifiers: make(map[string]served), absent: absent, silent: refused}
	for _, w := range workers {
		known, share := w.identity()
		if known == nil {
			t.silent = append(t.silent, w.file)
			continue
		}
		for _, s := range known.services {
			service := core.Service{Class: s.Class, Method: s.Method}
			t.services[service] = served{by: w, schema: known.arguments[service], description: s.Description, arguments: s.Arguments}
		}
		for _, name := range share.names {
			t.notifiers[name] = served{by: w, schema: known.settings}
			delete(t.absent, name)
		}
	}
	return t
}

// offered lists the services, sorted.
func (t *table) offered() []core.OfferedService {
	list := make([]core.OfferedService, 0, len(t.services))
	for _, service := range slices.SortedFunc(maps.Keys(t.services), compareServices) {
		s := t.services[service]
		known, _ := s.by.identity()
		p, _ := s.by.gate.current()
		list = append(list, core.OfferedService{
			Service: service, Description: s.description, Arguments: s.arguments, Plugin: known.Name, Up: p != nil,
		})
	}
	return list
}

// names lists the notifier names that a subscriber may have, sorted.
func (t *table) names() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for name := range t.notifiers {
			if !yield(name) {
				return
			}
		}
		for name := range t.absent {
			if !yield(name) {
				return
			}
		}
	})
}
