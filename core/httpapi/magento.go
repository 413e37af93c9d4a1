package httpapi

import (
	"errors"
	"net/http"
	"time"

	"github.com/postrider/postrider/core"
)

// The routes of the reference system, for clients that were written for it. They are a second view of the same subscribers; its known mistakes are
// not repeated: no answer holds the token, a PUT without a status disables nothing, unknown events and notifiers are refused.

// magentoTime is how Magento writes times, in UTC.
const magentoTime = time.DateTime

func referenceOf(s core.Subscriber) ReferenceSubscriber {
	return ReferenceSubscriber{
		SubscriptionID: int64(s.ID),
		EventName:      s.Event,
		RecipientURL:   s.URL,
		Status:         s.Enabled,
		SubscribedAt:   s.Created.UTC().Format(magentoTime),
	}
}

func (f ReferenceFields) fields() SubscriberFields {
	return SubscriberFields{
		Event:    f.EventName,
		URL:      f.RecipientURL,
		Token:    f.VerificationToken,
		Notifier: f.Metadata,
		Enabled:  (*bool)(f.Status),
	}
}

func (a *api) createReference(w http.ResponseWriter, r *http.Request) error {
	fields, err := a.referenceFields(w, r)
	if err != nil {
		return err
	}
	created, err := a.subscribe(r.Context(), fields)
	if err != nil {
		return inReferenceWords(err)
	}
	return answer(w, http.StatusOK, referenceOf(created)) // not 201: Magento answers 200
}

func (a *api) reference(w http.ResponseWriter, r *http.Request) error {
	s, err := a.subscriberAt(r)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, referenceOf(s))
}

func (a *api) changeReference(w http.ResponseWriter, r *http.Request) error {
	s, err := a.subscriberAt(r)
	if err != nil {
		return err
	}
	fields, err := a.referenceFields(w, r)
	if err != nil {
		return err
	}
	changed, err := a.changeTo(r.Context(), s.ID, fields)
	if err != nil {
		return inReferenceWords(err)
	}
	return answer(w, http.StatusOK, referenceOf(changed))
}

func (a *api) referenceFields(w http.ResponseWriter, r *http.Request) (SubscriberFields, error) {
	var request ReferenceRequest
	if err := a.decode(w, r, &request); err != nil {
		return SubscriberFields{}, err
	}
	if request.Webhook == nil {
		return SubscriberFields{}, core.Invalidf("webhook", "the body has no member webhook: send {\"webhook\":{…}}")
	}
	return request.Webhook.fields(), nil
}

// referenceWords are the names of a subscriber's fields in the reference system.
var referenceWords = map[string]string{
	"event":    "event_name",
	"url":      "recipient_url",
	"token":    "verification_token",
	"notifier": "metadata",
	"enabled":  "status",
}

// inReferenceWords gives the fields that err names the names that a client of the reference routes knows. Errors about anything but bad input stay
// as they are.
func inReferenceWords(err error) error {
	fields := invalidFields(err)
	if len(fields) == 0 {
		return err
	}
	all := make([]error, len(fields))
	for i, f := range fields {
		if word, ok := referenceWords[f.Field]; ok {
			f.Field = "webhook." + word
		}
		all[i] = core.Invalidf(f.Field, "%s", f.Message)
	}
	return errors.Join(all...)
}

func (a *api) listReferences(w http.ResponseWriter, r *http.Request) error {
	criteria, err := readSearchCriteria(r.URL.RawQuery)
	if err != nil {
		return err
	}
	found, total, err := search(a.Subscribers.Subscribers(), criteria)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, ReferenceList{Items: each(found, referenceOf), SearchCriteria: criteria, TotalCount: total})
}
