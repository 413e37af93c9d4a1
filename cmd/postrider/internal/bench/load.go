package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// load is a stream of POSTs to one address, whose bodies end up at the receiver.
type load struct {
	url        string
	token      string
	accepted   int // the status that says so
	publishers int
	body       template
	receiver   *Receiver
	progress   func(Progress)
}

// outcome is what became of one phase.
type outcome struct {
	sent       int // accepted by the other side
	received   int // distinct events
	duplicated int
	sending    time.Duration // from the first POST to the answer of the last
	whole      time.Duration // from the first POST to the last receipt
	times      histogram     // of each event: from its POST to its receipt
}

func newOutcome() outcome { return outcome{times: newHistogram()} }

func (o outcome) lost() int { return o.sent - o.received }

// runInto runs, and adds what became of it to o.
func (l load) runInto(ctx context.Context, o *outcome, name string, events int) error {
	if events == 0 {
		return nil
	}
	more, err := l.run(ctx, name, events)
	if err != nil {
		return err
	}
	o.sent += more.sent
	o.received += more.received
	o.duplicated += more.duplicated
	o.sending += more.sending
	o.whole += more.whole
	o.times.add(more.times)
	return nil
}

// run posts events as fast as the other side takes them, waits until they are received, and accounts for them.
func (l load) run(ctx context.Context, name string, events int) (outcome, error) {
	batch := max(1, len(l.body.slots))
	events = (events + batch - 1) / batch * batch
	p := l.receiver.begin(events)
	client, done := l.client()
	defer done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next, sent atomic.Int64
	stop := l.report(name, p, &sent, events)
	defer stop()

	started := l.receiver.now()
	var publishers sync.WaitGroup
	for range l.publishers {
		publishers.Go(func() {
			body := l.body.clone()
			for {
				first := int(next.Add(int64(batch))) - batch
				if first >= events || ctx.Err() != nil {
					return
				}
				body.fill(p.number, first)
				now := l.receiver.now()
				for i := range batch {
					p.sent[first+i] = now
				}
				if err := l.post(ctx, client, body.content); err != nil {
					cancel(err)
					return
				}
				sent.Add(int64(batch))
			}
		})
	}
	publishers.Wait()
	if ctx.Err() != nil {
		return outcome{}, context.Cause(ctx)
	}
	sending := l.receiver.now() - started
	return p.settle(ctx, started, sending)
}

// inFlight bounds how many publishes of the steady phase may wait for their answer. Beyond it the pace is lost, and shows as latency,
// which counts from when a publish was meant to begin.
const inFlight = 512

// pace posts one event every interval, without waiting for the answers.
func (l load) pace(ctx context.Context, name string, events int, interval time.Duration) (outcome, error) {
	p := l.receiver.begin(events)
	client, done := l.client()
	defer done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var sent atomic.Int64
	stop := l.report(name, p, &sent, events)
	defer stop()

	var publishes sync.WaitGroup
	room := make(chan template, inFlight) // bodies that are free
	for range inFlight {
		room <- l.body.clone()
	}
	started := l.receiver.now()
	for n := range events {
		meant := started + int64(n)*int64(interval)
		sleep(time.Duration(meant - l.receiver.now()))
		if ctx.Err() != nil {
			break
		}
		p.sent[n] = meant
		body := <-room
		publishes.Go(func() {
			defer func() { room <- body }()
			body.fill(p.number, n)
			if err := l.post(ctx, client, body.content); err != nil {
				cancel(err)
				return
			}
			sent.Add(1)
		})
	}
	publishes.Wait()
	if ctx.Err() != nil {
		return outcome{}, context.Cause(ctx)
	}
	sending := l.receiver.now() - started
	return p.settle(ctx, started, sending)
}

// client returns a client that keeps a connection for each publisher.
func (l load) client() (client *http.Client, done func()) {
	transport := &http.Transport{MaxIdleConns: 0, MaxIdleConnsPerHost: max(l.publishers, inFlight), DisableCompression: true}
	return &http.Client{Transport: transport, Timeout: time.Minute}, transport.CloseIdleConnections
}

// post sends one body and waits for its answer.
func (l load) post(ctx context.Context, client *http.Client, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if l.token != "" {
		request.Header.Set("Authorization", "Bearer "+l.token)
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != l.accepted {
		detail, _ := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
		return fmt.Errorf("%s answered %s: %s", l.url, answer.Status, strings.TrimSpace(string(detail)))
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

const (
	settlePoll = 2 * time.Millisecond
	// patience is how long nothing may arrive before what is missing counts as lost. It is above the schedule's longest delay, so that an
	// event that is retried is late, not lost.
	patience = 30 * time.Second
	// afterglow is how long a duplicate may take to show up behind the last event.
	afterglow = 250 * time.Millisecond
)

// settle waits until everything was received, or nothing comes any more.
func (p *phase) settle(ctx context.Context, started, sending int64) (outcome, error) {
	tick := time.NewTicker(settlePoll)
	defer tick.Stop()
	received, progressed := p.received.Load(), time.Now()
	for received < int64(len(p.sent)) && time.Since(progressed) < patience {
		select {
		case <-ctx.Done():
			return outcome{}, ctx.Err()
		case <-tick.C:
		}
		if now := p.received.Load(); now != received {
			received, progressed = now, time.Now()
		}
	}
	time.Sleep(afterglow)
	o := outcome{
		sent: len(p.sent), received: int(p.received.Load()), duplicated: int(p.duplicated.Load()),
		sending: time.Duration(sending), whole: time.Duration(p.last.Load() - started),
	}
	o.times = newHistogram()
	for n := range p.sent {
		if at := p.arrived[n].Load(); at != 0 {
			o.times.record(time.Duration(at - p.sent[n]))
		}
	}
	return o, nil
}

const reportEvery = 100 * time.Millisecond

// report tells how far a phase is until stop is called.
func (l load) report(name string, p *phase, sent *atomic.Int64, total int) (stop func()) {
	if l.progress == nil {
		return func() {}
	}
	tell := func() {
		l.progress(Progress{Phase: name, Sent: int(sent.Load()), Delivered: int(p.received.Load()), Total: total})
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
