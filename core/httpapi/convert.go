package httpapi

import (
	"time"

	"github.com/postrider/postrider/core"
)

// From the domain to the wire. Tests count the fields of the domain's types, so that a new one can't be forgotten here.

// each converts a list; the answer is never nil, because a list without items is [] and not null.
func each[From, To any](from []From, convert func(From) To) []To {
	to := make([]To, len(from))
	for i, item := range from {
		to[i] = convert(item)
	}
	return to
}

// wireTime is in UTC and to the millisecond, whatever the store kept.
func wireTime(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

func (a *api) subscriberOf(s core.Subscriber) Subscriber {
	var pausedUntil time.Time
	if until, paused := a.Paused(s.ID); paused {
		pausedUntil = wireTime(until)
	}
	return Subscriber{
		ID:             int64(s.ID),
		Event:          s.Event,
		URL:            s.URL,
		Notifier:       s.Notifier,
		Enabled:        s.Enabled,
		DisabledReason: s.Reason,
		DisabledSince:  wireTime(s.Disabled),
		PausedUntil:    pausedUntil,
		Settings:       shown(a.Plugins.ShownSettings(s)),
		Retry:          shown(s.Retry),
		Envelope:       string(s.Envelope),
		EarlierTokens:  earlierOf(s.Earlier, time.Now()),
		Created:        wireTime(s.Created),
		Modified:       wireTime(s.Modified),
	}
}

// earlierOf tells of the tokens that are still valid, without showing them.
func earlierOf(tokens []core.EarlierToken, now time.Time) []EarlierToken {
	var valid []EarlierToken
	for _, t := range tokens {
		if now.Before(t.Expires) {
			valid = append(valid, EarlierToken{Expires: wireTime(t.Expires)})
		}
	}
	return valid
}

func webhookOf(w core.Webhook, offers map[core.Service]core.OfferedService) Webhook {
	wire := Webhook{Name: w.Name, Payload: "frozen", Source: w.Source, State: WebhookOK}
	if w.Fresh {
		wire.Payload = "fresh"
	}
	if w.Service.IsZero() {
		return wire
	}
	wire.Service = &Service{Class: w.Service.Class, Method: w.Service.Method}
	offer, offered := offers[w.Service]
	wire.Plugin = offer.Plugin
	switch {
	case !offered:
		wire.State = WebhookUnoffered
	case !offer.Up:
		wire.State = WebhookDown
	}
	return wire
}

func offeredServiceOf(s core.OfferedService) OfferedService {
	return OfferedService{
		Service:     Service{Class: s.Class, Method: s.Method},
		Description: s.Description,
		Arguments:   shown(s.Arguments),
		Plugin:      s.Plugin,
		Up:          s.Up,
	}
}

func pluginOf(p core.PluginStatus) Plugin {
	wire := Plugin{
		Name:     p.Name,
		Notifier: p.Config,
		File:     p.File,
		Version:  p.Version,
		Role:     string(p.Role),
		State:    p.State,
		Reason:   p.Reason,
		Update:   p.Update,
		PID:      p.PID,
		Restarts: p.Restarts,
		InFlight: p.InFlight,
		Requests: p.Requests,
		Errors:   p.Errors,
		Memory:   p.Memory,
	}
	if !p.Since.IsZero() {
		since := p.Since.UTC().Truncate(time.Millisecond)
		wire.Since = &since
	}
	if p.P99 > 0 {
		wire.Latency = &Latency{P50: float64(p.Median.Microseconds()) / 1000, P99: float64(p.P99.Microseconds()) / 1000}
	}
	return wire
}

func pluginChangeOf(c core.PluginChange) PluginChange {
	return PluginChange{File: c.File, Name: c.Name, Change: c.Change, Reason: c.Reason}
}

func attemptOf(a core.Attempt) Attempt {
	wire := Attempt{
		Number:     a.Number,
		Started:    wireTime(a.Started),
		DurationMS: float64(a.Duration.Round(time.Microsecond)) / float64(time.Millisecond),
		Outcome:    a.Outcome.String(),
		StatusCode: a.Code,
		Reason:     a.Reason,
		Excerpt:    a.Excerpt,
	}
	if !a.Due.IsZero() {
		due := wireTime(a.Due)
		wire.Due = &due
	}
	return wire
}

// attemptsOf is nil for no attempts, so that lists leave them out.
func attemptsOf(attempts []core.Attempt) []Attempt {
	if len(attempts) == 0 {
		return nil
	}
	return each(attempts, attemptOf)
}

func deliveryOf(d core.Delivery) Delivery {
	wire := Delivery{
		ID:           string(d.ID),
		EventID:      string(d.Event),
		Event:        d.EventName,
		SubscriberID: int64(d.Subscriber),
		State:        d.State.String(),
		Attempts:     attemptsOf(d.Attempts),
	}
	if d.Last != nil {
		last := attemptOf(*d.Last)
		wire.Last = &last
	}
	return wire
}

func deadLetterOf(d core.DeadLetter) DeadLetter {
	wire := DeadLetter{
		ID:           d.ID,
		Kind:         string(d.Kind),
		EventID:      string(d.Event),
		Event:        d.EventName,
		SubscriberID: int64(d.Subscriber),
		Reason:       d.Reason,
		Died:         wireTime(d.Died),
		Last:         d.Last,
		Original:     d.Original,
		Attempts:     attemptsOf(d.Attempts),
	}
	if d.Kind == core.DeadDelivery {
		wire.DeliveryID = d.ID
	}
	return wire
}

func depthOf(d core.Depth) Depth {
	return Depth{Queue: string(d.Queue), Ready: d.Ready, Due: d.Due}
}
