package bench

import (
	"context"
	"sync"
	"time"
)

// traffic says what is published, and who is to get it.
type traffic struct {
	mix
	to         destination
	publishers int              // at a time, where they publish as fast as they can
	fan        int              // how many endpoints get each event
	ignored    func(n int) bool // events that are not awaited, because their endpoint is ill; nil: none
}

// flood publishes events as fast as they are taken. It does not wait until they arrive: settle does.
func (l *lab) flood(ctx context.Context, name string, t traffic, events int) (*phase, error) {
	batch := t.batch()
	return l.publish(ctx, name, t, job{Publishers: t.publishers, Events: (events + batch - 1) / batch * batch})
}

// pace publishes events one by one at a rate.
func (l *lab) pace(ctx context.Context, name string, t traffic, perSecond int, d time.Duration) (*phase, error) {
	return l.publish(ctx, name, t, job{Interval: time.Second / time.Duration(perSecond), Events: max(1, int(float64(perSecond)*d.Seconds()))})
}

func (l *lab) publish(ctx context.Context, name string, t traffic, j job) (*phase, error) {
	p := l.receiver.begin(name, j.Events, t)
	defer l.watch(p)()
	j.To, j.Mix, j.Phase = t.to, t.mix, p.number
	done, err := l.publishers.do(ctx, j, func(accepted int) { p.accepted.Store(int64(accepted)) })
	p.began, p.sending, p.sent = done.Began, done.Sending, done.Sent
	return p, err
}

const (
	settlePoll = 2 * time.Millisecond
	// patience is how long nothing may arrive before what is missing counts as lost. It is above the schedule's longest delay, so that an
	// event that is retried is late, not lost.
	patience = 30 * time.Second
	// afterglow is how long a duplicate may take to show up behind the last event.
	afterglow = 250 * time.Millisecond
)

// settle waits until everything of p has arrived, or nothing comes any more, and returns what became of it.
func (l *lab) settle(ctx context.Context, p *phase) (outcome, error) {
	defer l.watch(p)()
	tick := time.NewTicker(settlePoll)
	defer tick.Stop()
	received, progressed := p.received.Load(), time.Now()
	for received < int64(p.awaited) && time.Since(progressed) < patience {
		select {
		case <-ctx.Done():
			return outcome{}, ctx.Err()
		case <-tick.C:
		}
		if n := p.received.Load(); n != received {
			received, progressed = n, time.Now()
		}
	}
	select {
	case <-ctx.Done():
		return outcome{}, ctx.Err()
	case <-time.After(afterglow):
	}
	o := p.outcome()
	l.report.Timeline = append(l.report.Timeline, p.segment(l.receiver.epoch))
	return o, nil
}

// floodAll is flood and settle, added to o. Turns of two kinds of traffic are made of it.
func (l *lab) floodAll(ctx context.Context, o *outcome, name string, t traffic, events int) error {
	if events == 0 {
		return nil
	}
	p, err := l.flood(ctx, name, t, events)
	if err != nil {
		return err
	}
	more, err := l.settle(ctx, p)
	o.add(more)
	return err
}

// paceAll is pace and settle.
func (l *lab) paceAll(ctx context.Context, name string, t traffic, perSecond int, d time.Duration) (outcome, error) {
	p, err := l.pace(ctx, name, t, perSecond, d)
	if err != nil {
		return outcome{}, err
	}
	return l.settle(ctx, p)
}

// warmUp is how many requests each side answers before the clock runs: connections are open then, and caches filled.
const warmUp = 2000

// warm publishes a little of each traffic. It is no part of the report.
func (l *lab) warm(ctx context.Context, events int, traffics ...traffic) error {
	for _, t := range traffics {
		var o outcome
		o.times = newHistogram()
		if err := l.floodAll(ctx, &o, "warming up", t, min(warmUp, events)); err != nil {
			return err
		}
	}
	l.report.Timeline = nil
	return nil
}

// watch tells how far a phase is until stop is called.
func (l *lab) watch(p *phase) (stop func()) {
	if l.Progress == nil {
		return func() {}
	}
	tell := func() {
		l.Progress(Progress{
			Scenario: l.report.Scenario, Phase: p.name, Sent: int(p.accepted.Load()), Delivered: int(p.received.Load()), Total: p.awaited,
		})
	}
	ended := every(reportEvery, tell)
	return func() {
		ended()
		tell()
	}
}

const reportEvery = 100 * time.Millisecond

// every calls f at intervals until stop is called, which waits for the last call to return.
func every(interval time.Duration, f func()) (stop func()) {
	ended := make(chan struct{})
	var caller sync.WaitGroup
	caller.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
				f()
			}
		}
	})
	return func() {
		close(ended)
		caller.Wait()
	}
}
