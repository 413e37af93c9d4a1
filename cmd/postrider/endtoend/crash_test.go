package endtoend

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/core/coretest/chaos"
)

// burst publishes events from 32 publishers until all are accepted. A publisher that gets no 202 repeats the same event, as the id lets it.
type burst struct {
	oracle   *oracle
	total    int
	first    int // how many events came before these
	accepted atomic.Int64
	target   atomic.Pointer[daemon]
}

func (b *burst) run(t *testing.T) (wait func()) {
	var next atomic.Int64
	var publishers sync.WaitGroup
	for range 32 {
		publishers.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(b.total) {
					return
				}
				id := fmt.Sprintf("burst-%d", n+int64(b.first))
				for t.Context().Err() == nil {
					sent := time.Now()
					status, answer, err := b.target.Load().try("POST", "/v1/events", strings.NewReader(publication(id)))
					if err == nil && status == 202 {
						b.oracle.accept(id)
						b.oracle.wrote(sent)
						b.accepted.Add(1)
						break
					}
					if err == nil && status != 503 {
						t.Errorf("publish: %d %s", status, answer)
						return
					}
					time.Sleep(time.Millisecond) // the daemon is gone: ask again, but not in a spin
				}
			}
		})
	}
	return publishers.Wait
}

// publication is an event as it is published over HTTP, which carries its id in its arguments, too.
func publication(id string) string {
	return fmt.Sprintf(`{"id":%q,"event":"stock.item.changed","arguments":{"id":%[1]q}}`, id)
}

func TestNothingIsLostWhenTheDaemonIsKilled(t *testing.T) {
	kills := chaos.Setting(t, "POSTRIDER_KILLS", 3)
	b := &burst{oracle: newOracle(), total: chaos.Setting(t, "POSTRIDER_EVENTS", 4000)}
	in := install(t)
	d := in.serve()
	r := receive(t, always(200))
	d.subscribe("stock.item.changed", r.URL)
	b.target.Store(d)
	wait := b.run(t)
	for k := range kills {
		due := int64(b.total) * int64(k+1) / int64(kills+1)
		eventually(t, "the burst has come that far", func() bool { return b.accepted.Load() >= due })
		time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond) // anywhere in what it does
		d.kill()
		b.oracle.crashed()
		d = in.serve()
		b.target.Store(d)
	}
	wait()
	row := b.oracle.audit(t, d, r)
	row.Faults = "daemon killed " + plural(kills, "time")
	row.Bound = b.oracle.bound(r.all())
	row.Recovery = recovery(r.all(), b.oracle.setbacks()...)
	chaos.Report(t, row)
	d.stopAtRest()
}

func TestNothingIsLostAndNoAttemptIsBurntWhenTheNotifierIsKilled(t *testing.T) {
	nothingIsLostWhenTheNotifierIsKilled(t, "", "notifier killed ", 3, 4000)
}

func TestNothingIsLostAndNoAttemptIsBurntWhenTheNotifierIsKilledWithTheQueueOnRabbitMQ(t *testing.T) {
	nothingIsLostWhenTheNotifierIsKilled(t, onRabbitMQ(broker.Start(t).VHost(t)), "the queue on RabbitMQ, notifier killed ", 2, 1500)
}

func nothingIsLostWhenTheNotifierIsKilled(t *testing.T, queue, faults string, kills, events int) {
	kills = chaos.Setting(t, "POSTRIDER_KILLS", kills)
	b := &burst{oracle: newOracle(), total: chaos.Setting(t, "POSTRIDER_EVENTS", events)}
	in := install(t, queue)
	d := in.serve()
	r := receive(t, always(200))
	d.subscribe("stock.item.changed", r.URL)
	b.target.Store(d)
	wait := b.run(t)
	type plugin struct {
		Name, State, Notifier string // the last one is "" where the process is the plugin's own, and not one for suspects
		PID                   int
	}
	pid := func() (pid int) {
		for _, p := range get[page[plugin]](d, "/v1/plugins").Items {
			if p.Name == "http" && p.State == "running" && p.Notifier == "" {
				pid = p.PID
			}
		}
		return pid
	}
	var killed []setback
	victim := 0
	for k := range kills {
		due := int64(b.total) * int64(k+1) / int64(kills+1)
		// Accepted, not delivered: the plugin may be killed again before it has delivered anything, and no delivery may be blamed for that.
		eventually(t, "the burst has come that far", func() bool { return b.accepted.Load() >= due })
		last := victim // is shown as running until its end is noticed
		eventually(t, "the notifier runs", func() bool { victim = pid(); return victim != 0 && victim != last })
		if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		killed = append(killed, setback{now, now})
	}
	wait()
	row := b.oracle.audit(t, d, r)
	row.Faults = faults + plural(kills, "time")
	row.Bound = kills * lanePlaces // what it had in hand
	row.Recovery = recovery(r.all(), killed...)
	chaos.Report(t, row)
	if row.Burnt != 0 {
		t.Errorf("%d attempts burnt", row.Burnt)
	}
	d.stopAtRest()
}
