package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
	"github.com/postrider/postrider/core/httpapi"
	"github.com/postrider/postrider/core/spelling"
)

// defaultLimit is how much of a list is shown unless --limit says otherwise.
const defaultLimit = 50

// filters is a query of what is not empty.
func filters(words map[string]string, subscriber int64) url.Values {
	query := url.Values{}
	for name, word := range words {
		if word != "" {
			query.Set(name, word)
		}
	}
	if subscriber != 0 {
		query.Set("subscriber", strconv.FormatInt(subscriber, 10))
	}
	return query
}

// more says that a list goes on.
func (a *app) more(next string, shown int) {
	if next != "" {
		a.sayf("\nThere are more than these %s: --limit shows them.", thousands(shown))
	}
}

// checkEvent refuses the event that a list was filtered by if the list has nothing and no webhook is called so: it was mistyped then. What is left of a
// webhook that is not defined any more can still be listed.
func checkEvent(ctx context.Context, daemon *client.Client, event string, found int) error {
	if event == "" || found > 0 {
		return nil
	}
	var webhooks httpapi.Page[httpapi.Webhook]
	if err := daemon.Call(ctx, client.Request{Method: http.MethodGet, Path: []string{"v1", "webhooks"}}, &webhooks); err != nil {
		return err
	}
	names := make([]string, len(webhooks.Items))
	for i, w := range webhooks.Items {
		if names[i] = w.Name; w.Name == event {
			return nil
		}
	}
	return fmt.Errorf("no webhook is called %q%s; `postrider webhook list` shows them", event, spelling.DidYouMean(event, names))
}
