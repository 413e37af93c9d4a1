package endtoend

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/core/coretest/chaos"
	"github.com/postrider/postrider/core/coretest/faultproxy"
	"github.com/postrider/postrider/core/rabbitmq/brokertest"
)

func TestNothingIsLostWhenBrokerAndDaemonAreKilledInTurn(t *testing.T) {
	kills := chaos.Setting(t, "POSTRIDER_BROKER_KILLS", 1)
	b := brokertest.Start(t, brokertest.Config{})
	o := newOracle()
	in := install(t, onRabbitMQ(b.URL()))
	d := in.serve()
	r := receive(t, func(int, received) int { time.Sleep(20 * time.Millisecond); return 200 }) // slower than the shop: a kill finds deliveries under way
	s := &shop{oracle: o, url: b.URL(), prefix: "shop", total: chaos.Setting(t, "POSTRIDER_BROKER_EVENTS", 3000), paced: true}
	share := int64(s.total / (2*kills + 1)) // for each kill: or all would be published by the time of the second
	d.subscribe("stock.item.changed", r.URL)
	p := &pulse{oracle: o, subscriber: d.subscribe("sales.order.created", r.URL)}
	p.target.Store(d)
	defer p.run(t)()
	wait := s.run(t)

	var faults []setback
	var killed []kill
	idle := 0 // kills that met nobody at work
	for k := range 2 * kills {
		allowed := share * int64(k+2)
		s.allowed.Store(allowed)
		due := allowed - share + rand.Int64N(share*3/4) // anywhere in what they do
		eventually(t, "the shop has published that much", func() bool { return s.confirmed.Load() >= due })
		if come, _ := r.counts(); s.confirmed.Load() <= int64(come) || s.confirmed.Load() >= int64(s.total) {
			idle++
		}
		if k%2 == 0 {
			b.Kill()
			at := time.Now()
			b.Restart(t) // the daemon goes on with what it has in hand
			killed = append(killed, kill{false, at, time.Now()})
			faults = append(faults, setback{at, time.Now()})
			eventually(t, "the daemon is ready again", func() bool { d.mustRun(); status, _ := d.ready(); return status == http.StatusOK })
		} else {
			d.kill()
			o.crashed()
			at := time.Now()
			d = in.serve()
			killed = append(killed, kill{true, at, time.Now()})
			faults = append(faults, setback{at, at})
			p.target.Store(d)
		}
		reached, _ := r.counts()
		more := min(reached+together, int(allowed))
		eventually(t, "deliveries go on", func() bool { n, _ := r.counts(); return n >= more })
	}
	s.allowed.Store(int64(s.total))
	wait()
	row := o.audit(t, d, r)
	byDaemon, byBroker, byNothing := explain(r.all(), killed)
	t.Logf("of the duplicates, %d have a kill of the daemon between them, %d one of the broker alone, %d none", byDaemon, byBroker, byNothing)
	t.Logf("%d messages were published and not confirmed, and so published again; %d of %d kills met nobody at work", s.repeated.Load(), idle, 2*kills)
	if idle > kills {
		t.Errorf("%d of %d kills met a daemon that had delivered all there was, or a shop that had published it", idle, 2*kills)
	}
	if byNothing > 0 {
		t.Errorf("%d duplicates without a kill", byNothing)
	}
	row.Faults = fmt.Sprintf("RabbitMQ and daemon killed %s each, in turn", plural(kills, "time"))
	row.Bound = o.bound(r.all()) // a broker that comes back finds the daemon with what it had in hand
	row.Recovery = recovery(r.all(), faults...)
	chaos.Report(t, row)
	waitForEmpty(t, in)
	p.stop()
	d.stopAtRest()
}

// pulse has the daemon write to its disk all the time, and the oracle know of it: where events are published to the broker, nobody else is told.
type pulse struct {
	oracle     *oracle
	subscriber int // whose event never comes
	target     atomic.Pointer[daemon]
	ended      atomic.Bool
	worker     sync.WaitGroup
}

func (p *pulse) run(t *testing.T) (stop func()) {
	p.worker.Go(func() {
		pause := time.NewTicker(5 * time.Millisecond)
		defer pause.Stop()
		for n := 0; !p.ended.Load(); n++ {
			sent := time.Now()
			change := fmt.Sprintf(`{"url":"http://127.0.0.1/pulse/%d"}`, n)
			status, answer, err := p.target.Load().try("PATCH", fmt.Sprint("/v1/subscribers/", p.subscriber), strings.NewReader(change))
			switch {
			case err == nil && status == 200:
				p.oracle.wrote(sent)
			case err == nil:
				t.Errorf("change a subscriber: %d %s", status, answer)
				return
			}
			<-pause.C
		}
	})
	return p.stop
}

func (p *pulse) stop() {
	p.ended.Store(true)
	p.worker.Wait()
}

// kill is a time during which daemon or broker was gone, up to when it was back. What the daemon had sent before may be received, and stamped, during it.
type kill struct {
	daemon   bool
	at, over time.Time
}

// explain counts receipts beyond the first of an event by what was killed since the one before.
func explain(receipts []received, killed []kill) (byDaemon, byBroker, byNothing int) {
	last := map[string]time.Time{}
	for _, r := range receipts {
		before, repeated := last[r.Event]
		last[r.Event] = r.At
		if !repeated {
			continue
		}
		daemon, broker := false, false
		for _, k := range killed {
			if k.over.After(before) && k.at.Before(r.At) {
				daemon, broker = daemon || k.daemon, broker || !k.daemon
			}
		}
		switch {
		case daemon:
			byDaemon++
		case broker:
			byBroker++
		default:
			byNothing++
		}
	}
	return byDaemon, byBroker, byNothing
}

// waitForEmpty waits until nothing is left on the broker: whatever came was handed over.
func waitForEmpty(t *testing.T, in *installation) {
	t.Helper()
	eventually(t, "nothing waits on the broker any more", func() bool {
		for _, q := range in.topology() {
			if q.Messages > 0 && q.Name != "webhook.delays" {
				return false
			}
		}
		return true
	})
}

func TestNothingIsLostWhileTheBrokerIsAway(t *testing.T) {
	outage := time.Duration(chaos.Setting(t, "POSTRIDER_OUTAGE_SECONDS", 3)) * time.Second
	b := brokertest.Start(t, brokertest.Config{})
	proxy, err := faultproxy.Start(b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	in := install(t, onRabbitMQ(strings.Replace(b.URL(), b.Addr(), proxy.Addr(), 1)))
	d := in.serve()
	r := receive(t, always(200))
	d.subscribe("stock.item.changed", r.URL)

	const part = 300
	want := 0 // events accepted so far
	o := newOracle()
	var ended []setback
	for _, fault := range []struct {
		name       string
		says       string // what /readyz has a word on
		shop       bool   // the shop still reaches the broker
		begin, end func()
	}{
		{"its connections are dropped", "connect", true,
			func() { proxy.Set(faultproxy.Fault{Reset: true}) }, func() { proxy.Set(faultproxy.Fault{}) }},
		{"its connections are half-open", "connect", true,
			func() { proxy.Set(faultproxy.Fault{Silent: true}) }, func() { proxy.Set(faultproxy.Fault{}) }},
		{"it refuses connections", "connect", false,
			b.Kill, func() { b.Restart(t) }},
		{"a memory alarm blocks publishers", "memory", false,
			func() { b.Ctl(t, "set_vm_memory_high_watermark", "0.000001") }, func() { b.Ctl(t, "set_vm_memory_high_watermark", "0.6") }},
	} {
		t.Run(fault.name, func(t *testing.T) {
			events := &burst{oracle: o, total: part, first: want}
			events.target.Store(d)
			probe := fmt.Sprint("probe-", want)
			fault.begin()
			began := time.Now()
			eventually(t, "the daemon says that it is not ready, and why", func() bool {
				d.mustRun()
				if strings.Contains(fault.says, "memory") { // a broker tells those that publish, and nobody else
					d.call("POST", "/v1/events", publication(probe))
				}
				status, said := d.ready()
				return status == http.StatusServiceUnavailable && strings.Contains(said, fault.says)
			})
			t.Logf("not ready after %s", time.Since(began).Round(time.Millisecond))
			asked := time.Now()
			if status, said := d.call("POST", "/v1/events", publication(probe)); status != 503 {
				t.Errorf("publishing over HTTP meanwhile: %d %s", status, said)
			}
			if took := time.Since(asked); took > 5*time.Second {
				t.Errorf("the refusal took %s", took)
			}
			overHTTP := events.run(t) // repeats what is refused
			want += part
			overAMQP := func() {}
			if fault.shop { // what it publishes meanwhile waits
				more := &shop{oracle: o, url: b.URL(), prefix: fmt.Sprint("meanwhile-", want), total: part}
				overAMQP = more.run(t)
				want += part
			}
			hold := time.NewTimer(outage)
			for held := false; !held; {
				select {
				case <-hold.C:
					held = true
				case <-time.After(100 * time.Millisecond):
					if n := events.accepted.Load(); n > 0 {
						t.Fatalf("%d events were accepted over HTTP while the broker was away", n)
					}
				}
			}
			fault.end()
			now := time.Now()
			ended = append(ended, setback{now, now})
			eventually(t, "the daemon is ready again, by itself", func() bool { d.mustRun(); status, _ := d.ready(); return status == http.StatusOK })
			t.Logf("ready again after %s", time.Since(now).Round(time.Millisecond))
			eventually(t, "what was refused is accepted", func() bool { status, _ := d.call("POST", "/v1/events", publication(probe)); return status == 202 })
			o.accept(probe)
			want++
			overHTTP()
			overAMQP()
			if missing := o.arrived(t, d, r); len(missing) > 0 {
				t.Errorf("%d events do not arrive though the broker is there again", len(missing))
			}
		})
	}
	row := o.audit(t, d, r)
	waitForEmpty(t, in)
	row.Faults = "RabbitMQ away for " + outage.String() + ": dropped, half-open, refusing, out of memory"
	row.Bound = len(ended) * lanePlaces // what was under way when the connection went comes again, maybe before its outcome is on disk
	row.Recovery = recovery(r.all(), ended...)
	chaos.Report(t, row)
	if row.Accepted != want {
		t.Errorf("%d events were accepted, want %d", row.Accepted, want)
	}
	d.stopAtRest()
}
