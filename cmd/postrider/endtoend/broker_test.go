package endtoend

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/core/coretest/chaos"
	"github.com/postrider/postrider/core/coretest/faultproxy"
	"github.com/postrider/postrider/core/rabbitmq/brokertest"
)

func TestNothingIsLostWhenBrokerAndDaemonAreKilledInTurn(t *testing.T) {
	kills := setting(t, "POSTRIDER_BROKER_KILLS", 1)
	b := brokertest.Start(t, brokertest.Config{})
	s := &shop{url: b.URL(), prefix: "shop", total: setting(t, "POSTRIDER_BROKER_EVENTS", 3000)}
	in := install(t, onRabbitMQ(b.URL()))
	d := in.serve()
	r := receive(t, always(200))
	d.subscribe("stock.item.changed", r.URL)
	wait := s.run(t)

	var recovery time.Duration
	var killed []kill
	for k := range 2 * kills {
		due := int64(s.total) * int64(k+1) / int64(2*kills+1)
		eventually(t, "the shop has published that much", func() bool { return s.confirmed.Load() >= due })
		time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond) // anywhere in what they do
		began := time.Now()
		if k%2 == 0 {
			b.Kill()
			killed = append(killed, kill{false, time.Now()})
			b.Restart(t)
			eventually(t, "the daemon is ready again", func() bool { d.mustRun(); status, _ := d.ready(); return status == http.StatusOK })
		} else {
			d.kill()
			killed = append(killed, kill{true, time.Now()})
			d = in.serve()
		}
		recovery = max(recovery, time.Since(began))
		reached, _ := r.counts()
		more := min(reached+together, s.total)
		eventually(t, "deliveries go on", func() bool { n, _ := r.counts(); return n >= more })
	}
	wait()
	eventually(t, "everything confirmed has arrived", func() bool { n, _ := r.counts(); return n >= s.total })
	deliveries, duplicates := r.counts()
	byDaemon, byBroker, byNothing := explain(r.all(), killed)
	t.Logf("of the duplicates, %d have a kill of the daemon between them, %d one of the broker alone, %d none", byDaemon, byBroker, byNothing)
	if byNothing > 0 {
		t.Errorf("%d duplicates without a kill", byNothing)
	}
	chaos.Report(t, chaos.Row{
		Faults:   fmt.Sprintf("RabbitMQ and daemon killed %s each, in turn", plural(kills, "time")),
		Accepted: s.total, Lost: s.total - deliveries, Duplicated: duplicates, Burnt: -1, Recovery: recovery,
	})
	if duplicates > 2*kills*inFlight {
		t.Errorf("%d duplicates, more than the %d that can be in flight at each of %d kills", duplicates, inFlight, 2*kills)
	}
	waitForEmpty(t, in)
	d.stop()
}

// kill is a moment at which daemon or broker was gone.
type kill struct {
	daemon bool
	at     time.Time
}

// explain counts receipts beyond the first of a delivery by what was killed since the one before.
func explain(receipts []received, killed []kill) (byDaemon, byBroker, byNothing int) {
	last := map[string]time.Time{}
	for _, r := range receipts {
		before, repeated := last[r.ID]
		last[r.ID] = r.At
		if !repeated {
			continue
		}
		daemon, broker := false, false
		for _, k := range killed {
			if k.at.After(before) && k.at.Before(r.At) {
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
	outage := time.Duration(setting(t, "POSTRIDER_OUTAGE_SECONDS", 3)) * time.Second
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
	want := 0
	var recovery time.Duration
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
			events := &burst{total: part, first: want}
			events.target.Store(d)
			probe := fmt.Sprintf(`{"id":"probe-%d","event":"stock.item.changed"}`, want)
			fault.begin()
			began := time.Now()
			eventually(t, "the daemon says that it is not ready, and why", func() bool {
				d.mustRun()
				if strings.Contains(fault.says, "memory") { // a broker tells those that publish, and nobody else
					d.call("POST", "/v1/events", probe)
				}
				status, said := d.ready()
				return status == http.StatusServiceUnavailable && strings.Contains(said, fault.says)
			})
			t.Logf("not ready after %s", time.Since(began).Round(time.Millisecond))
			asked := time.Now()
			if status, said := d.call("POST", "/v1/events", probe); status != 503 {
				t.Errorf("publishing over HTTP meanwhile: %d %s", status, said)
			}
			if took := time.Since(asked); took > 5*time.Second {
				t.Errorf("the refusal took %s", took)
			}
			overHTTP := events.run(t) // repeats what is refused
			want += part
			overAMQP := func() {}
			if fault.shop { // what it publishes meanwhile waits
				more := &shop{url: b.URL(), prefix: fmt.Sprint("meanwhile-", want), total: part}
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
			ended := time.Now()
			eventually(t, "the daemon is ready again, by itself", func() bool { d.mustRun(); status, _ := d.ready(); return status == http.StatusOK })
			recovery = max(recovery, time.Since(ended))
			t.Logf("ready again after %s", time.Since(ended).Round(time.Millisecond))
			eventually(t, "what was refused is accepted", func() bool { status, _ := d.call("POST", "/v1/events", probe); return status == 202 })
			want++
			overHTTP()
			overAMQP()
			eventually(t, "everything accepted has arrived", func() bool { n, _ := r.counts(); return n >= want })
		})
	}
	waitForEmpty(t, in)
	deliveries, duplicates := r.counts()
	chaos.Report(t, chaos.Row{
		Faults:   "RabbitMQ away for " + outage.String() + ": dropped, half-open, refusing, out of memory",
		Accepted: want, Lost: want - deliveries, Duplicated: duplicates, Burnt: -1, Recovery: recovery,
	})
	d.stop()
}
