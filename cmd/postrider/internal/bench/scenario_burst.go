package bench

import (
	"context"
	"fmt"
)

func burst() Scenario {
	return Scenario{
		Name: "burst", About: "deliveries against a raw POST loop, then latency at a rate (the default)",
		measure: func(ctx context.Context, l *lab) error { return measureBurst(ctx, l, l.Batch) },
	}
}

func batches() Scenario {
	return Scenario{
		Name: "batches", About: "the same with 100 events in each publish",
		measure: func(ctx context.Context, l *lab) error {
			l.report.Batch, l.Rate = 100, 0
			return measureBurst(ctx, l, 100)
		},
	}
}

// turns is how often two kinds of traffic that are compared take turns. On a machine with neighbours, its speed halves and doubles from one second to
// the next: one long stretch of each would compare the machine with itself.
const turns = 8

// share is how many of events fall to one turn.
func share(events, turn int) int { return events*(turn+1)/turns - events*turn/turns }

// measureBurst compares the raw loop with events that are published as fast as they are taken.
func measureBurst(ctx context.Context, l *lab, batch int) error {
	e, err := l.startWithEndpoint(ctx)
	if err != nil {
		return err
	}
	raw, events := l.raw(e), l.batches(l.daemon.webhooks[0], batch)
	if err := l.warm(ctx, l.Events, raw, events); err != nil {
		return err
	}
	posted, done := newOutcome(), newOutcome()
	before := usage(l.daemon.pid)
	for turn := range turns {
		n := share(l.Events, turn)
		if err := l.floodAll(ctx, &posted, rawName, raw, n); err != nil {
			return fmt.Errorf("post to the receiver: %w", err)
		}
		if err := l.floodAll(ctx, &done, "publishing", events, n); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
	}
	l.report.phase(rawName, thereAndBack, posted)
	l.report.phase("under load", fromPublish, done)
	l.ratio(posted, done)
	l.consumption(before, done.events, "event")
	if l.Rate > 0 && l.Duration > 0 {
		return measureRate(ctx, l)
	}
	return nil
}

// ratio compares deliveries with raw POSTs.
func (l *lab) ratio(raw, done outcome) {
	if raw.perSecond() > 0 {
		l.report.Ratio = done.perSecond() / raw.perSecond()
	}
	l.report.headline("ratio", l.report.Ratio, "", "deliveries per raw POST")
	l.report.headline("delivered", done.perSecond(), PerSecond, fmt.Sprintf("from the first publish to the last receipt: %.1f s", done.whole.Seconds()))
	durable := "each on disk before its 202"
	if l.Queue != "" {
		durable = "over AMQP, each confirmed by RabbitMQ"
	}
	l.report.figure("published", rate(done.events, done.sending), PerSecond, durable)
	l.report.figure(rawName, raw.perSecond(), PerSecond, "net/http to the same receiver, as many at a time")
}
