package pluginhost

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/host"
)

// What is kept of a receiver's word.
const (
	maxExcerpt    = 4 << 10 // bytes
	maxReason     = 4 << 10
	maxRetryAfter = time.Hour
)

func resolutionOf(r core.Resolution) host.Resolution {
	return host.Resolution{
		Class:     r.Service.Class,
		Method:    r.Service.Method,
		Arguments: r.Arguments,
		EventID:   string(r.Event),
	}
}

func deliveryOf(n core.Notification) sdk.Delivery {
	return sdk.Delivery{
		ID:         string(n.Delivery),
		Attempt:    n.Attempt,
		Event:      n.Event.Name,
		EventID:    string(n.Event.ID),
		Time:       n.Event.Accepted,
		Payload:    n.Payload,
		Subscriber: int64(n.Subscriber.ID),
		URL:        n.Subscriber.URL,
		Token:      n.Subscriber.Token,
		Settings:   n.Subscriber.Settings,
		Envelope:   string(n.Envelope),

		EarlierTokens: n.Subscriber.EarlierTokens(time.Now()),
	}
}

var outcomes = map[sdk.Status]core.Outcome{
	sdk.StatusDelivered: core.Delivered,
	sdk.StatusRetry:     core.Retry,
	sdk.StatusRejected:  core.Rejected,
}

func answerOf(o sdk.Outcome) (core.Answer, error) {
	outcome, ok := outcomes[o.Status]
	if !ok {
		return core.Answer{}, fmt.Errorf("the notifier answered with status %d, which doesn't exist: "+
			"it must answer delivered, retry or rejected", o.Status)
	}
	return core.Answer{
		Outcome:    outcome,
		Code:       o.Code,
		Reason:     clip(o.Reason, maxReason),
		Excerpt:    clip(o.Excerpt, maxExcerpt),
		RetryAfter: min(max(o.RetryAfter, 0), maxRetryAfter),
		Gone:       o.Gone,
	}, nil
}

// hideIn takes secrets out of what a plugin says.
func (h *Host) hideIn(err error) error {
	if failure, ok := errors.AsType[*host.PluginError](err); ok {
		failure.Message = h.hide(failure.Message)
	}
	if refusal, ok := errors.AsType[*host.ConfigurationError](err); ok {
		refusal.What = h.hide(refusal.What)
	}
	return err
}

// errorOf gives an error of a plugin the kind that the caller acts on: invalid arguments, too large, permanent, or none (try again).
func errorOf(err error) error {
	var failure *host.PluginError
	switch {
	case errors.Is(err, host.ErrTooLarge):
		return kind{err, core.ErrTooLarge}
	case !errors.As(err, &failure):
		return err
	case failure.InvalidArguments:
		return &core.Invalid{Field: "arguments", What: failure.Error()}
	case failure.Permanent:
		return kind{err, core.ErrPermanent}
	}
	return err
}

// kind is an error that is of a kind as well, without the kind's words.
type kind struct {
	error
	is error
}

func (k kind) Unwrap() []error { return []error{k.error, k.is} }

// clip cuts text after at most size bytes, and drops what isn't UTF-8.
func clip(text string, size int) string {
	if len(text) > size {
		text = text[:size]
	}
	return strings.ToValidUTF8(text, "")
}
