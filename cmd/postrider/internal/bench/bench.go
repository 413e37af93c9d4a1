// Package bench measures a daemon against the machine that it runs on. What it measures are scenarios: start reading at [Scenarios]; each is a
// file of its own, scenario_NAME.go, and tells what it does and what its figures mean. To add one, write such a file and put it on that list.
//
// A scenario works in a [lab]: it starts a daemon, subscribes endpoints of a receiver to webhooks, publishes, and waits for what arrives.
//
// The receiver runs in this process, the publishers in a process of their own ([PublisherCommand]), as in life: a sender of webhooks does not run within
// their receiver, and a POST that stays in one Go process is cheaper than any that is sent. The raw net/http POST loop, with which events are compared, is
// run by that same process, and ends at that same receiver, so that what both cost weighs on both sides. They do as little as they can: bodies are made
// beforehand and found again by searching bytes, no JSON is decoded while the clock runs. A [job] goes to the publishers, and when each event was sent comes
// back, by a clock that both processes read.
package bench

import (
	"context"
	"fmt"
	"time"
)

// Settings say how much is measured, and against which daemon. A scenario looks at those that it has a use for.
type Settings struct {
	Executable string // the postrider to start, with plugins/ and examples/ beside it
	Dir        string // where its temporary data goes; "": the system's place

	URL      string // of a daemon that runs, to measure instead of one of its own; "": none
	Token    string
	Webhooks []string // of that daemon, without a service, and without other subscribers

	Queue string // URL of the RabbitMQ that a daemon of its own has its queue on, and events are published to; "": the embedded one, and over HTTP

	Events      int // of a load phase
	Publishers  int // at a time
	Size        int // of a payload, in bytes
	Batch       int // events in one request
	Rate        int // events per second where they are published at a rate; 0: no such phase in burst
	Duration    time.Duration
	Subscribers int     // 0: as many as the scenario is about
	SlowShare   float64 // of the load, for the endpoint that is ill
	Backlog     int     // events

	Progress func(Progress) // told how far it is, a few times a second; nil: nobody
}

// Progress says how far a phase is.
type Progress struct {
	Scenario  string
	Phase     string // in words
	Sent      int
	Delivered int
	Total     int
}

// Run measures one scenario, runs times, each from scratch. Of several runs the report has the median of each figure, and its spread.
func Run(ctx context.Context, s Scenario, with Settings, runs int) (Report, error) {
	var reports []Report
	for range max(1, runs) {
		r, err := s.run(ctx, with)
		if err != nil {
			return r, fmt.Errorf("scenario %s: %w", s.Name, err)
		}
		reports = append(reports, r)
	}
	return merge(reports), nil
}

func rate(n int, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}
