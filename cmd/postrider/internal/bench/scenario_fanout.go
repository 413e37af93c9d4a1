package bench

import (
	"context"
	"fmt"
)

// fanOutEvents is how many events have their many deliveries, one event a turn.
const fanOutEvents = turns / 2

func fanOut() Scenario {
	return Scenario{
		Name: "fan-out", About: "one event to 10,000 subscribers (--subscribers): deliveries per raw POST, and what the file grows by",
		measure: measureFanOut,
	}
}

func measureFanOut(ctx context.Context, l *lab) error {
	if err := l.start(ctx, need{webhooks: 1}); err != nil {
		return err
	}
	n := l.subscribersOr(10_000)
	endpoints := l.receiver.add(n)
	var all []subscription
	for _, e := range endpoints {
		all = append(all, subscription{webhook: l.daemon.webhooks[0], endpoint: e})
	}
	if err := l.daemon.subscribe(ctx, all...); err != nil {
		return err
	}
	raw, events := l.raw(endpoints[0]), l.events(l.daemon.webhooks[0])
	events.fan = n
	if err := l.warm(ctx, n, raw); err != nil {
		return err
	}
	if err := l.warm(ctx, 1, events); err != nil {
		return err
	}
	posted, done := newOutcome(), newOutcome()
	size, before := l.daemon.databaseSize(), usage(l.daemon.pid)
	for range fanOutEvents {
		if err := l.floodAll(ctx, &posted, rawName, raw, n); err != nil {
			return fmt.Errorf("post to the receiver: %w", err)
		}
		if err := l.floodAll(ctx, &done, "one event", events, 1); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
	}
	l.report.phase(rawName, thereAndBack, posted)
	l.report.phase("fan-out", fromPublish, done)
	l.ratio(posted, done)
	l.consumption(before, done.received, "delivery")
	if size > 0 {
		grown := float64(l.daemon.databaseSize()-size) / float64(max(1, done.received))
		l.report.headline("file per delivery", grown, Bytes, fmt.Sprintf("how much the database grew; the payload has %d bytes", l.Size))
	}
	return nil
}

// subscribersOr returns how many subscribers there are to be.
func (l *lab) subscribersOr(usual int) int {
	if l.Subscribers > 0 {
		return l.Subscribers
	}
	return usual
}
