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
	again      map[string]int // duplicates, by path
	duplicates int
	burnt      int // beyond the first attempt
}

func startTally(t *testing.T) *tally {
	c := &tally{seen: map[string]bool{}, byPath: map[string]int{}, again: map[string]int{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		c.count(q, eventIn(body))
		if q.URL.Path == "/"+swapped {
			time.Sleep(swappedTakes)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *tally) count(q *http.Request, event string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if q.Header.Get("webhook-attempt") != "1" {
		c.burnt++
	}
	if c.seen[event] {
		c.duplicates++
		c.again[q.URL.Path]++
		return
	}
	c.seen[event] = true
	c.byPath[q.URL.Path]++
}

// cameAgain counts the duplicates that came at a path.
func (c *tally) cameAgain(path string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.again[path]
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

// pluginChaos is a daemon whose notifier has four processes that suffer, and a fifth that is only swapped, while events keep coming for each.
type pluginChaos struct {
	t      *testing.T
	in     *installation
	d      *daemon
	got    *tally
	oracle *oracle
	over   atomic.Bool
}

var suffering = [4]string{"a", "b", "c", "d"} // notifiers, and the last part of their events' names

// swapped is the notifier whose process is never hurt. Nothing of it may come twice: its swaps cut nothing off, though its receiver takes so long that each
// of them finds some ten deliveries in flight.
const (
	swapped      = "swapped"
	swappedTakes = 50 * time.Millisecond
)

// publish sends events for one of the processes until all is over, some 200 a second.
func (c *pluginChaos) publish(notifier string) {
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for batch := 0; !c.over.Load() && c.t.Context().Err() == nil; batch++ {
		var events, ids []string
		for n := range 4 {
			id := fmt.Sprintf("%s-%d-%d", notifier, batch, n)
			ids = append(ids, id)
			events = append(events, fmt.Sprintf(`{"id":%q,"event":"chaos.%s","arguments":{"id":%[1]q}}`, id, notifier))
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

// bystanders are in the plugin's hands each time that a payload crashes it. They are guilty of nothing.
const bystanders = 8

// misbehave has the plugin chaos do all that its payloads can ask for. It returns the events that are to be delivered, and how many are to be dead.
func (c *pluginChaos) misbehave(rounds int) (delivered []string, dead int) {
	for round := range rounds {
		event := func(name, what, arguments string) string {
			return fmt.Sprintf(`{"id":"%s-%d","event":"chaos.%s","arguments":{%s}}`, name, round, what, arguments)
		}
		var together []string
		for n := range bystanders {
			together = append(together, event(fmt.Sprint("bystander-", n), "notifier", `"do":"wait"`))
			delivered = append(delivered, fmt.Sprintf("bystander-%d-%d", n, round))
		}
		together = append(together, event("crash", "notifier", `"do":"crash"`))
		for _, body := range []string{
			event("noise", "notifier", `"do":"noise"`), "[" + strings.Join(together, ",") + "]",
			event("large", "size", `"bytes":6291456`), event("fits", "size", `"bytes":4194000`),
		} {
			if status, answer := c.d.call("POST", "/v1/events", body); status != 202 {
				c.t.Errorf("publish: %d %s", status, answer)
			}
		}
		delivered = append(delivered, fmt.Sprint("noise-", round), fmt.Sprint("fits-", round))
	}
	return delivered, 2 * rounds // crash and large
}

func TestNothingIsLostAndNoAttemptIsBurntWhenPluginsAreKilledStoppedSwappedAndMad(t *testing.T) {
	t.Parallel()
	kills := chaos.Setting(t, "POSTRIDER_PLUGIN_KILLS", 12)
	stops, swaps, rounds := max(1, kills/10), max(3, kills/5), max(2, kills/50)

	notifiers := append(suffering[:], swapped)
	configs := []string{"notifiers:"}
	for i, name := range notifiers {
		configs = append(configs, fmt.Sprintf("  %s: {plugin: http, config: {timeout: %ds}}", name, 20+i))
	}
	in := install(t, configs...)
	in.ownPlugins("notifier-http")
	for _, name := range []string{"chaos", "chaos-resolver"} {
		in.installPlugin(filepath.Join(bin, "chaos"), name)
	}
	definitions := "webhooks:\n  chaos.notifier: {}\n  chaos.size: {service: {class: Chaos, method: size}}\n"
	for _, name := range notifiers {
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
	for _, name := range notifiers {
		subscribe("chaos."+name, name, c.got.URL+"/"+name)
	}
	subscribe("chaos.notifier", "chaos", c.got.URL)
	subscribe("chaos.size", "chaos", c.got.URL)

	var publishing, suffers sync.WaitGroup
	for _, name := range notifiers {
		publishing.Go(func() { c.publish(name) })
	}
	for _, name := range notifiers {
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
	missing, wantDead := c.misbehave(rounds)
	wantDelivered := len(missing)
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
	within(patience, func() bool { // what the mad plugin could deliver is delivered
		missing = slices.DeleteFunc(missing, func(event string) bool {
			done := get[page[delivery]](c.d, "/v1/deliveries?state=delivered&event_id="+event).Items
			if len(done) == 1 && done[0].Last.Number != 1 {
				row.Burnt++
			}
			return len(done) == 1
		})
		return len(missing) == 0
	})
	row.Faults = fmt.Sprintf("plugins killed %s, stopped %s, swapped %s, crashed by a payload, 6 MiB and noise, %s",
		plural(kills, "time"), plural(stops, "time"), plural(replaced, "time"), plural(rounds, "time"))
	row.Accepted += wantDelivered + wantDead
	row.Lost += len(missing) + wantDead - len(letters) // the mad plugin sends nothing: of these the daemon is asked
	row.Bound = (kills + stops) * lanePlaces           // what each had in hand; a swap waits for that
	row.Recovery = slices.Max(recoveries[:])
	chaos.Report(t, row)
	if row.Burnt != 0 || replaced != swaps {
		t.Errorf("%d attempts burnt, %d of %d swaps", row.Burnt, replaced, swaps)
	}
	if n := c.got.cameAgain("/" + swapped); n > 0 {
		t.Errorf("%d deliveries came twice of a notifier that was only swapped", n)
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
