package endtoend

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/core/coretest/chaos"
)

// tally is a receiver that keeps only which events came.
type tally struct {
	*httptest.Server
	mu         sync.Mutex
	seen       map[string]bool
	byPath     map[string]int
	duplicates int
	burnt      int // beyond the first attempt
}

func startTally(t *testing.T) *tally {
	c := &tally{seen: map[string]bool{}, byPath: map[string]int{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		id := eventIn(body)
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

func (c *tally) got(event string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[event]
}

func (c *tally) repeats() (duplicated, beyondFirst int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.duplicates, c.burnt
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
	t      *testing.T
	in     *installation
	d      *daemon
	got    *tally
	oracle *oracle
	over   atomic.Bool
}

var suffering = [4]string{"a", "b", "c", "d"} // notifiers, and the last part of their events' names

// publish sends events for one of the processes until all is over, some 200 a second.
func (c *pluginChaos) publish(which int) {
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for batch := 0; !c.over.Load() && c.t.Context().Err() == nil; batch++ {
		var events, ids []string
		for n := range 4 {
			id := fmt.Sprintf("%s-%d-%d", suffering[which], batch, n)
			ids = append(ids, id)
			events = append(events, fmt.Sprintf(`{"id":%q,"event":"chaos.%s","arguments":{"id":%[1]q}}`, id, suffering[which]))
		}
		status, answer, err := c.d.try("POST", "/v1/events", strings.NewReader("["+strings.Join(events, ",")+"]"))
		if err != nil || status != 202 {
			c.t.Errorf("publish: %d %s, %v", status, answer, err)
			return
		}
		for _, id := range ids {
			c.oracle.accept(id)
		}
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

// hurt sends signals to the processes of one notifier, one after the other, each once it has delivered something. It returns the longest time from a signal
// until that many deliveries had come again that they are not just what was on its way.
func (c *pluginChaos) hurt(which int, signals []syscall.Signal) (recovery time.Duration) {
	path := "/" + suffering[which]
	delivers := func() {
		before := c.got.at(path)
		eventually(c.t, "the notifier delivers again", func() bool { return c.got.at(path) >= before+20 })
	}
	delivers()
	victim := 0
	for i, signal := range signals {
		last := victim
		eventually(c.t, "the notifier runs", func() bool { victim = c.pid(suffering[which]); return victim != 0 && victim != last })
		if err := syscall.Kill(victim, signal); err != nil && err != syscall.ESRCH { // it may just have been replaced
			c.t.Errorf("signal %d: %v", i, err)
		}
		began := time.Now()
		delivers()
		recovery = max(recovery, time.Since(began))
	}
	return recovery
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

	c := &pluginChaos{t: t, in: in, d: in.serve(), got: startTally(t), oracle: newOracle()}
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

	var recoveries [len(suffering)]time.Duration
	signals := make([][]syscall.Signal, len(suffering))
	for i := range kills {
		signals[i%len(signals)] = append(signals[i%len(signals)], syscall.SIGKILL)
	}
	for i := range stops {
		at := i % len(signals)
		signals[at] = append([]syscall.Signal{syscall.SIGSTOP}, signals[at]...)
	}
	for i := range suffering {
		suffers.Go(func() { recoveries[i] = c.hurt(i, signals[i]) })
	}
	wantDelivered, wantDead := c.misbehave(rounds)
	replaced := 0
	suffers.Go(func() { replaced = c.swap(swaps) })
	suffers.Wait()
	c.over.Store(true)
	publishing.Wait()

	row := c.oracle.audit(t, c.d, c.got)
	type deadLetter struct {
		EventID string `json:"event_id"`
		Reason  string
	}
	var letters []deadLetter
	within(3*time.Minute, func() bool { // what can't succeed is a dead letter
		letters = get[page[deadLetter]](c.d, "/v1/dead-letters?limit=1000").Items
		return len(letters) >= wantDead
	})
	for _, one := range letters {
		if want := map[bool]string{true: "it crashed", false: "it may have 4194304"}[strings.HasPrefix(one.EventID, "crash")]; !strings.Contains(one.Reason, want) {
			t.Errorf("%s is a dead letter because %s; want %q", one.EventID, one.Reason, want)
		}
	}
	arrived := 0
	within(patience, func() bool { // what the mad plugin could deliver is delivered
		arrived = 0
		for round := range rounds {
			for _, event := range []string{"noise", "fits"} {
				arrived += len(get[page[delivery]](c.d, fmt.Sprintf("/v1/deliveries?state=delivered&event_id=%s-%d", event, round)).Items)
			}
		}
		return arrived >= wantDelivered
	})
	row.Faults = fmt.Sprintf("plugins killed %s, stopped %s, swapped %s, crashed by a payload, 6 MiB and noise, %s",
		plural(kills, "time"), plural(stops, "time"), plural(replaced, "time"), plural(rounds, "time"))
	row.Accepted += wantDelivered + wantDead
	row.Lost += wantDelivered - arrived + wantDead - len(letters) // the mad plugin sends nothing: of these the daemon is asked
	row.Bound = (kills + stops) * lanePlaces                      // what each had in hand; a swap waits for that
	row.Recovery = slices.Max(recoveries[:])
	chaos.Report(t, row)
	if row.Burnt != 0 || replaced != swaps {
		t.Errorf("%d attempts burnt, %d of %d swaps", row.Burnt, replaced, swaps)
	}

	// Processes for suspects end a minute after the last one: at full length they are waited for.
	// 64 MiB are what the garbage collector may keep of payloads of 4 MiB; what a single kill or swap leaves behind, core/pluginhost looks for from inside.
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
