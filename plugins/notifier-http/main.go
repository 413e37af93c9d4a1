// Notifier-http is the plugin "http": it delivers by an HTTP POST.
//
// Everything that makes that safe and fast is in [post]; here stands the name. What a receiver gets and what its answers mean is in the README.
package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/postrider/postrider/plugins/internal/post"
	"github.com/postrider/postrider/sdk"
)

const version = "1.0.0"

// maxInFlight is high because an attempt that waits for its answer costs little (some 32 KiB), and because all subscribers share it: a
// few that don't answer must not take it all.
const maxInFlight = 4096

// notifier is complete once configure has returned, which is before the first delivery.
type notifier struct{ poster *post.Poster }

func main() {
	n := new(notifier)
	sdk.ServeNotifier("http", version, n, sdk.Configure(n.configure), sdk.Settings[post.Settings](), sdk.MaxInFlight(maxInFlight))
}

func (n *notifier) configure(ctx context.Context, c post.Configuration) (err error) {
	n.poster, err = c.Open(ctx, "Postrider/"+version)
	return err
}

// Notify makes one attempt.
func (n *notifier) Notify(ctx context.Context, d sdk.Delivery) (sdk.Outcome, error) {
	message, err := post.MessageOf(d)
	if err != nil {
		return sdk.Outcome{}, err
	}
	settings, err := settingsOf(d)
	if err != nil {
		return sdk.Outcome{}, err
	}
	outcome, err := n.poster.Post(ctx, message, settings)
	if err != nil {
		return sdk.Outcome{}, sdk.Permanent(fmt.Errorf("settings of subscriber %d: %w", d.Subscriber, err)) // until someone changes them, and replays
	}
	return outcome, nil
}

// settingsOf returns nil for a subscriber without settings.
func settingsOf(d sdk.Delivery) (*post.Settings, error) {
	if len(d.Settings) == 0 {
		return nil, nil
	}
	settings := new(post.Settings)
	if err := json.Unmarshal(d.Settings, settings); err != nil {
		return nil, sdk.Permanent(fmt.Errorf("settings of subscriber %d: %w", d.Subscriber, err))
	}
	return settings, nil
}
