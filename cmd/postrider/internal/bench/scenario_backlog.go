package bench

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

func backlog() Scenario {
	return Scenario{
		Name: "backlog", About: "--backlog events pile up while the receiver hangs, then drain: throughput, memory, size of the file", Long: true,
		measure: measureBacklog,
	}
}

const (
	backlogBatch = 100
	tenths       = 10
	// Attempts that time out while the queue fills are repeated until the receiver answers, however long that takes.
	backlogRetry = `{"schedule":"exponential","first":"2s","factor":1,"max":"2s","max_retries":1000}`
)

func measureBacklog(ctx context.Context, l *lab) error {
	if err := l.start(ctx, need{webhooks: 1}); err != nil {
		return err
	}
	e := l.receiver.add(1)[0]
	if err := l.daemon.subscribe(ctx, subscription{webhook: l.daemon.webhooks[0], endpoint: e, retry: backlogRetry}); err != nil {
		return err
	}
	events := l.batches(l.daemon.webhooks[0], backlogBatch)
	if err := l.warm(ctx, l.Events, events); err != nil {
		return err
	}
	empty := newOutcome()
	if err := l.floodAll(ctx, &empty, "empty queue", events, min(l.Events, l.Backlog)); err != nil {
		return err
	}
	size := l.daemon.databaseSize()
	memory := l.watchMemory()

	e.hang()
	p, err := l.flood(ctx, "filling", events, l.Backlog)
	filled := l.daemon.databaseSize()
	if err != nil {
		memory()
		return err
	}
	answering := now()
	e.answer()
	done, err := l.settle(ctx, p)
	if peak := memory(); err == nil && peak > 0 {
		defer func() { l.report.headline("memory at most", float64(peak), Bytes, "of the daemon, anonymous") }()
	}
	if err != nil {
		return err
	}
	l.report.phase("empty queue", fromPublish, empty)
	l.report.phase("backlog", fromPublish, done)
	drained, slowest := p.drainRates(answering)
	l.report.headline("drained / empty", slowest/empty.perSecond(), Times, "the slowest tenth of draining, against publishing and delivering on an empty queue")
	l.report.headline("filled", rate(done.events, done.sending), PerSecond, fmt.Sprintf("%d events, in batches of %d", done.events, backlogBatch))
	l.report.headline("drained", drained, PerSecond, fmt.Sprintf("slowest tenth %.0f/s", slowest))
	l.report.figure("empty queue", empty.perSecond(), PerSecond, "")
	if filled > 0 {
		payloads := float64(l.Size) * float64(done.events)
		l.report.headline("file / payloads", float64(filled-size)/payloads, Times, "how much it grew while the queue was filled")
	}
	return nil
}

// watchMemory reads the daemon's anonymous memory a few times a second, until stop is called, which returns the most that it was.
func (l *lab) watchMemory() (stop func() (peak int64)) {
	ended := make(chan struct{})
	var peak int64
	var watch sync.WaitGroup
	watch.Go(func() {
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			peak = max(peak, l.anonymous())
			select {
			case <-ended:
				return
			case <-tick.C:
			}
		}
	})
	return func() int64 {
		close(ended)
		watch.Wait()
		return peak
	}
}

// drainRates returns how many arrived per second behind a point in time, in all and in the slowest tenth of them. The first hundredth is left out: those
// were waiting at the receiver's door, and when the next ones come is the breaker's decision.
func (p *phase) drainRates(from int64) (all, slowest float64) {
	times := make([]int64, 0, len(p.arrived))
	for i := range p.arrived {
		if at := p.arrived[i].Load(); at >= from {
			times = append(times, at)
		}
	}
	slices.Sort(times)
	times = times[len(times)/100:]
	n := len(times) / tenths
	if n < 2 {
		return 0, 0
	}
	for i := range tenths {
		part := times[i*n : (i+1)*n]
		r := rate(len(part)-1, time.Duration(part[len(part)-1]-part[0]))
		if i == 0 || r < slowest {
			slowest = r
		}
	}
	return rate(len(times)-1, time.Duration(times[len(times)-1]-times[0])), slowest
}
