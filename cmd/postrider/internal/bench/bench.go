// Package bench measures a daemon against the machine that it runs on: a raw net/http POST loop against a receiver, by turns with events
// published to the daemon and delivered to that same receiver, by the same publishers over the same code, then their latency at a steady
// rate. Start reading at [Run].
//
// Receiver and publishers run in this process in both cases, so what they cost weighs on both sides of the ratio. They do as little as they
// can: bodies are made beforehand and found again by searching bytes, no JSON is decoded while the clock runs.
package bench

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

// Config says what is measured.
type Config struct {
	URL   string // the daemon's API
	Token string
	Event string // a webhook without a service; exactly one enabled subscriber of it sends to the receiver
	PID   int    // of the daemon, where it runs on this machine: its CPU time and memory are measured; 0: they are not

	Events     int // of the load phase
	Publishers int // at a time
	Size       int // of the payload, in bytes
	Batch      int // events in one request
	Rate       int // events per second of the steady phase; 0: there is none
	Duration   time.Duration

	Progress func(Progress) // told how far it is, a few times a second; nil: nobody
}

// Progress says how far a phase is.
type Progress struct {
	Phase     string // in words
	Sent      int
	Delivered int
	Total     int
}

// Result is what came out. Rates are per second, latencies in milliseconds.
type Result struct {
	Ratio      float64 `json:"ratio"` // deliveries per second, as a share of raw POSTs per second
	Lost       int     `json:"lost"`  // accepted, and never received
	Duplicated int     `json:"duplicated"`

	CPUs       int `json:"cpus"`
	Size       int `json:"size"`
	Publishers int `json:"publishers"`
	Batch      int `json:"batch"`

	Raw    Raw     `json:"raw"`
	Load   Load    `json:"load"`
	Steady *Steady `json:"steady,omitempty"`
	Usage  *Usage  `json:"usage,omitempty"` // of the load phase
}

// Raw is the POST loop.
type Raw struct {
	Posts     int     `json:"posts"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"per_second"`
	Latency   Latency `json:"latency_ms"` // of one POST: there and back
}

// Load is the phase in which all publishers publish as fast as they are let.
type Load struct {
	Events             int     `json:"events"`
	PublishSeconds     float64 `json:"publish_seconds"`
	PublishedPerSecond float64 `json:"published_per_second"`
	Seconds            float64 `json:"seconds"` // from the first publish to the last receipt
	DeliveredPerSecond float64 `json:"delivered_per_second"`
	Latency            Latency `json:"latency_ms"` // from the beginning of the publish to the receipt
	Lost               int     `json:"lost"`
	Duplicated         int     `json:"duplicated"`
}

// Steady is the phase in which events are published at a rate, whatever becomes of those before.
type Steady struct {
	Rate       int     `json:"rate"`
	Events     int     `json:"events"`
	Seconds    float64 `json:"seconds"`
	Latency    Latency `json:"latency_ms"` // from when the publish was meant to begin to the receipt
	Lost       int     `json:"lost"`
	Duplicated int     `json:"duplicated"`
}

// Usage is what the daemon and its plugins used.
type Usage struct {
	DaemonCPU  float64 `json:"daemon_cpu_ms_per_event"`
	PluginsCPU float64 `json:"plugins_cpu_ms_per_event"`
	Daemon     Memory  `json:"daemon_memory"`
	Plugins    Memory  `json:"plugins_memory"`
}

// warmUp is how many requests each side answers before the clock runs: connections are open then, and caches filled.
const warmUp = 2000

// turns is how often the raw loop and the events take turns. On a machine with neighbours, its speed halves and doubles from one second to
// the next: one long stretch of each would compare the machine with itself.
const turns = 8

// share is how many of events fall to one turn.
func share(events, turn int) int { return events*(turn+1)/turns - events*turn/turns }

// Run measures. The receiver must be the one that the subscriber sends to.
func Run(ctx context.Context, c Config, r *Receiver) (Result, error) {
	result := Result{CPUs: runtime.NumCPU(), Size: c.Size, Publishers: c.Publishers, Batch: c.Batch}
	raw := load{
		url: r.URL(), accepted: 200, publishers: c.Publishers, body: rawBody(c.Size), progress: c.Progress, receiver: r,
	}
	published := load{
		url: c.URL + "/v1/events", token: c.Token, accepted: 202, publishers: c.Publishers,
		body: eventBody(c.Event, c.Size, c.Batch), progress: c.Progress, receiver: r,
	}

	for _, l := range []load{raw, published} {
		if _, err := l.run(ctx, "warming up", min(warmUp, c.Events)); err != nil {
			return result, fmt.Errorf("post to %s: %w", l.url, err)
		}
	}
	posted, done := newOutcome(), newOutcome()
	before := usage(c.PID)
	for turn := range turns {
		events := share(c.Events, turn)
		if err := raw.runInto(ctx, &posted, "raw POST", events); err != nil {
			return result, fmt.Errorf("post to the receiver: %w", err)
		}
		if err := published.runInto(ctx, &done, "publishing", events); err != nil {
			return result, fmt.Errorf("publish: %w", err)
		}
	}
	after := usage(c.PID)
	result.Raw = Raw{
		Posts: posted.received, Seconds: posted.sending.Seconds(), PerSecond: rate(posted.received, posted.sending),
		Latency: posted.times.latency(),
	}
	result.Load = Load{
		Events: done.sent, PublishSeconds: done.sending.Seconds(), PublishedPerSecond: rate(done.sent, done.sending),
		Seconds: done.whole.Seconds(), DeliveredPerSecond: rate(done.received, done.whole),
		Latency: done.times.latency(), Lost: done.lost(), Duplicated: done.duplicated,
	}
	if result.Raw.PerSecond > 0 {
		result.Ratio = result.Load.DeliveredPerSecond / result.Raw.PerSecond
	}
	result.Usage = between(before, after, done.sent)
	result.Lost, result.Duplicated = done.lost(), done.duplicated

	if c.Rate > 0 && c.Duration > 0 {
		steady := published
		steady.body = eventBody(c.Event, c.Size, 1)
		count := max(1, int(float64(c.Rate)*c.Duration.Seconds()))
		done, err := steady.pace(ctx, fmt.Sprintf("at %d/s", c.Rate), count, time.Second/time.Duration(c.Rate))
		if err != nil {
			return result, fmt.Errorf("publish at %d/s: %w", c.Rate, err)
		}
		result.Steady = &Steady{
			Rate: c.Rate, Events: done.sent, Seconds: done.whole.Seconds(), Latency: done.times.latency(), Lost: done.lost(), Duplicated: done.duplicated,
		}
		result.Lost += done.lost()
		result.Duplicated += done.duplicated
	}
	return result, nil
}

func rate(n int, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}
