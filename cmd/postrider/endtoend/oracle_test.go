package endtoend

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/core/coretest/chaos"
)

// oracle judges a suite by what publishers were told and a receiver got. An event carries its id in its arguments, too, which come back as the payload: so
// what counts is the published event, and not what the daemon makes of it.
type oracle struct {
	mu       sync.Mutex
	accepted map[string]bool // by the publisher's id
	synced   time.Time
	crashes  []crash
}

func newOracle() *oracle { return &oracle{accepted: map[string]bool{}} }

// accept notes that the publisher of an event was told that it is accepted.
func (o *oracle) accept(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.accepted[id] = true
}

// wrote notes that something sent to the daemon at a time was answered once it was on disk. The daemon writes in the order in which it hands things to its
// disk: all that it had handed over at that time is on disk, too.
func (o *oracle) wrote(sent time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if sent.After(o.synced) {
		o.synced = sent
	}
}

// crash is a moment at which the daemon was gone. What it had handed to its disk before synced was on it.
type crash struct{ synced, at time.Time }

// crashed notes that the daemon is gone.
func (o *oracle) crashed() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.crashes = append(o.crashes, crash{o.synced, time.Now()})
}

// lanePlaces is how many attempts are under way for one subscriber at most: the default of lanes.concurrency.
const lanePlaces = 64

// bound returns how many receipts the crashes can repeat: of attempts that were not on disk. Those were made since the last write that is known to be on
// disk (what one group of the committer holds, and the one before it), were under way in the lane at that time, or had left it on their way to the
// committer: no more of those than have taken their places meanwhile.
func (o *oracle) bound(receipts []received) (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.crashes {
		n += 2*lanePlaces + since(receipts, c.synced) - since(receipts, c.at)
	}
	return n
}

// since counts the receipts after a time.
func since(receipts []received, at time.Time) int {
	return len(receipts) - sort.Search(len(receipts), func(i int) bool { return receipts[i].At.After(at) })
}

// setback is when something went wrong, and from when on a receipt shows that work goes on: not one of what was on its way.
type setback struct{ began, shown time.Time }

// recovery is the longest time from the beginning of one until work went on.
func recovery(receipts []received, faults ...setback) time.Duration {
	longest := time.Duration(chaos.NotMeasured)
	for _, f := range faults {
		if n := since(receipts, f.shown); n > 0 {
			longest = max(longest, receipts[len(receipts)-n].At.Sub(f.began))
		}
	}
	return longest
}

// setbacks are the crashes: nothing comes from a daemon that is gone.
func (o *oracle) setbacks() (all []setback) {
	for _, c := range o.crashes {
		all = append(all, setback{c.at, c.at})
	}
	return all
}

// witness is who receives: it knows the events by the ids in their payloads.
type witness interface {
	got(event string) bool // and said so
	// repeats counts the receipts beyond the first of one attempt of one event, and those of attempts beyond the first.
	repeats() (duplicated, beyondFirst int)
}

// missing returns the accepted events that have not come.
func (o *oracle) missing(w witness) (events []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id := range o.accepted {
		if !w.got(id) {
			events = append(events, id)
		}
	}
	return events
}

// arrived waits until all accepted events have come, or none has for so long that none will. It returns those that have not.
func (o *oracle) arrived(t *testing.T, d *daemon, w witness) []string {
	t.Helper()
	missing := o.missing(w)
	for len(missing) > 0 {
		before := len(missing)
		if !within(patience, func() bool { d.mustRun(); missing = o.missing(w); return len(missing) < before }) {
			break
		}
	}
	return missing
}

// audit waits for what was accepted, and returns what became of it, for the suite to say what was injected and what that explains. In none of these suites does
// a receiver refuse anything for good: what is dead, or still waits though nothing comes any more, is a failure, too, but no loss.
func (o *oracle) audit(t *testing.T, d *daemon, w witness) chaos.Row {
	t.Helper()
	fates := map[string]int{}
	for _, id := range o.arrived(t, d, w) {
		fate := d.fateOf(id)
		if fates[fate]++; fates[fate] <= 5 {
			t.Errorf("event %s was accepted and did not arrive: it is %s", id, fate)
		}
	}
	row := chaos.Row{Accepted: len(o.accepted), Lost: fates[lost], Recovery: chaos.NotMeasured}
	row.Duplicated, row.Burnt = w.repeats()
	t.Logf("of %d accepted events, %d are delivered, %d %s, %d %s, %d %s", row.Accepted, row.Accepted-fates[dead]-fates[scheduled]-fates[lost],
		fates[dead], dead, fates[scheduled], scheduled, fates[lost], lost)
	return row
}

// What an accepted event that did not arrive may be.
const (
	dead      = "dead-lettered"
	scheduled = "still scheduled"
	lost      = "LOST"
)

// fateOf asks the daemon what became of an event that did not arrive. That it was delivered counts for nothing; nor does a retry that is overdue.
func (d *daemon) fateOf(event string) string {
	d.in.t.Helper()
	for _, one := range get[page[delivery]](d, "/v1/deliveries?event_id="+event).Items {
		switch {
		case one.State == "dead":
			return dead
		case one.State == "scheduled" && one.Last != nil && one.Last.Due.After(time.Now().Add(-patience)):
			return scheduled
		}
	}
	if status, _ := d.call("GET", "/v1/dead-letters/"+event, nil); status == 200 {
		return dead
	}
	return lost
}

// eventIn returns the id that an event carries in its arguments, from what a receiver got; "": it carries none.
func eventIn(body []byte) string {
	var envelope struct{ Data struct{ ID any } }
	if json.Unmarshal(body, &envelope) != nil || envelope.Data.ID == nil {
		return ""
	}
	return fmt.Sprint(envelope.Data.ID)
}

func TestTheOracleTellsTheLostFromTheDeadAndTheScheduled(t *testing.T) {
	t.Parallel()
	in := install(t, "retry: [1h]")
	d := in.serve()
	r := receive(t, func(_ int, one received) int {
		switch one.Event {
		case "gone":
			return 410
		case "later":
			return 503
		}
		return 200
	})
	for _, event := range []string{"later", "delivered", "gone"} { // the last one disables the subscriber
		if event == "later" {
			d.subscribe("stock.item.changed", r.URL)
		}
		if status, answer := d.call("POST", "/v1/events", publication(event)); status != 202 {
			t.Fatalf("publish: %d %s", status, answer)
		}
		eventually(t, "the attempt is logged", func() bool {
			items := get[page[delivery]](d, "/v1/deliveries?event_id="+event).Items
			return len(items) == 1 && items[0].Last != nil
		})
	}
	o := newOracle()
	for _, event := range []string{"later", "delivered", "gone", "never-published"} {
		o.accept(event)
	}
	missing := o.missing(r)
	if slices.Sort(missing); !slices.Equal(missing, []string{"gone", "later", "never-published"}) {
		t.Errorf("missing is %v", missing)
	}
	// Nobody asks for what was delivered, unless the receiver knows nothing of it.
	for event, want := range map[string]string{"later": scheduled, "gone": dead, "never-published": lost, "delivered": lost} {
		if got := d.fateOf(event); got != want {
			t.Errorf("event %s is %s, want %s", event, got, want)
		}
	}
	d.stop()
}
