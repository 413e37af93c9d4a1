// Notifier-slack is the plugin "slack": it posts deliveries to Slack's incoming webhooks.
//
// A delivery's recipient URL is the webhook's URL, which is a secret: whoever has it can post. It is in no log line, reason or error of this plugin.
//
//	message.go   what is posted: the templates of a text and of blocks
//	template.go  one template: escaped values, bounded work; functions.go is what it may call
//	limits.go    Slack's limits on sizes
//	line.go      one message a second for each webhook
//	answer.go    what Slack's answers mean
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

// maxInFlight leaves room for many webhooks whose messages wait for their turn, each a few seconds.
const maxInFlight = 1024

// configuration is the `config` of the notifier.
type configuration struct {
	content
	Every   string `json:"every,omitempty" jsonschema:"the least time between two messages to one webhook, from 1ms to 1m; left out: 1s, which is what Slack allows"`
	Timeout string `json:"timeout,omitempty" jsonschema:"how long an attempt may take in all once it is its turn, from 1s to 1m; left out: 15s"`
}

// notifier is complete once configure has returned, which is before the first delivery.
type notifier struct {
	sender  *post.Sender
	rule    *post.Rule
	message *message
	lines   *lines
}

func main() {
	n := new(notifier)
	sdk.ServeNotifier("slack", version, n, sdk.Configure(n.configure), sdk.Settings[content](), sdk.MaxInFlight(maxInFlight))
}

func (n *notifier) configure(ctx context.Context, c configuration) error {
	every, err := duration("every", c.Every, bounds{time.Millisecond, time.Minute, time.Second})
	if err != nil {
		return err
	}
	timeout, err := duration("timeout", c.Timeout, bounds{time.Second, time.Minute, post.DefaultTimeout})
	if err != nil {
		return err
	}
	if c.isEmpty() {
		c.content = standard
	}
	if n.message, err = c.compile(); err != nil {
		return err
	}
	if n.rule, err = (post.Success{}).Rule(); err != nil {
		return err
	}
	n.lines = newLines(every)
	n.sender = post.New(post.Config{Egress: sdk.EgressOf(ctx), UserAgent: "Postrider/" + version, Limits: post.Limits{All: timeout}})
	return nil
}

// bounds are what a configured duration must lie within, and what it is if it is left out.
type bounds struct{ least, most, otherwise time.Duration }

func duration(key, text string, b bounds) (time.Duration, error) {
	if text == "" {
		return b.otherwise, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < b.least || d > b.most {
		return 0, fmt.Errorf("%s: %q is no time from %v to %v, written as \"1s\"", key, text, b.least, b.most)
	}
	return d, nil
}

// Notify makes one attempt.
func (n *notifier) Notify(ctx context.Context, d sdk.Delivery) (sdk.Outcome, error) {
	m, err := n.messageFor(d)
	if err != nil {
		return sdk.Outcome{}, sdk.Permanent(err) // until someone changes the template, and replays
	}
	body, err := m.render(d)
	if err != nil {
		return sdk.Outcome{}, sdk.Permanent(err)
	}
	if wait, ok := n.lines.await(ctx, d.URL, d.ID); !ok {
		return later(wait), nil
	}
	outcome := n.sender.Send(ctx, post.Message{
		URL: d.URL, ID: d.ID, Attempt: d.Attempt, Time: time.Now(), Body: body, ContentType: "application/json; charset=utf-8",
	}, n.rule)
	outcome = judge(outcome, d.URL)
	if outcome.Code == statusTooMany {
		n.lines.hold(d.URL, outcome.RetryAfter)
	}
	return outcome, nil
}

// messageFor returns the subscriber's own message, or else the configured one.
func (n *notifier) messageFor(d sdk.Delivery) (*message, error) {
	if len(d.Settings) == 0 {
		return n.message, nil
	}
	var own content
	if err := json.Unmarshal(d.Settings, &own); err != nil {
		return nil, fmt.Errorf("settings of subscriber %d: %w", d.Subscriber, err)
	}
	if own.isEmpty() {
		return n.message, nil
	}
	m, err := own.compile()
	if err != nil {
		return nil, fmt.Errorf("settings of subscriber %d: %w", d.Subscriber, err)
	}
	return m, nil
}
