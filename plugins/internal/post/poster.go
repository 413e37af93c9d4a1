package post

import (
	"context"
	"fmt"
	"time"

	"github.com/postrider/postrider/sdk"
)

// Configuration is what can be configured of every notifier that posts.
type Configuration struct {
	Timeout string  `json:"timeout,omitempty" jsonschema:"how long an attempt may take in all, from 1s to 5m; left out: 15s"`
	Success Success `json:"success,omitzero" jsonschema:"which answers count as delivered and which are tried again"`
}

// Settings is what a subscriber may say for itself.
type Settings struct {
	Success *Success `json:"success,omitempty" jsonschema:"replaces the success rule of the notifier's configuration for this subscriber"`
}

// Poster is what the notifiers that post have in common: a [Sender], and what its configuration and a subscriber's settings make of it.
type Poster struct {
	sender *Sender
	rule   *Rule
}

// Open returns the Poster of a configuration. ctx is that of the call to configure; userAgent is what receivers see, as "Postrider/1.0.0". An error
// names the key that is wrong.
func (c Configuration) Open(ctx context.Context, userAgent string) (*Poster, error) {
	rule, err := c.Success.Rule()
	if err != nil {
		return nil, fmt.Errorf("success.%w", err)
	}
	timeout := DefaultTimeout
	if c.Timeout != "" {
		timeout, err = time.ParseDuration(c.Timeout)
		if err != nil || timeout < time.Second || timeout > 5*time.Minute {
			return nil, fmt.Errorf("timeout: %q is no time from 1s to 5m, written as \"15s\"", c.Timeout)
		}
	}
	return &Poster{rule: rule, sender: New(Config{Egress: sdk.EgressOf(ctx), UserAgent: userAgent, Timeout: timeout})}, nil
}

// Post makes one attempt, by the settings of the subscriber; nil: it has none. An error is about these, and permanent until somebody changes them.
func (p *Poster) Post(ctx context.Context, m Message, s *Settings) (sdk.Outcome, error) {
	rule := p.rule
	if s != nil && s.Success != nil {
		var err error
		if rule, err = s.Success.Rule(); err != nil {
			return sdk.Outcome{}, fmt.Errorf("success.%w", err)
		}
	}
	return p.sender.Send(ctx, m, rule), nil
}
