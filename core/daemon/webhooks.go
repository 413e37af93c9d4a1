package daemon

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/config"
	"github.com/postrider/postrider/core/definition"
	"github.com/postrider/postrider/core/httpapi"
)

// catalog holds the webhooks that are defined, by name.
type catalog map[string]core.Webhook

// Webhook returns one definition.
func (c catalog) Webhook(name string) (core.Webhook, bool) {
	w, ok := c[name]
	return w, ok
}

// Webhooks returns all definitions, by name.
func (c catalog) Webhooks() []core.Webhook {
	return slices.SortedFunc(maps.Values(c), func(a, b core.Webhook) int { return strings.Compare(a.Name, b.Name) })
}

// CheckWebhooks reads the definitions and starts the plugins just long enough to match each service against what the resolvers offer. It
// needs no daemon, and disturbs none that runs.
func CheckWebhooks(ctx context.Context, c config.Config, log hclog.Logger) (_ []httpapi.Webhook, err error) {
	webhooks, err := definition.Load(c.Webhooks...)
	if err != nil {
		return nil, err
	}
	sockets, remove, err := temporarySockets()
	if err != nil {
		return nil, err
	}
	defer remove()
	plugins, err := newPlugins(c, sockets, log)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, plugins.Close(ctx)) }()
	if err := plugins.Start(ctx); err != nil {
		return nil, err
	}
	return httpapi.WebhookStates(catalog(webhooks).Webhooks(), plugins.Services()), nil
}
