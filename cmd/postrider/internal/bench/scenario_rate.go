package bench

import (
	"context"
	"fmt"
)

func openLoop() Scenario {
	return Scenario{
		Name: "rate", About: "latency at --rate: an open loop, counted from when each publish was meant to begin",
		measure: func(ctx context.Context, l *lab) error {
			if _, err := l.startWithEndpoint(ctx); err != nil {
				return err
			}
			if err := l.warm(ctx, l.Events, l.events(l.daemon.webhooks[0])); err != nil {
				return err
			}
			return measureRate(ctx, l)
		},
	}
}

// measureRate publishes events of the first webhook at the rate of the settings.
func measureRate(ctx context.Context, l *lab) error {
	name := fmt.Sprintf("at %d/s", l.Rate)
	done, err := l.paceAll(ctx, name, l.events(l.daemon.webhooks[0]), l.Rate, l.Duration)
	if err != nil {
		return fmt.Errorf("publish %s: %w", name, err)
	}
	l.report.phase(name, fromIntended, done)
	l.report.percentiles(name, done.times.latency())
	return nil
}
