package bench

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// traffic says what is published.
type traffic struct {
	by         publisher
	publishers int              // at a time, where they publish as fast as they can
	bodies     []template       // one for each webhook; with more than one event in a body, there is one body
	pick       func(n int) int  // the body of event n; nil: the first
	fan        int              // how many endpoints get each event
	ignored    func(n int) bool // events that are not awaited, because their endpoint is ill; nil: none
}

func (t traffic) bodyOf(n int) int {
	if t.pick == nil {
		return 0
	}
	return t.pick(n)
}

func (t traffic) clone() []template {
	bodies := make([]template, len(t.bodies))
	for i, b := range t.bodies {
		bodies[i] = b.clone()
	}
	return bodies
}

// flood publishes events as fast as they are taken. It does not wait until they arrive: settle does.
func (l *lab) flood(ctx context.Context, name string, t traffic, events int) (*phase, error) {
	batch := max(1, len(t.bodies[0].slots))
	events = (events + batch - 1) / batch * batch
	p := l.receiver.begin(name, events, t)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer l.watch(p)()

	var next atomic.Int64
	var publishers sync.WaitGroup
	for range t.publishers {
		publishers.Go(func() {
			bodies := t.clone()
			for {
				first := int(next.Add(int64(batch))) - batch
				if first >= events || ctx.Err() != nil {
					return
				}
				body := bodies[t.bodyOf(first)]
				body.fill(p.number, first)
				now := l.receiver.now()
				for i := range batch {
					p.sent[first+i] = now
				}
				if err := t.by.publish(ctx, body.content); err != nil {
					cancel(err)
					return
				}
				p.accepted.Add(int64(batch))
			}
		})
	}
	publishers.Wait()
	p.sending = time.Duration(l.receiver.now() - p.began)
	return p, context.Cause(ctx)
}

// inFlight bounds how many publishes at a rate may wait for their answer. Beyond it the pace is lost, and shows as latency, which counts
// from when a publish was meant to begin.
const inFlight = 512

// pace publishes events one by one at a rate, without waiting for the answers of those before: an open loop. Their latency counts from when
// each was meant to be sent, so that a daemon that stalls is not spared what it would have been sent meanwhile.
func (l *lab) pace(ctx context.Context, name string, t traffic, perSecond int, d time.Duration) (*phase, error) {
	events := max(1, int(float64(perSecond)*d.Seconds()))
	interval := time.Second / time.Duration(perSecond)
	p := l.receiver.begin(name, events, t)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer l.watch(p)()

	var publishes sync.WaitGroup
	room := make(chan []template, inFlight) // bodies that are free
	for range inFlight {
		room <- t.clone()
	}
	for n := range events {
		meant := p.began + int64(n)*int64(interval)
		sleep(time.Duration(meant - l.receiver.now()))
		if ctx.Err() != nil {
			break
		}
		p.sent[n] = meant
		bodies := <-room
		publishes.Go(func() {
			defer func() { room <- bodies }()
			body := bodies[t.bodyOf(n)]
			body.fill(p.number, n)
			if err := t.by.publish(ctx, body.content); err != nil {
				cancel(err)
				return
			}
			p.accepted.Add(1)
		})
	}
	publishes.Wait()
	p.sending = time.Duration(l.receiver.now() - p.began)
	return p, context.Cause(ctx)
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
		if now := p.received.Load(); now != received {
			received, progressed = now, time.Now()
		}
	}
	select {
	case <-ctx.Done():
		return outcome{}, ctx.Err()
	case <-time.After(afterglow):
	}
	o := p.outcome()
	l.report.Timeline = append(l.report.Timeline, p.segment())
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

const reportEvery = 100 * time.Millisecond

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
	ended := make(chan struct{})
	var reporter sync.WaitGroup
	reporter.Go(func() {
		tick := time.NewTicker(reportEvery)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
				tell()
			}
		}
	})
	return func() {
		close(ended)
		reporter.Wait()
		tell()
	}
}
