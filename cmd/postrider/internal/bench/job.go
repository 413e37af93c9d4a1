package bench

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// job is what the process that publishes is told to do: publish so many events, as fast as they are taken, or one in each interval.
type job struct {
	To         destination
	Mix        mix
	Phase      int
	Events     int // of whole bodies
	Publishers int // at a time, where there is no interval
	Interval   time.Duration
}

// news is what it says about that: how far it is, and in the end how it went.
type news struct {
	Accepted int // events
	Ended    bool
	Error    string // "": none
	Began    int64
	Sending  time.Duration // from the first publish to the answer of the last
	Sent     []int64       // when each event was to be sent
}

// mix is which bodies are published.
type mix struct {
	Bodies []template // one for each webhook; with more than one event in a body, there is one body
	Share  float64    // of the events, for the second of two bodies, evenly among the others; 0: bodies by turns
}

// bodyOf returns which body event n has.
func (m mix) bodyOf(n int) int {
	if m.Share > 0 {
		return int(float64(n+1)*m.Share) - int(float64(n)*m.Share)
	}
	return n % len(m.Bodies)
}

// batch is how many events a body holds.
func (m mix) batch() int { return max(1, len(m.Bodies[0].Slots)) }

func (m mix) clone() mix {
	bodies := make([]template, len(m.Bodies))
	for i, b := range m.Bodies {
		bodies[i] = b.clone()
	}
	return mix{bodies, m.Share}
}

// work is a job under way.
type work struct {
	job
	accepted atomic.Int64 // events
	began    int64
	sending  time.Duration
	sent     []int64 // written by each event's publisher, read after all have ended
}

func newWork(j job) *work { return &work{job: j, sent: make([]int64, j.Events)} }

// do returns when everything is published and answered, or one publish has failed.
func (w *work) do(ctx context.Context, by publisher) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w.began = now()
	if w.Interval > 0 {
		w.pace(ctx, by, cancel)
	} else {
		w.flood(ctx, by, cancel)
	}
	w.sending = time.Duration(now() - w.began)
	return context.Cause(ctx)
}

// flood publishes events as fast as they are taken.
func (w *work) flood(ctx context.Context, by publisher, failed context.CancelCauseFunc) {
	batch := w.Mix.batch()
	var next atomic.Int64
	var publishers sync.WaitGroup
	for range w.Publishers {
		publishers.Go(func() {
			mix := w.Mix.clone()
			for {
				first := int(next.Add(int64(batch))) - batch
				if first >= w.Events || ctx.Err() != nil {
					return
				}
				body := mix.Bodies[mix.bodyOf(first)]
				body.fill(w.Phase, first)
				at := now()
				for i := range batch {
					w.sent[first+i] = at
				}
				if err := by.publish(ctx, body.Content); err != nil {
					failed(err)
					return
				}
				w.accepted.Add(int64(batch))
			}
		})
	}
	publishers.Wait()
}

// inFlight bounds how many publishes at a rate may wait for their answer. Beyond it the pace is lost, and shows as latency, which counts
// from when a publish was meant to begin.
const inFlight = 512

// pace publishes events one by one, without waiting for the answers of those before: an open loop. Their latency counts from when each was
// meant to be sent, so that a daemon that stalls is not spared what it would have been sent meanwhile.
func (w *work) pace(ctx context.Context, by publisher, failed context.CancelCauseFunc) {
	var publishes sync.WaitGroup
	room := make(chan struct{}, inFlight)
	for n := range w.Events {
		meant := w.began + int64(n)*int64(w.Interval)
		sleep(time.Duration(meant - now()))
		if ctx.Err() != nil {
			break
		}
		w.sent[n] = meant
		room <- struct{}{}
		publishes.Go(func() {
			defer func() { <-room }()
			body := w.Mix.Bodies[w.Mix.bodyOf(n)].clone()
			body.fill(w.Phase, n)
			if err := by.publish(ctx, body.Content); err != nil {
				failed(err)
				return
			}
			w.accepted.Add(1)
		})
	}
	publishes.Wait()
}
