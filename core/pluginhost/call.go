package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/host"
)

// Resolve asks the resolver that offers the service for the payload of one event: at most 4 MiB, and what a resolver returns that keeps to the
// protocol is JSON.
//
// The error is a [*core.Held] where the event must wait: nobody offers the service yet, its resolver is down or has no room. It is a [*core.Invalid]
// for arguments that the service doesn't take, wraps [core.ErrTooLarge] or [core.ErrPermanent] where trying again changes nothing, and is that of
// ctx once ctx has ended. Anything else may work later.
func (h *Host) Resolve(ctx context.Context, r core.Resolution) ([]byte, error) {
	looked := h.table.Load()
	service, ok := looked.services[r.Service]
	if !ok {
		return nil, h.awaitTable(fmt.Sprintf("no resolver offers service %s", r.Service), func(t *table) bool {
			_, ok := t.services[r.Service]
			return ok
		})
	}
	request := resolutionOf(r)
	var payload []byte
	err := service.by.send(sdk.WithTraceparent(ctx, string(r.Trace)), string(r.Event)+" "+r.Service.String(), func(ctx context.Context, p process) (err error) {
		payload, err = p.Resolve(ctx, request)
		if errors.As(err, new(*host.PluginError)) && !offers(p.Description(), r.Service) {
			return errReplaced
		}
		return err
	})
	if errors.Is(err, errReplaced) {
		return nil, h.awaitTable(fmt.Sprintf("the resolver that offered service %s is being replaced", r.Service), func(t *table) bool {
			return t != looked
		})
	}
	if err != nil {
		return nil, errorOf(h.hideIn(err))
	}
	return payload, nil
}

// errReplaced is the error of a request that came to a version of a plugin which is not the one that the table has.
var errReplaced = errors.New("the plugin is being replaced")

func offers(d host.Description, service core.Service) bool {
	return slices.ContainsFunc(d.Services, func(s host.Service) bool { return s.Class == service.Class && s.Method == service.Method })
}

// Notify asks the notifier of the subscriber for one attempt of a delivery.
//
// The error is a [*core.Held] where the delivery must wait: the notifier is down or has no room. It is a [*core.Invalid] for a notifier that nobody
// knows, wraps [core.ErrTooLarge] or [core.ErrPermanent] where trying again changes nothing, and is that of ctx once ctx has ended. Anything else
// may work later.
func (h *Host) Notify(ctx context.Context, n core.Notification) (core.Answer, error) {
	name := notifierOf(n.Subscriber)
	notifier, ok := h.table.Load().notifiers[name]
	if !ok {
		return core.Answer{}, h.nobody(name)
	}
	request := deliveryOf(n)
	var outcome sdk.Outcome
	err := notifier.by.send(sdk.WithTraceparent(ctx, string(n.Trace)), request.ID, func(ctx context.Context, p process) (err error) {
		outcome, err = p.Notify(ctx, request)
		return err
	})
	if err != nil {
		return core.Answer{}, errorOf(h.hideIn(err))
	}
	outcome.Reason, outcome.Excerpt = h.hide(outcome.Reason), h.hide(outcome.Excerpt) // a receiver may send back what it was sent
	return answerOf(outcome)
}

func notifierOf(s core.Subscriber) string {
	if s.Notifier == "" {
		return core.DefaultNotifier
	}
	return s.Notifier
}

// nobody returns why no process serves the notifier of that name: a Held where one may be found yet, else a [*core.Invalid].
func (h *Host) nobody(name string) error {
	t := h.table.Load()
	served := func(t *table) bool {
		_, ok := t.notifiers[name]
		return ok
	}
	if plugin, ok := t.absent[name]; ok {
		return h.awaitTable(h.missing(name, plugin), served)
	}
	if len(t.silent) > 0 {
		return h.awaitTable(fmt.Sprintf("no notifier is called %q; it may be in a plugin file that has not described itself, or may not run: %s",
			name, fileName(t.silent[0])), served)
	}
	return h.unknown(t, name)
}

func (h *Host) unknown(t *table, name string) error {
	return core.Invalidf("notifier", "no notifier is called %q%s", name, suggestion(name, t.names()))
}

// awaitTable returns a Held that ends with the table in which there is what is waited for.
func (h *Host) awaitTable(reason string, there func(*table) bool) *core.Held {
	return &core.Held{Reason: reason, Notify: func(wake func()) {
		h.mu.Lock()
		if !there(h.table.Load()) {
			h.waiting = append(h.waiting, wake)
			wake = nil
		}
		h.mu.Unlock()
		if wake != nil {
			wake()
		}
	}}
}
