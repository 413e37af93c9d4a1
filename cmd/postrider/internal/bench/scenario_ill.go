package bench

import (
	"context"
	"fmt"
)

func slowEndpoint() Scenario {
	return Scenario{
		Name: "slow", About: "half of the load (--slow-share) goes to an endpoint that hangs: what a healthy one notices",
		measure: func(ctx context.Context, l *lab) error { return measureIll(ctx, l, "hangs", (*endpoint).hang) },
	}
}

func failingEndpoint() Scenario {
	return Scenario{
		Name: "failing", About: "the same with an endpoint that answers 500",
		measure: func(ctx context.Context, l *lab) error { return measureIll(ctx, l, "fails", (*endpoint).fail) },
	}
}

// illRate is the load of these comparisons, the healthy and the ill together, in events per second.
const illRate = 500

// measureIll publishes at a rate to two endpoints, first while both answer, then while one is ill, and compares the other's latency.
func measureIll(ctx context.Context, l *lab, does string, fallIll func(*endpoint)) error {
	endpoints, err := l.startWithEndpoints(ctx, 2)
	if err != nil {
		return err
	}
	events := l.events(l.daemon.webhooks...)
	events.Share = l.SlowShare
	events.ignored = func(n int) bool { return events.bodyOf(n) == 1 }
	return compareHealth(ctx, l, events, fmt.Sprintf("one %s", does), func() { fallIll(endpoints[1]) })
}

func neighbours() Scenario {
	return Scenario{
		Name: "neighbours", About: "100 subscribers (--subscribers) at 500/s, of which one hangs and one answers 500: what the others notice",
		measure: measureNeighbours,
	}
}

func measureNeighbours(ctx context.Context, l *lab) error {
	n := max(3, l.subscribersOr(100))
	endpoints, err := l.startWithEndpoints(ctx, n)
	if err != nil {
		return err
	}
	events := l.events(l.daemon.webhooks...)
	events.ignored = func(i int) bool { return i%n < 2 }
	return compareHealth(ctx, l, events, "two are ill", func() {
		endpoints[0].hang()
		endpoints[1].fail()
	})
}

// compareHealth publishes at a rate twice, before and after fallIll. The ill ones' events are published both times, so that the two differ in nothing
// but how those are answered.
func compareHealth(ctx context.Context, l *lab, events traffic, ill string, fallIll func()) error {
	if err := l.warm(ctx, l.Events, events); err != nil {
		return err
	}
	before, err := l.paceAll(ctx, "all answer", events, illRate, l.Duration)
	if err != nil {
		return err
	}
	fallIll()
	after, err := l.paceAll(ctx, ill, events, illRate, l.Duration)
	if err != nil {
		return err
	}
	l.report.phase("all answer", fromIntended, before)
	l.report.phase(ill, fromIntended, after)
	was, is := before.times.latency(), after.times.latency()
	l.report.headline("p99 of the healthy", is.P99/was.P99, Times, "what it is, against what it was while all answered")
	l.report.headline("p50 of the healthy", is.P50/was.P50, Times, "")
	l.report.percentiles("all answer", was)
	l.report.percentiles(ill, is)
	return nil
}
