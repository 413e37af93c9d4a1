package httpapi

import (
	"context"
	"net/http"
	"strconv"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/retry"
)

func (a *api) listSubscribers(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r, "event", "enabled", "limit", "cursor")
	event, enabled, limit, after := q.text("event"), q.text("enabled"), q.limit(), core.SubscriberID(q.number("cursor"))
	if enabled != "" && enabled != "true" && enabled != "false" {
		q.refuse("enabled", "enabled is %q: it must be true or false", enabled)
	}
	if q.err != nil {
		return q.err
	}
	page := Page[Subscriber]{Items: []Subscriber{}}
	for _, s := range a.Subscribers.Subscribers() {
		switch {
		case s.ID <= after, event != "" && s.Event != event, enabled != "" && strconv.FormatBool(s.Enabled) != enabled:
			continue
		case len(page.Items) == limit:
			page.Next = strconv.FormatInt(page.Items[limit-1].ID, 10)
			return answer(w, http.StatusOK, page)
		}
		page.Items = append(page.Items, a.subscriberOf(s))
	}
	return answer(w, http.StatusOK, page)
}

func (a *api) createSubscriber(w http.ResponseWriter, r *http.Request) error {
	var fields SubscriberFields
	if err := a.decode(w, r, &fields); err != nil {
		return err
	}
	created, err := a.subscribe(r.Context(), fields)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/subscribers/"+created.ID.String())
	return answer(w, http.StatusCreated, a.subscriberOf(created))
}

func (a *api) subscriber(w http.ResponseWriter, r *http.Request) error {
	s, err := a.subscriberAt(r)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, a.subscriberOf(s))
}

func (a *api) changeSubscriber(w http.ResponseWriter, r *http.Request) error {
	s, err := a.subscriberAt(r)
	if err != nil {
		return err
	}
	var fields SubscriberFields
	if err := a.decode(w, r, &fields); err != nil {
		return err
	}
	changed, err := a.changeTo(r.Context(), s.ID, fields)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, a.subscriberOf(changed))
}

func (a *api) deleteSubscriber(w http.ResponseWriter, r *http.Request) error {
	s, err := a.subscriberAt(r)
	if err != nil {
		return err
	}
	if err := a.Subscribers.DeleteSubscriber(r.Context(), s.ID); err != nil {
		return noSubscriber(s.ID.String(), err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// subscriberAt returns the subscriber that the path names.
func (a *api) subscriberAt(r *http.Request) (core.Subscriber, error) {
	text, err := pathID(r)
	if err != nil {
		return core.Subscriber{}, err
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return core.Subscriber{}, noSubscriber(text, core.ErrNotFound) // an id that is no number is nobody's
	}
	s, ok := a.Subscribers.Subscriber(core.SubscriberID(id))
	if !ok {
		return core.Subscriber{}, noSubscriber(text, core.ErrNotFound)
	}
	return s, nil
}

func noSubscriber(id string, err error) error {
	return notFoundAs(err, "there is no subscriber %s; `postrider subscriber list` shows them", id)
}

// subscribe makes a subscriber of fields.
func (a *api) subscribe(ctx context.Context, fields SubscriberFields) (core.Subscriber, error) {
	s := core.Subscriber{Notifier: core.DefaultNotifier, Enabled: true}
	if err := a.apply(&s, fields); err != nil {
		return core.Subscriber{}, err
	}
	return a.Subscribers.CreateSubscriber(ctx, s)
}

// changeTo changes what fields give of a subscriber.
func (a *api) changeTo(ctx context.Context, id core.SubscriberID, fields SubscriberFields) (core.Subscriber, error) {
	changed, err := a.Subscribers.UpdateSubscriber(ctx, id, func(s *core.Subscriber) error { return a.apply(s, fields) })
	if err != nil {
		return core.Subscriber{}, noSubscriber(id.String(), err)
	}
	return changed, nil
}

// apply sets and checks what fields give. What a subscriber had before is not checked again: one whose notifier has gone can still be disabled.
func (a *api) apply(s *core.Subscriber, fields SubscriberFields) error {
	isNew := s.ID == 0
	set(&s.Event, fields.Event)
	set(&s.URL, fields.URL)
	if fields.Token != nil && *fields.Token != s.Token {
		s.Token, s.Earlier = *fields.Token, nil // at once; rotate-secret leaves time
	}
	set(&s.Notifier, fields.Notifier)
	if fields.Enabled != nil && *fields.Enabled != s.Enabled {
		s.Enabled, s.Reason = *fields.Enabled, "" // the reason told why the daemon disabled it; now somebody has decided
	}
	settings, err := keepSecrets(fields.Settings, s.Settings)
	if err != nil {
		return err
	}
	setRaw(&s.Settings, settings)
	setRaw(&s.Retry, fields.Retry)
	if fields.Envelope != nil {
		s.Envelope = core.Envelope(*fields.Envelope)
		if err := s.Envelope.Check(); err != nil {
			return err
		}
	}
	if s.Notifier == "" {
		s.Notifier = core.DefaultNotifier
	}
	if isNew || fields.Event != nil {
		if s.Event == "" {
			return core.Invalidf("event", "the subscriber has no event: name the webhook that it wants")
		}
		if _, ok := a.Catalog.Webhook(s.Event); !ok {
			return a.unknownWebhook("event", s.Event)
		}
	}
	if isNew && s.URL == "" {
		return core.Invalidf("url", "the subscriber has no url: say where its deliveries go")
	}
	if len(fields.Retry) > 0 && s.Retry != nil {
		if _, err := retry.Parse(s.Retry); err != nil {
			return core.Invalidf("retry", "retry: %s", err)
		}
	}
	if isNew || fields.URL != nil || fields.Notifier != nil || fields.Settings != nil {
		return a.Plugins.CheckSubscriber(*s)
	}
	return nil
}

func set[T any](field *T, given *T) {
	if given != nil {
		*field = *given
	}
}

// setRaw sets what is given; null takes it away.
func setRaw[T ~[]byte](field *T, given T) {
	switch {
	case len(given) == 0:
	case string(given) == "null":
		*field = nil
	default:
		*field = given
	}
}
