package endtoend

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/core/coretest/chaos"
)

// tally counts the deliveries that came for each of a number of events, and keeps none of them.
type tally struct {
	*httptest.Server
	mu         sync.Mutex
	seen       map[string]bool // by webhook-id
	byPath     map[string]int
	duplicates int
	burnt      int // beyond the first attempt
}

func startTally(t *testing.T) *tally {
	c := &tally{seen: map[string]bool{}, byPath: map[string]int{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		id := q.Header.Get("webhook-id")
		c.mu.Lock()
		defer c.mu.Unlock()
		if q.Header.Get("webhook-attempt") != "1" {
			c.burnt++
		}
		if c.seen[id] {
			c.duplicates++
			return
		}
		c.seen[id] = true
		c.byPath[q.URL.Path]++
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *tally) at(path string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byPath[path]
}

// resources are what a process takes of the machine.
func resources(t *testing.T, pid int) (descriptors int, anonymous int64) {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(status) {
		if value, ok := strings.CutPrefix(string(line), "RssAnon:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return len(entries), kib << 10
		}
	}
	t.Fatalf("no RssAnon in\n%s", status)
	return 0, 0
}

// pluginChaos is a daemon whose notifier has four processes that suffer, while events keep coming for each.
type pluginChaos struct {
	t        *testing.T
	in       *installation
	d        *daemon
	got      *tally
	accepted [4]atomic.Int64
	over     atomic.Bool
}

var suffering = [4]string{"a", "b", "c", "d"} // notifiers, and the last part of their events' names

// publish sends events for one of the processes until all is over, some 200 a second.
func (c *pluginChaos) publish(which int) {
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for batch := 0; !c.over.Load() && c.t.Context().Err() == nil; batch++ {
		var events []string
		for n := range 4 {
			events = append(events, fmt.Sprintf(`{"id":"%s-%d-%d","event":"chaos.%s","arguments":{"n":%d}}`, suffering[which], batch, n, suffering[which], batch))
		}
		status, answer, err := c.d.try("POST", "/v1/events", strings.NewReader("["+strings.Join(events, ",")+"]"))
		if err != nil || status != 202 {
			c.t.Errorf("publish: %d %s, %v", status, answer, err)
			return
		}
		c.accepted[which].Add(4)
		<-pause.C
	}
}

// pid returns the process of a notifier that runs; 0: none does.
func (c *pluginChaos) pid(notifier string) int {
	for _, p := range get[page[pluginStatus]](c.d, "/v1/plugins").Items {
		if p.Name == "http" && p.State == "running" && p.Notifier == notifier {
			return p.PID
		}
	}
	return 0
}

// quarantined counts the processes for suspects.
func (c *pluginChaos) quarantined() (n int) {
	for _, p := range get[page[pluginStatus]](c.d, "/v1/plugins").Items {
		if strings.Contains(p.Notifier, "quarantine") {
			n++
		}
	}
	return n
}

// hurt sends signals to the processes of one notifier, one after the other, each once it has delivered something.
func (c *pluginChaos) hurt(which int, signals []syscall.Signal) {
	victim := 0
	for i, signal := range signals {
		before, last := c.got.at("/"+suffering[which]), victim
		eventually(c.t, "the notifier delivers again", func() bool { return c.got.at("/"+suffering[which]) >= before+20 })
		eventually(c.t, "the notifier runs", func() bool { victim = c.pid(suffering[which]); return victim != 0 && victim != last })
		if err := syscall.Kill(victim, signal); err != nil && err != syscall.ESRCH { // it may just have been replaced
			c.t.Errorf("signal %d: %v", i, err)
		}
	}
}

// swap installs the notifier again and again: what has another inode is another version.
func (c *pluginChaos) swap(times int) (replaced int) {
	for i := range times {
		c.in.installPlugin(filepath.Join(bin, "plugins", "notifier-http"), "notifier-http")
		c.in.postrider("plugin", "reload") // the daemon may be faster, and have done it already
		eventually(c.t, "the notifier is replaced", func() bool {
			replaced = strings.Count(c.in.log.tail(1<<30), "plugin was replaced")
			return replaced > i
		})
	}
	return replaced
}

// misbehave has the plugin chaos do all that its payloads can ask for, and returns how many events that took.
func (c *pluginChaos) misbehave(rounds int) (delivered, dead int) {
	for round := range rounds {
		for _, event := range []string{
			`{"id":"noise-%d","event":"chaos.notifier","arguments":{"do":"noise"}}`,
			`{"id":"crash-%d","event":"chaos.notifier","arguments":{"do":"crash"}}`,
			`{"id":"large-%d","event":"chaos.size","arguments":{"bytes":6291456}}`,
			`{"id":"fits-%d","event":"chaos.size","arguments":{"bytes":4194000}}`,
		} {
			if status, answer := c.d.call("POST", "/v1/events", fmt.Sprintf(event, round)); status != 202 {
				c.t.Errorf("publish: %d %s", status, answer)
			}
		}
	}
	return 2 * rounds, 2 * rounds // noise and fits; crash and large
}

func TestNothingIsLostAndNoAttemptIsBurntWhenPluginsAreKilledStoppedSwappedAndMad(t *testing.T) {
	t.Parallel()
	kills := setting(t, "POSTRIDER_PLUGIN_KILLS", 12)
	stops, swaps, rounds := max(1, kills/10), max(3, kills/5), max(2, kills/50)

	configs := []string{"notifiers:"}
	for i, name := range suffering {
		configs = append(configs, fmt.Sprintf("  %s: {plugin: http, config: {timeout: %ds}}", name, 20+i))
	}
	in := install(t, configs...)
	in.ownPlugins("notifier-http")
	for _, name := range []string{"chaos", "chaos-resolver"} {
		in.installPlugin(filepath.Join(bin, "chaos"), name)
	}
	definitions := "webhooks:\n  chaos.notifier: {}\n  chaos.size: {service: {class: Chaos, method: size}}\n"
	for _, name := range suffering {
		definitions += "  chaos." + name + ": {}\n"
	}
	in.write("webhooks.yaml", definitions)
	in.replace("postrider.yaml", "webhooks: [webhooks.xml]", "webhooks: [webhooks.yaml]")

	c := &pluginChaos{t: t, in: in, d: in.serve(), got: startTally(t)}
	subscribe := func(event, notifier, url string) {
		if status, body := c.d.call("POST", "/v1/subscribers", map[string]any{"event": event, "notifier": notifier, "url": url}); status != 201 {
			t.Fatalf("subscribe: %d %s", status, body)
		}
	}
	for _, name := range suffering {
		subscribe("chaos."+name, name, c.got.URL+"/"+name)
	}
	subscribe("chaos.notifier", "chaos", c.got.URL)
	subscribe("chaos.size", "chaos", c.got.URL)

	var publishing, suffers sync.WaitGroup
	for i := range suffering {
		publishing.Go(func() { c.publish(i) })
	}
	for _, name := range suffering {
		eventually(t, "events are delivered", func() bool { return c.got.at("/"+name) > 200 })
	}
	descriptors, anonymous := resources(t, c.d.cmd.Process.Pid)

	signals := make([][]syscall.Signal, len(suffering))
	for i := range kills {
		signals[i%len(signals)] = append(signals[i%len(signals)], syscall.SIGKILL)
	}
	for i := range stops {
		at := i % len(signals)
		signals[at] = append([]syscall.Signal{syscall.SIGSTOP}, signals[at]...)
	}
	for i := range suffering {
		suffers.Go(func() { c.hurt(i, signals[i]) })
	}
	wantDelivered, wantDead := c.misbehave(rounds)
	replaced := 0
	suffers.Go(func() { replaced = c.swap(swaps) })
	suffers.Wait()
	began := time.Now()
	for _, name := range suffering {
		eventually(t, "the notifier runs", func() bool { return c.pid(name) != 0 })
	}
	recovery := time.Since(began)
	c.over.Store(true)
	publishing.Wait()

	accepted, lost := 0, 0
	for i, name := range suffering {
		n := int(c.accepted[i].Load())
		waitFor(t, 3*time.Minute, "everything accepted has arrived", func() bool { return c.got.at("/"+name) >= n })
		accepted, lost = accepted+n, lost+n-c.got.at("/"+name)
	}
	type deadLetter struct {
		EventID string `json:"event_id"`
		Reason  string
	}
	var dead []deadLetter
	waitFor(t, 3*time.Minute, "what can't succeed is a dead letter", func() bool {
		dead = get[page[deadLetter]](c.d, "/v1/dead-letters?limit=1000").Items
		return len(dead) >= wantDead
	})
	for _, one := range dead {
		if want := map[bool]string{true: "it crashed", false: "it may have 4194304"}[strings.HasPrefix(one.EventID, "crash")]; !strings.Contains(one.Reason, want) {
			t.Errorf("%s is a dead letter because %s; want %q", one.EventID, one.Reason, want)
		}
	}
	arrived := 0
	eventually(t, "what the mad plugin could deliver is delivered", func() bool {
		arrived = 0
		for round := range rounds {
			for _, event := range []string{"noise", "fits"} {
				arrived += len(get[page[delivery]](c.d, fmt.Sprintf("/v1/deliveries?state=delivered&event_id=%s-%d", event, round)).Items)
			}
		}
		return arrived >= wantDelivered
	})
	accepted += wantDelivered + wantDead
	chaos.Report(t, chaos.Row{
		Faults: fmt.Sprintf("plugins killed %s, stopped %s, swapped %s, crashed by a payload, 6 MiB and noise, %s",
			plural(kills, "time"), plural(stops, "time"), plural(replaced, "time"), plural(rounds, "time")),
		Accepted: accepted, Lost: lost + wantDelivered - arrived + wantDead - len(dead), Duplicated: c.got.duplicates, Burnt: c.got.burnt, Recovery: recovery,
	})
	if c.got.burnt != 0 || replaced != swaps {
		t.Errorf("%d attempts burnt, %d of %d swaps", c.got.burnt, replaced, swaps)
	}

	// Processes for suspects end a minute after the last one: at full length they are waited for.
	var now, quarantined int
	var then int64
	waitFor(t, 3*time.Minute, "memory and descriptors are back to where they were", func() bool {
		now, then = resources(t, c.d.cmd.Process.Pid)
		if kills < 100 {
			quarantined = c.quarantined()
		}
		return now <= descriptors+4+8*quarantined && then <= anonymous+64<<20
	})
	t.Logf("descriptors of the daemon: %d before, %d after, with %d more processes; anonymous memory: %d MiB before, %d MiB after",
		descriptors, now, quarantined, anonymous>>20, then>>20)
	c.d.stop()
}
