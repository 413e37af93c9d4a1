package bench

import (
	"sync/atomic"
	"time"
)

// phase is the account of one stretch of publishing: of every event, when it was sent; of every delivery, when it arrived.
type phase struct {
	name    string
	number  int
	fan     int              // deliveries of each event
	ignored func(n int) bool // as in traffic
	awaited int              // deliveries
	events  int
	began   int64         // this and what follows: as now tells it
	sending time.Duration // from the first publish to the answer of the last

	sent       []int64        // when each event was to be sent; nil until all are
	arrived    []atomic.Int64 // of each delivery, those of one event side by side; 0: not yet
	refused    []atomic.Int64 // when an endpoint that refuses once did so; nil where none does
	accepted   atomic.Int64   // events
	received   atomic.Int64   // deliveries, each counted once
	duplicated atomic.Int64
	last       atomic.Int64 // the newest arrival
}

// note takes down that a delivery arrived.
func (p *phase) note(event, endpoint int, at int64) {
	if p.ignored != nil && p.ignored(event) {
		return
	}
	if !p.arrived[p.slot(event, endpoint)].CompareAndSwap(0, at) {
		p.duplicated.Add(1)
		return
	}
	p.received.Add(1)
	for {
		last := p.last.Load()
		if at <= last || p.last.CompareAndSwap(last, at) {
			return
		}
	}
}

// slot returns the place of a delivery in the account. Where each event has one, it does not matter to which endpoint.
func (p *phase) slot(event, endpoint int) int {
	if p.fan == 1 {
		return event
	}
	return event*p.fan + endpoint%p.fan
}

// outcome is what became of one phase, or of several of a kind.
type outcome struct {
	events     int           // accepted by the other side
	awaited    int           // deliveries that follow from them
	received   int           // each counted once
	duplicated int           //
	sending    time.Duration // from the first publish to the answer of the last
	whole      time.Duration // from the first publish to the last receipt
	times      histogram     // of each delivery: from the publish of its event to its receipt
}

func newOutcome() outcome { return outcome{times: newHistogram()} }

func (o outcome) lost() int { return o.awaited - o.received }

// perSecond is the rate of receipts.
func (o outcome) perSecond() float64 { return rate(o.received, o.whole) }

func (o *outcome) add(more outcome) {
	o.events += more.events
	o.awaited += more.awaited
	o.received += more.received
	o.duplicated += more.duplicated
	o.sending += more.sending
	o.whole += more.whole
	if more.times.h != nil {
		o.times.add(more.times)
	}
}

// outcome sums the account up. Nobody publishes any more.
func (p *phase) outcome() outcome {
	o := outcome{
		events: int(p.accepted.Load()), awaited: p.awaited, received: int(p.received.Load()), duplicated: int(p.duplicated.Load()),
		sending: p.sending, whole: time.Duration(max(0, p.last.Load()-p.began)), times: newHistogram(),
	}
	for i := range p.arrived {
		if at := p.arrived[i].Load(); at != 0 {
			o.times.record(time.Duration(at - p.sent[i/p.fan]))
		}
	}
	return o
}
