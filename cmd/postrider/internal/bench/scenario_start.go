package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/postrider/postrider/core/bolt"
)

func coldStart() Scenario {
	return Scenario{
		Name: "cold-start", About: "from the start of the daemon to its first delivery", Own: true,
		measure: func(ctx context.Context, l *lab) error {
			if _, err := l.startWithEndpoint(ctx); err != nil {
				return err
			}
			return measureStart(ctx, l, 1)
		},
	}
}

// measureStart restarts the daemon and publishes one event of the first webhook, which has so many subscribers.
func measureStart(ctx context.Context, l *lab, fan int) error {
	began, err := l.daemon.restart(ctx)
	if err != nil {
		return err
	}
	ready := time.Duration(now() - began)
	event := l.events(l.daemon.webhooks[0])
	event.fan = fan
	p, err := l.flood(ctx, "first event", event, 1)
	if err != nil {
		return err
	}
	done, err := l.settle(ctx, p)
	if err != nil {
		return err
	}
	var first time.Duration
	for i := range p.arrived {
		if at := time.Duration(p.arrived[i].Load() - began); i == 0 || at < first {
			first = at
		}
	}
	l.report.phase("first event", fromPublish, done)
	l.report.headline("start to first delivery", first.Seconds(), Seconds, "of an event that is published once the daemon is ready")
	l.report.figure("start to ready", ready.Seconds(), Seconds, "")
	return nil
}

func manySubscribers() Scenario {
	return Scenario{
		Name: "many", About: "100,000 subscribers (--subscribers) of 1,000 webhooks: start, matching, memory", Own: true, Long: true,
		measure: measureMany,
	}
}

const (
	manyWebhooks = 1000
	manyRate     = 10 // events per second, each with the subscribers of one webhook
	manyMatches  = 1_000_000
)

func measureMany(ctx context.Context, l *lab) error {
	webhooks := min(manyWebhooks, l.subscribersOr(100_000))
	fan := l.subscribersOr(100_000) / webhooks
	if err := l.start(ctx, need{webhooks: webhooks}); err != nil {
		return err
	}
	var all []subscription
	for _, e := range l.receiver.add(fan) {
		for _, webhook := range l.daemon.webhooks {
			all = append(all, subscription{webhook: webhook, endpoint: e})
		}
	}
	began := time.Now()
	if err := l.daemon.subscribe(ctx, all...); err != nil {
		return err
	}
	made := rate(len(all), time.Since(began))
	if err := measureStart(ctx, l, fan); err != nil {
		return err
	}
	l.report.figure("subscribers made", made, PerSecond, "over the API")

	events := l.events(l.daemon.webhooks...)
	events.fan = fan
	done, err := l.paceAll(ctx, "all webhooks", events, manyRate, l.Duration)
	if err != nil {
		return err
	}
	l.report.phase("all webhooks", fromIntended, done)
	l.report.headline("memory", float64(l.anonymous()), Bytes, "of the daemon, anonymous, after events of all kinds")

	if err := l.daemon.own.End(); err != nil {
		return err
	}
	took, err := timeMatching(l.daemon.databaseFile(), l.daemon.webhooks)
	if err != nil {
		return err
	}
	l.report.headline("matching", float64(took.Nanoseconds())/1000, Microseconds, fmt.Sprintf("finding the %d subscribers of one event", fan))
	return nil
}

// timeMatching opens a database and finds the subscribers of its webhooks, in random order.
func timeMatching(file string, webhooks []string) (each time.Duration, err error) {
	db, err := bolt.Open(bolt.Config{Path: file})
	if err != nil {
		return 0, err
	}
	defer db.Close()
	names := slices.Clone(webhooks)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	began := time.Now()
	for i := range manyMatches {
		if len(db.Match(names[i%len(names)], began)) == 0 {
			return 0, fmt.Errorf("nobody wants %s: its subscribers were not kept", names[i%len(names)])
		}
	}
	return time.Since(began) / manyMatches, nil
}
