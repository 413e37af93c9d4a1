package core

import (
	"encoding/json"
	"strconv"
	"time"
)

// SubscriberID numbers subscribers from 1.
type SubscriberID int64

// String returns the number in decimal.
func (id SubscriberID) String() string { return strconv.FormatInt(int64(id), 10) }

// Subscriber wants the payload of one webhook's events at one recipient URL.
type Subscriber struct {
	ID       SubscriberID
	Event    string         // the webhook's name
	URL      string         // recipient_url
	Token    string         // verification_token: secret, never shown, never logged
	Earlier  []EarlierToken // what it was before, newest first: see ReplaceToken
	Notifier string         // metadata: the notifier's name
	Enabled  bool
	Reason   string    // why it is disabled, where the daemon did it
	Disabled time.Time // since when; zero: it is enabled, or never was
	Created  time.Time
	Modified time.Time

	Settings json.RawMessage // for the notifier, by its own schema; nil: none
	Retry    json.RawMessage // a schedule of its own, as in the configuration's `retry`; nil: the daemon's
	Envelope Envelope        // "": the daemon's
}

// Wants reports whether an event of its webhook that was accepted at that time is for s. Those of before it was disabled are: they may have waited long since.
func (s Subscriber) Wants(accepted time.Time) bool {
	return s.Enabled || accepted.Before(s.Disabled.Add(time.Millisecond)) // what was accepted in the same millisecond may have been earlier
}

// Hidden stands where a secret is not shown.
const Hidden = "[secret]"

// DefaultNotifier is the notifier of a subscriber that names none.
const DefaultNotifier = "default"

// Envelope says what surrounds the payload in the body that a receiver gets.
type Envelope string

// The envelopes.
const (
	EnvelopeStandard    Envelope = "standard"    // {"type","timestamp","data"}, as Standard Webhooks recommends
	EnvelopeCloudEvents Envelope = "cloudevents" // CloudEvents 1.0, structured mode
	EnvelopeRaw         Envelope = "raw"         // the payload alone
)

// Check refuses an envelope that doesn't exist; "" is fine.
func (e Envelope) Check() error {
	switch e {
	case "", EnvelopeStandard, EnvelopeCloudEvents, EnvelopeRaw:
		return nil
	}
	return Invalidf("envelope", "no envelope is called %q: it is standard, cloudevents or raw", string(e))
}
