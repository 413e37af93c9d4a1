package bench

import (
	"context"
	"fmt"
)

func piledUp() Scenario {
	return Scenario{
		Name: "piled-up", About: "50,000 events wait for an endpoint that hangs, then answers 500: what a healthy one notices, at 500/s",
		measure: measurePiledUp,
	}
}

// piled is how many events wait for the ill endpoint, unless --backlog is less.
const (
	piled      = 50_000
	piledBatch = 100
)

// measurePiledUp publishes at a rate to a healthy endpoint: alone, then while many events wait for another one that hangs, and then from the moment on at which
// that refuses what it was given. A lane learns then that its receiver is ill, and must put aside all that was to go to it.
func measurePiledUp(ctx context.Context, l *lab) error {
	endpoints, err := l.startWithEndpoints(ctx, 2)
	if err != nil {
		return err
	}
	healthy, ill := l.events(l.daemon.webhooks[0]), l.batches(l.daemon.webhooks[1], piledBatch)
	if err := l.warm(ctx, l.Events, healthy, ill); err != nil {
		return err
	}
	before, err := l.paceAll(ctx, "both answer", healthy, illRate, l.Duration)
	if err != nil {
		return err
	}
	endpoints[1].hang()
	ill.ignored = func(int) bool { return true }
	if _, err := l.flood(ctx, "filling", ill, min(piled, l.Backlog)); err != nil {
		return err
	}
	behind := newOutcome()
	if err := l.floodAll(ctx, &behind, "right behind them", healthy, 1); err != nil {
		return err
	}
	hanging, err := l.paceAll(ctx, "it hangs", healthy, illRate, l.Duration)
	if err != nil {
		return err
	}
	endpoints[1].fail()
	failing, err := l.paceAll(ctx, "it answers 500", healthy, illRate, l.Duration)
	if err != nil {
		return err
	}
	l.report.phase("both answer", fromIntended, before)
	was := before.times.latency()
	for _, with := range []struct {
		name string
		outcome
	}{{"it hangs", hanging}, {"it answers 500", failing}} {
		l.report.phase(with.name, fromIntended, with.outcome)
		is := with.times.latency()
		note := fmt.Sprintf("with %d events waiting for the other, against none", min(piled, l.Backlog))
		l.report.headline("p99 of the healthy, "+with.name, is.P99/was.P99, Times, note)
		l.report.percentiles(with.name, is)
	}
	l.report.percentiles("both answer", was)
	l.report.figure("right behind them", behind.times.latency().Max, Milliseconds, "one event for the healthy, published when all the others were accepted")
	return nil
}
