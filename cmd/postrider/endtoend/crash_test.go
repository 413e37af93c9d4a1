package endtoend

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/core/coretest/chaos"
)

// setting reads a number from the environment, so that `make chaos` can run the same tests at full length.
func setting(t *testing.T, name string, short int) int {
	text := os.Getenv(name)
	if text == "" {
		return short
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// burst publishes events from 32 publishers until all are accepted. A publisher that gets no 202 repeats the same event, as the id lets it.
type burst struct {
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
				n += int64(b.first)
				body := fmt.Sprintf(`{"id":"burst-%d","event":"stock.item.changed","arguments":{"n":%d}}`, n, n)
				for t.Context().Err() == nil {
					status, answer, err := b.target.Load().try("POST", "/v1/events", strings.NewReader(body))
					if err == nil && status == 202 {
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

// inFlight bounds the duplicates of one kill: the attempts under way in the one lane (64), and those that have landed but are not committed yet.
const inFlight = 512

func TestNothingIsLostWhenTheDaemonIsKilled(t *testing.T) {
	kills := setting(t, "POSTRIDER_KILLS", 3)
	b := &burst{total: setting(t, "POSTRIDER_EVENTS", 4000)}
	in := install(t)
	d := in.serve()
	r := receive(t, always(200))
	d.subscribe("stock.item.changed", r.URL)
	b.target.Store(d)
	wait := b.run(t)
	var recovery time.Duration
	for k := range kills {
		due := int64(b.total) * int64(k+1) / int64(kills+1)
		eventually(t, "the burst has come that far", func() bool { return b.accepted.Load() >= due })
		time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond) // anywhere in what it does
		d.kill()
		began := time.Now()
		d = in.serve()
		recovery = max(recovery, time.Since(began))
		b.target.Store(d)
	}
	wait()
	eventually(t, "everything accepted has arrived", func() bool { n, _ := r.counts(); return n >= b.total })
	deliveries, duplicates := r.counts()
	chaos.Report(t, chaos.Row{
		Faults: "daemon killed " + plural(kills, "time"), Accepted: b.total, Lost: b.total - deliveries, Duplicated: duplicates, Burnt: -1, Recovery: recovery,
	})
	if duplicates > kills*inFlight {
		t.Errorf("%d duplicates, more than the %d that can be in flight at each of %d kills", duplicates, inFlight, kills)
	}
	d.stop()
}

func TestNothingIsLostAndNoAttemptIsBurntWhenTheNotifierIsKilled(t *testing.T) {
	kills := setting(t, "POSTRIDER_KILLS", 3)
	b := &burst{total: setting(t, "POSTRIDER_EVENTS", 4000)}
	in := install(t)
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
	}
	wait()
	eventually(t, "everything accepted has arrived", func() bool { n, _ := r.counts(); return n >= b.total })
	deliveries, duplicates := r.counts()
	burnt := 0
	for _, one := range r.all() {
		if one.Attempt != "1" {
			burnt++
		}
	}
	chaos.Report(t, chaos.Row{
		Faults: "notifier killed " + plural(kills, "time"), Accepted: b.total, Lost: b.total - deliveries, Duplicated: duplicates, Burnt: burnt,
	})
	if burnt != 0 {
		t.Errorf("%d attempts burnt", burnt)
	}
	d.stop()
}
