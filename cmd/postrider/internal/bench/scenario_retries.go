package bench

import (
	"context"
	"time"
)

func retries() Scenario {
	return Scenario{
		Name: "retries", About: "1,000 deliveries that failed once and wait: how far from the schedule each is tried again",
		measure: measureRetries,
	}
}

const (
	retryEvents    = 1000
	retryEndpoints = 100             // ten failures each: too few for a breaker to have its say
	retryRate      = 200             // so that they are not all due at once
	retryDelay     = 6 * time.Second // they all wait at the same time before the first is due
	retrySchedule  = `["6s","1s","1s","1s"]`
)

// measureRetries refuses each event the first time. Its delay counts from that answer, so what is off includes the way of answer and request.
func measureRetries(ctx context.Context, l *lab) error {
	if err := l.start(ctx, need{webhooks: retryEndpoints}); err != nil {
		return err
	}
	endpoints := l.receiver.add(retryEndpoints)
	var all []subscription
	for i, e := range endpoints {
		all = append(all, subscription{webhook: l.daemon.webhooks[i], endpoint: e, retry: retrySchedule})
	}
	if err := l.daemon.subscribe(ctx, all...); err != nil {
		return err
	}
	events := l.events(l.daemon.webhooks...)
	if err := l.warm(ctx, retryEndpoints, events); err != nil {
		return err
	}
	for _, e := range endpoints {
		e.refuseOnce()
	}
	n := min(retryEvents, l.Events)
	p, err := l.pace(ctx, "failing once", events, retryRate, time.Duration(n)*time.Second/retryRate)
	if err != nil {
		return err
	}
	done, err := l.settle(ctx, p)
	if err != nil {
		return err
	}
	late := newHistogram()
	early := 0
	for i := range p.arrived {
		arrived, refused := p.arrived[i].Load(), p.refused[i].Load()
		if arrived == 0 || refused == 0 {
			continue
		}
		off := time.Duration(arrived-refused) - retryDelay
		if off < 0 {
			early++
		}
		late.record(max(off, -off))
	}
	l.report.phase("failing once", "publish to the second attempt", done)
	off := late.latency()
	l.report.headline("off the schedule: p50", off.P50, Milliseconds, "the second attempt, against 6 s after the first was refused")
	l.report.headline("off the schedule: p99", off.P99, Milliseconds, "")
	l.report.headline("off the schedule: worst", off.Max, Milliseconds, "")
	l.report.figure("too early", float64(early), "", "")
	return nil
}
