package bench

import (
	"context"
	"fmt"
)

func resolver() Scenario {
	return Scenario{
		Name: "resolver", About: "a resolver process in the path, against the same without it", Own: true,
		measure: measureResolver,
	}
}

// measureResolver publishes events of two webhooks by turns, one without a service and one with.
func measureResolver(ctx context.Context, l *lab) error {
	if err := l.start(ctx, need{webhooks: 1, resolved: true}); err != nil {
		return err
	}
	endpoints := l.receiver.add(2)
	var ways []traffic
	for i, webhook := range l.daemon.webhooks {
		if err := l.daemon.subscribe(ctx, subscription{webhook: webhook, endpoint: endpoints[i]}); err != nil {
			return err
		}
		ways = append(ways, l.batches(webhook, l.Batch))
	}
	if err := l.warm(ctx, l.Events, ways...); err != nil {
		return err
	}
	names := []string{"without", "with a resolver"}
	done := []outcome{newOutcome(), newOutcome()}
	for turn := range turns {
		for i, way := range ways {
			if err := l.floodAll(ctx, &done[i], names[i], way, share(l.Events, turn)); err != nil {
				return fmt.Errorf("publish: %w", err)
			}
		}
	}
	for i, name := range names {
		l.report.phase(name, fromPublish, done[i])
	}
	l.report.headline("with / without", done[1].perSecond()/done[0].perSecond(), Times, "deliveries per second")
	l.report.headline("delivered, resolved", done[1].perSecond(), PerSecond, "")
	l.report.figure("delivered without", done[0].perSecond(), PerSecond, "")
	if l.Rate == 0 {
		return nil
	}
	name := fmt.Sprintf("resolved, at %d/s", l.Rate)
	paced, err := l.paceAll(ctx, name, l.events(l.daemon.webhooks[1]), l.Rate, l.Duration)
	if err != nil {
		return err
	}
	l.report.phase(name, fromIntended, paced)
	l.report.percentiles(name, paced.times.latency())
	return nil
}
