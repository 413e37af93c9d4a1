package httpapi

import (
	"net/http"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/spelling"
)

// unknownWebhook says of a name that no webhook has it, and which one may have been meant. Field is where it was given.
func (a *api) unknownWebhook(field, name string) error {
	if err := core.CheckName(name); err != nil {
		return core.Invalidf(field, "%s", err)
	}
	webhooks := a.Catalog.Webhooks()
	names := make([]string, len(webhooks))
	for i, w := range webhooks {
		names[i] = w.Name
	}
	return core.Invalidf(field, "no webhook is called %q%s; `postrider webhook list` shows them", name, spelling.DidYouMean(name, names))
}

func (a *api) listWebhooks(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, http.StatusOK, Page[Webhook]{Items: WebhookStates(a.Catalog.Webhooks(), a.Plugins.Services())})
}

// WebhookStates says of each webhook whether its service is among those that are offered.
func WebhookStates(webhooks []core.Webhook, offered []core.OfferedService) []Webhook {
	offers := map[core.Service]core.OfferedService{}
	for _, o := range offered {
		offers[o.Service] = o
	}
	return each(webhooks, func(w core.Webhook) Webhook { return webhookOf(w, offers) })
}

func (a *api) listServices(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, http.StatusOK, Page[OfferedService]{Items: each(a.Plugins.Services(), offeredServiceOf)})
}

func (a *api) listPlugins(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, http.StatusOK, Page[Plugin]{Items: each(a.Plugins.Plugins(), pluginOf)})
}

// reloadPlugins answers once all that has changed runs, or is refused. A directory that can't be read is the operator's to mend, and said to him.
func (a *api) reloadPlugins(w http.ResponseWriter, r *http.Request) error {
	changes, err := a.Plugins.Reload(r.Context())
	if err != nil {
		return problemf(http.StatusConflict, "nothing was reloaded: %v", err)
	}
	return answer(w, http.StatusOK, Page[PluginChange]{Items: each(changes, pluginChangeOf)})
}
