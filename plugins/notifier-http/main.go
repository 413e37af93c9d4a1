// Notifier-http is the plugin "http": it delivers by an HTTP POST.
//
// Everything that makes that safe and fast is in [post]; here stand the name, what can be configured, and how both meet. What a receiver
// gets and what its answers mean is in the README.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/postrider/postrider/plugins/internal/post"
	"github.com/postrider/postrider/sdk"
)

const version = "1.0.0"

// maxInFlight is high because an attempt that waits for its answer costs little (some 32 KiB), and because all subscribers share it: a
// few that don't answer must not take it all.
const maxInFlight = 4096

// configuration is the `config` of the notifier.
type configuration struct {
	Timeout string       `json:"timeout,omitempty" jsonschema:"how long an attempt may take in all, from 1s to 5m; left out: 15s"`
	Success post.Success `json:"success,omitzero" jsonschema:"which answers count as delivered and which are tried again"`
}

// settings is what a subscriber may say for itself.
type settings struct {
	Success *post.Success `json:"success,omitempty" jsonschema:"replaces the success rule of the notifier's configuration for this subscriber"`
}

// notifier is complete once configure has returned, which is before the first delivery.
type notifier struct {
	sender *post.Sender
	rule   *post.Rule
}

func main() {
	n := new(notifier)
	sdk.ServeNotifier("http", version, n, sdk.Configure(n.configure), sdk.Settings[settings](), sdk.MaxInFlight(maxInFlight))
}

func (n *notifier) configure(ctx context.Context, c configuration) error {
	rule, err := c.Success.Rule()
	if err != nil {
		return fmt.Errorf("success.%w", err)
	}
	timeout := post.DefaultTimeout
	if c.Timeout != "" {
		timeout, err = time.ParseDuration(c.Timeout)
		if err != nil || timeout < time.Second || timeout > 5*time.Minute {
			return fmt.Errorf("timeout: %q is no time from 1s to 5m, written as \"15s\"", c.Timeout)
		}
	}
	n.rule = rule
	n.sender = post.New(post.Config{Egress: sdk.EgressOf(ctx), UserAgent: "Postrider/" + version, Timeout: timeout})
	return nil
}

// Notify makes one attempt.
func (n *notifier) Notify(ctx context.Context, d sdk.Delivery) (sdk.Outcome, error) {
	rule, err := n.ruleFor(d)
	if err != nil {
		return sdk.Outcome{}, sdk.Permanent(err) // until someone changes the settings, and replays
	}
	message, err := post.MessageOf(d)
	if err != nil {
		return sdk.Outcome{}, err
	}
	return n.sender.Send(ctx, message, rule), nil
}

// ruleFor returns the subscriber's own rule, or else the configured one.
func (n *notifier) ruleFor(d sdk.Delivery) (*post.Rule, error) {
	if len(d.Settings) == 0 {
		return n.rule, nil
	}
	var own settings
	if err := json.Unmarshal(d.Settings, &own); err != nil {
		return nil, fmt.Errorf("settings of subscriber %d: %w", d.Subscriber, err)
	}
	if own.Success == nil {
		return n.rule, nil
	}
	rule, err := own.Success.Rule()
	if err != nil {
		return nil, fmt.Errorf("settings of subscriber %d: success.%w", d.Subscriber, err)
	}
	return rule, nil
}
