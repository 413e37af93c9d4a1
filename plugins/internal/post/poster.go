package post

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/postrider/postrider/plugins/internal/auth"
	"github.com/postrider/postrider/plugins/internal/oauth2"
	"github.com/postrider/postrider/sdk"
)

// Configuration is what can be configured of every notifier that posts.
type Configuration struct {
	Timeout  string   `json:"timeout,omitempty" jsonschema:"how long an attempt may take in all, from 1s to 5m; left out: 15s"`
	Timeouts Timeouts `json:"timeouts,omitzero" jsonschema:"how long its parts may take"`
	HTTP2    bool     `json:"http2,omitempty" jsonschema:"whether HTTP/2 is spoken with receivers that do; left out: HTTP/1.1, where a connection that hangs takes one attempt along and not all"`
	Success  Success  `json:"success,omitzero" jsonschema:"which answers count as delivered and which are tried again"`
	Sending
}

// Timeouts are those of the parts of an attempt.
type Timeouts struct {
	Connect string `json:"connect,omitempty" jsonschema:"until there is a connection, DNS included, from 100ms to 5s; left out: 5s"`
	TLS     string `json:"tls,omitempty" jsonschema:"until TLS stands, from 100ms to 5m; left out: 5s"`
	Header  string `json:"header,omitempty" jsonschema:"from the end of the request to the end of the answer's header, from 100ms to 5m; left out: two thirds of timeout"`
}

// Sending is how requests are sent, in a notifier's configuration or in a subscriber's settings.
type Sending struct {
	Headers Headers `json:"headers,omitempty" jsonschema:"header fields to add to each request: a subscriber's are added to those of the configuration, and win"`
	Auth    *Auth   `json:"auth,omitempty" jsonschema:"who sends: one of basic, bearer and oauth2; a subscriber's replaces the configuration's"`
	TLS     *TLS    `json:"tls,omitempty" jsonschema:"whom to trust, and what to show to whom asks; a subscriber's replaces the configuration's"`
}

// Settings is what a subscriber may say for itself.
type Settings struct {
	Success *Success `json:"success,omitempty" jsonschema:"replaces the success rule of the notifier's configuration for this subscriber"`
	Sending
}

// Poster is what the notifiers that post have in common: a [Sender] for each TLS that subscribers ask for, and what its configuration and a
// subscriber's settings make of it.
type Poster struct {
	config  Config // of its Senders
	senders *kept[TLS, *Sender]
	sources *kept[string, *oauth2.Source]
	plain   *Sender  // without any TLS of its own
	base    *request // by the configuration alone
	sending Sending  // of the configuration
}

const (
	mostSenders = 256  // with a TLS of their own: together they keep as many connections as the plain one
	mostSources = 1024 // of tokens
)

// Open returns the Poster of a configuration. ctx is that of the call to configure; userAgent is what receivers see, as "Postrider/1.0.0". An error
// names the key that is wrong.
func (c Configuration) Open(ctx context.Context, userAgent string) (*Poster, error) {
	rule, err := c.Success.Rule()
	if err != nil {
		return nil, fmt.Errorf("success.%w", err)
	}
	limits, err := c.limits()
	if err != nil {
		return nil, err
	}
	p := &Poster{
		config:  Config{Egress: sdk.EgressOf(ctx), UserAgent: userAgent, Limits: limits, HTTP2: c.HTTP2},
		senders: keep[TLS](mostSenders, (*Sender).Close),
		sources: keep[string, *oauth2.Source](mostSources, nil),
		sending: c.Sending,
	}
	p.plain = New(p.config)
	p.base, err = p.request(rule, c.Sending)
	return p, err
}

func (c Configuration) limits() (limits Limits, err error) {
	for _, l := range []struct {
		key, text   string
		least, most time.Duration
		set         *time.Duration
	}{
		{"timeout", c.Timeout, time.Second, 5 * time.Minute, &limits.All},
		{"timeouts.connect", c.Timeouts.Connect, 100 * time.Millisecond, dialTimeout, &limits.Connect},
		{"timeouts.tls", c.Timeouts.TLS, 100 * time.Millisecond, 5 * time.Minute, &limits.TLS},
		{"timeouts.header", c.Timeouts.Header, 100 * time.Millisecond, 5 * time.Minute, &limits.Header},
	} {
		if l.text == "" {
			continue
		}
		if *l.set, err = time.ParseDuration(l.text); err != nil || *l.set < l.least || *l.set > l.most {
			return Limits{}, fmt.Errorf("%s: %q is no time from %v to %v, written as \"2s\"", l.key, l.text, l.least, l.most)
		}
	}
	return limits, nil
}

// Post makes one attempt, by the settings of the subscriber; nil: it has none. An error is about these, and permanent until somebody changes them.
func (p *Poster) Post(ctx context.Context, m Message, s *Settings) (sdk.Outcome, error) {
	r := p.base
	if s != nil {
		rule, sending := r.rule, p.sending.with(s.Sending)
		var err error
		if s.Success != nil {
			if rule, err = s.Success.Rule(); err != nil {
				return sdk.Outcome{}, fmt.Errorf("success.%w", err)
			}
		}
		if r, err = p.request(rule, sending); err != nil {
			return sdk.Outcome{}, err
		}
	}
	return r.send(ctx, m), nil
}

// request is how an attempt is made.
type request struct {
	sender  *Sender
	rule    *Rule
	header  []Field
	tokens  *oauth2.Source // nil: none is sent, or one of header
	secrets auth.Secrets
}

// request reads how to send. An error begins with the key that is wrong.
func (p *Poster) request(rule *Rule, s Sending) (*request, error) {
	r := &request{rule: rule, sender: p.plain}
	var err error
	if r.header, err = s.Headers.fields(); err != nil {
		return nil, err
	}
	for _, field := range r.header {
		r.secrets = r.secrets.With(field.Value)
	}
	if s.TLS != nil {
		if r.sender, err = p.senderFor(*s.TLS); err != nil {
			return nil, fmt.Errorf("tls.%w", err)
		}
	}
	if s.Auth == nil {
		return r, nil
	}
	value, secret, err := s.Auth.fixed()
	switch {
	case err != nil:
		return nil, fmt.Errorf("auth: %w", err)
	case hasField(r.header, auth.Field):
		return nil, errors.New("headers: Authorization is what auth makes: leave one of them out")
	}
	r.secrets = r.secrets.With(secret...)
	if value != "" {
		r.header = append(r.header, Field{auth.Field, value})
		return r, nil
	}
	if r.tokens, err = p.tokens(*s.Auth.OAuth2); err != nil {
		return nil, fmt.Errorf("auth.oauth2.%w", err)
	}
	return r, nil
}

// senderFor returns the Sender for a TLS, which is kept with its connections.
func (p *Poster) senderFor(t TLS) (*Sender, error) {
	if t == (TLS{}) {
		return p.plain, nil
	}
	return p.senders.get(t, func() (*Sender, error) {
		c := p.config
		c.Kept = idleAltogether / mostSenders
		var err error
		if c.TLS, err = t.config(); err != nil {
			return nil, err
		}
		return New(c), nil
	})
}

// with returns how a subscriber sends that says own. Where both say who sends, in whatever way, the subscriber's word counts alone.
func (s Sending) with(own Sending) Sending {
	if own.Auth != nil || own.Headers.Has(auth.Field) {
		s.Auth = own.Auth
		s.Headers = s.Headers.without(auth.Field)
	}
	if own.TLS != nil {
		s.TLS = own.TLS
	}
	s.Headers = s.Headers.with(own.Headers)
	return s
}

// send makes the attempt.
func (r *request) send(ctx context.Context, m Message) sdk.Outcome {
	if r.tokens != nil {
		return r.sendWithToken(ctx, m)
	}
	return hide(r.secrets, r.sender.Send(ctx, r.dress(m), r.rule))
}

// dress adds the header. What the message has already wins: signatures are not for users to replace.
func (r *request) dress(m Message, more ...Field) Message {
	if len(r.header)+len(more) > 0 {
		m.Header = slices.Concat(r.header, more, m.Header)
	}
	return m
}

// sendWithToken fetches a token, if there is none that is valid, and sends again with a new one, once, if the receiver refuses it.
func (r *request) sendWithToken(ctx context.Context, m Message) sdk.Outcome {
	limit := r.sender.limit(ctx)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for renewed := false; ; renewed = true {
		token, err := r.tokens.Token(ctx)
		if err != nil {
			return hide(r.secrets, noToken(ctx, limit, err))
		}
		outcome := hide(r.secrets.With(token), r.sender.Send(ctx, r.dress(m, Field{auth.Field, auth.OfToken(token)}), r.rule))
		if outcome.Code != 401 || outcome.Status == sdk.StatusDelivered || renewed {
			return outcome
		}
		r.tokens.Forget(token)
	}
}

// noToken says why nothing was sent. The receiver knows of nothing, and so it is tried again.
func noToken(ctx context.Context, limit time.Duration, err error) sdk.Outcome {
	if refused, ok := errors.AsType[*sdk.EgressError](err); ok {
		return sdk.Rejected("no token: " + refused.Error())
	}
	if ctx.Err() == context.DeadlineExceeded {
		return sdk.Retry(fmt.Sprintf("no token from auth.oauth2.token_url within %v, and so nothing was sent", limit.Round(time.Millisecond)))
	}
	return sdk.Retry(err.Error() + "; nothing was sent")
}
