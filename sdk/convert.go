package sdk

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postrider/postrider/proto/pluginv1"
)

// What is kept of an outcome.
const (
	maxExcerpt    = 4 << 10 // bytes
	maxRetryAfter = time.Hour
)

// servicesTo writes services for the wire.
func servicesTo(services []*service) (list []*pluginv1.Service) {
	for _, s := range services {
		list = append(list, &pluginv1.Service{
			Class: s.class, Method: s.method, Description: s.description, ArgumentsSchema: s.arguments.JSON(),
		})
	}
	return list
}

// deliveryFrom reads a delivery off the wire.
func deliveryFrom(q *pluginv1.NotifyRequest) Delivery {
	settings := q.GetSettings()
	if len(settings) == 0 || string(settings) == "null" {
		settings = nil
	}
	return Delivery{
		ID:         q.GetDeliveryId(),
		Attempt:    int(q.GetAttempt()),
		Event:      q.GetEvent(),
		EventID:    q.GetEventId(),
		Time:       time.UnixMilli(q.GetTimeMs()).UTC(),
		Payload:    q.GetPayload(),
		Subscriber: q.GetSubscriber(),
		URL:        q.GetUrl(),
		Token:      q.GetToken(),
		Settings:   settings,
		Envelope:   q.GetEnvelope(),

		EarlierTokens: q.GetEarlierTokens(),
	}
}

// outcomeTo writes an outcome for the wire, within its limits. An outcome without a status is the author's mistake.
func outcomeTo(o Outcome) (*pluginv1.Outcome, error) {
	if o.Status < StatusDelivered || o.Status > StatusRejected {
		return nil, fmt.Errorf("returned an outcome with the status %d: make it with sdk.Delivered, sdk.Retry or sdk.Rejected", o.Status)
	}
	return &pluginv1.Outcome{
		Status:       pluginv1.Outcome_Status(o.Status), // the numbers are the same
		Code:         int32(o.Code),
		Reason:       truncate(o.Reason, maxReason),
		Excerpt:      truncate(o.Excerpt, maxExcerpt),
		RetryAfterMs: min(max(o.RetryAfter, 0), maxRetryAfter).Milliseconds(),
		Gone:         o.Gone,
	}, nil
}

// truncate shortens s to about limit bytes of valid UTF-8, which is all that protobuf takes.
func truncate(s string, limit int) string {
	if len(s) > limit {
		for limit > 0 && !utf8.RuneStart(s[limit]) {
			limit--
		}
		s = s[:limit]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
