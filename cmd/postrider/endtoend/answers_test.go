package endtoend

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// answer is what a receiver says to one request.
type answer struct {
	status int
	header map[string]string
	body   string
}

// answers starts a receiver that gives one answer after the other, and the last one to all that come then. times returns when the requests came.
func answers(t *testing.T, list ...answer) (url string, times func() []time.Time) {
	var mu sync.Mutex
	var came []time.Time
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		a := list[min(len(came), len(list)-1)]
		came = append(came, time.Now())
		mu.Unlock()
		for name, value := range a.header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(a.status)
		io.WriteString(w, a.body)
	}))
	t.Cleanup(server.Close)
	return server.URL, func() []time.Time {
		mu.Lock()
		defer mu.Unlock()
		return append([]time.Time(nil), came...)
	}
}

// only waits until an event has one delivery that is in state, and returns it with its attempts.
func (d *daemon) only(event, state string) delivery {
	d.in.t.Helper()
	var one delivery
	eventually(d.in.t, "the delivery of "+event+" is "+state, func() bool {
		items := get[page[delivery]](d, "/v1/deliveries?event_id="+event).Items
		if len(items) == 1 {
			one = items[0]
		}
		return one.State == state
	})
	return get[delivery](d, "/v1/deliveries/"+one.ID)
}

// became is what the attempts of a delivery came to, as "503 retry, 200 delivered".
func (one delivery) became() string {
	var all []string
	for _, a := range one.Attempts {
		all = append(all, fmt.Sprint(a.StatusCode, " ", a.Outcome))
	}
	return strings.Join(all, ", ")
}

func TestRetryAfterPutsTheNextAttemptOffByAnHourAtMost(t *testing.T) {
	onEachQueue(t, retryAfterPutsTheNextAttemptOffByAnHourAtMost)
}

func retryAfterPutsTheNextAttemptOffByAnHourAtMost(t *testing.T, queue string) {
	in := install(t, queue, `retry: ["100ms"]`)
	d := in.serve()

	url, times := answers(t, answer{status: 503, header: map[string]string{"Retry-After": "2"}}, answer{status: 200})
	d.subscribe("stock.item.changed", url)
	in.postrider("publish", "stock.item.changed", "--id", "seconds")
	if got := d.only("seconds", "delivered").became(); got != "503 retry, 200 delivered" {
		t.Errorf("the attempts were %s", got)
	}
	if came := times(); came[1].Sub(came[0]) < 2*time.Second {
		t.Errorf("the second attempt came %s after the first, which asked for 2 s", came[1].Sub(came[0]))
	}

	until := time.Now().Add(3 * time.Second).Truncate(time.Second) // a date has no more than seconds
	url, times = answers(t, answer{status: 429, header: map[string]string{"Retry-After": until.UTC().Format(http.TimeFormat)}}, answer{status: 200})
	d.subscribe("sales.order.created", url)
	in.postrider("publish", "sales.order.created", "--args", `{"id":1}`, "--id", "date")
	d.only("date", "delivered")
	if came := times(); came[1].Before(until) {
		t.Errorf("the second attempt came at %s, and the first asked for %s", came[1], until)
	}

	url, times = answers(t, answer{status: 503, header: map[string]string{"Retry-After": "1000000"}})
	if status, body := d.call("PATCH", "/v1/subscribers/1", map[string]any{"url": url}); status != 200 {
		t.Fatalf("change the subscriber: %d %s", status, body)
	}
	in.postrider("publish", "stock.item.changed", "--id", "days")
	due := d.only("days", "scheduled").Attempts[0].Due
	if earliest, latest := times()[0].Add(time.Hour).Truncate(time.Millisecond), time.Now().Add(time.Hour); due.Before(earliest) || due.After(latest) {
		t.Errorf("the next attempt is due at %s, want it an hour after the first: %s to %s", due, earliest, latest)
	}
	d.stop()
}

func TestAReceiverThatIsGoneDisablesItsSubscriberWhichSaysSo(t *testing.T) {
	onEachQueue(t, aReceiverThatIsGoneDisablesItsSubscriberWhichSaysSo)
}

func aReceiverThatIsGoneDisablesItsSubscriberWhichSaysSo(t *testing.T, queue string) {
	in := install(t, queue)
	d := in.serve()
	url, times := answers(t, answer{status: 410, body: "moved away"}, answer{status: 200})
	id := strconv.Itoa(d.subscribe("stock.item.changed", url))
	in.postrider("publish", "stock.item.changed", "--id", "first")
	first := d.only("first", "dead")
	if got := first.became(); got != "410 rejected" {
		t.Errorf("the attempts were %s", got)
	}
	if dead := d.becomesDead(first.ID); !strings.Contains(dead.Reason, "410") || len(dead.Attempts) != 1 || dead.Attempts[0].Excerpt != "moved away" {
		t.Errorf("the dead letter is %+v", dead)
	}
	type subscriber struct {
		Enabled        bool
		DisabledReason string `json:"disabled_reason"`
	}
	if s := get[subscriber](d, "/v1/subscribers/"+id); s.Enabled || !strings.Contains(s.DisabledReason, "410") {
		t.Errorf("the subscriber is %+v", s)
	}
	for _, command := range []string{"list", "show"} {
		args := []string{"subscriber", command}
		if command == "show" {
			args = append(args, id)
		}
		if said := in.postrider(args...); !strings.Contains(said, "disabled") || !strings.Contains(said, "410") {
			t.Errorf("subscriber %s says\n%s", command, said)
		}
	}
	if log := in.log.tail(64 << 10); !strings.Contains(log, "subscriber disabled") {
		t.Errorf("the log does not say so:\n%s", log)
	}
	in.postrider("publish", "stock.item.changed", "--id", "unwanted")
	eventually(t, "an event for it alone is one that nobody wants", func() bool { return get[eventStatus](d, "/v1/events/unwanted").State == "unwanted" })

	in.postrider("subscriber", "enable", id)
	in.postrider("dead-letter", "replay", first.ID)
	if got := d.only("first", "delivered").became(); got != "410 rejected, 200 delivered" || len(times()) != 2 {
		t.Errorf("after the replay the attempts were %s, and the receiver got %d", got, len(times()))
	}
	if s := get[subscriber](d, "/v1/subscribers/"+id); !s.Enabled || s.DisabledReason != "" {
		t.Errorf("once enabled, the subscriber is %+v", s)
	}
	d.stop()
}

func TestWhatWaitsForADisabledSubscriberIsHeldUntilItIsEnabled(t *testing.T) {
	t.Parallel()
	in := install(t, `retry: ["50ms"]`)
	d := in.serve()
	fail := make(chan struct{})
	r := receive(t, func(n int, _ received) int {
		if n == 1 {
			<-fail
			return 503
		}
		return 200
	})
	id := strconv.Itoa(d.subscribe("stock.item.changed", r.URL))
	in.postrider("publish", "stock.item.changed", "--id", "held")
	eventually(t, "the first attempt is under way", func() bool { n, _ := r.counts(); return n == 1 })
	in.postrider("subscriber", "disable", id)
	close(fail)
	due := d.only("held", "scheduled").Attempts[0].Due
	eventually(t, "the second attempt is overdue", func() bool { return time.Since(due) > 200*time.Millisecond })
	if n := len(r.all()); n != 1 {
		t.Errorf("the receiver got %d attempts while its subscriber was disabled", n-1)
	}
	in.postrider("subscriber", "enable", id)
	if got := d.only("held", "delivered").became(); got != "503 retry, 200 delivered" {
		t.Errorf("the attempts were %s", got)
	}
	d.stop()
}

func TestWhatWasPublishedBeforeASubscriberWasDisabledIsDeliveredWhenItIsEnabled(t *testing.T) {
	onEachQueue(t, whatWasPublishedBeforeASubscriberWasDisabledIsDelivered)
}

// The receiver hangs, so that most of the events wait unresolved when its subscriber is disabled.
func whatWasPublishedBeforeASubscriberWasDisabledIsDelivered(t *testing.T, queue string) {
	in := install(t, queue, "lanes: {concurrency: 4}")
	d := in.serve()
	answers := make(chan struct{})
	r := receive(t, func(int, received) int { <-answers; return 200 })
	id := strconv.Itoa(d.subscribe("stock.item.changed", r.URL))
	const events = 300
	var batch []json.RawMessage
	for n := range events {
		batch = append(batch, json.RawMessage(publication(fmt.Sprint("waits-", n))))
	}
	if status, said := d.call("POST", "/v1/events", batch); status != 202 {
		t.Fatalf("publishing: %d %s", status, said)
	}
	eventually(t, "the first attempts are under way", func() bool { n, _ := r.counts(); return n == 4 })
	in.postrider("subscriber", "disable", id)
	in.postrider("publish", "stock.item.changed", "--id", "meanwhile")
	close(answers)
	eventually(t, "nothing is left to resolve", func() bool { return get[eventStatus](d, "/v1/events/meanwhile").State == "unwanted" })
	in.postrider("subscriber", "enable", id)
	eventually(t, "each event is delivered", func() bool { n, _ := r.counts(); return n == events })
	d.stop()
}

func TestTheRuleOfSuccessIsTheSubscribersElseTheNotifiers(t *testing.T) {
	t.Parallel()
	in := install(t, `notifiers: {default: {plugin: http, config: {success: {delivered: ["200"], errors_member_fails: true}}}}`, `retry: ["50ms", "50ms"]`)
	d := in.serve()
	url, _ := answers(t, answer{status: 202}, answer{status: 200, body: `{"errors":["no such order"]}`}, answer{status: 200, body: `{"errors":[]}`})
	d.subscribe("stock.item.changed", url)
	in.postrider("publish", "stock.item.changed", "--id", "configured")
	if one := d.only("configured", "delivered"); one.became() != "202 retry, 200 retry, 200 delivered" || !strings.Contains(one.Attempts[1].Reason, "errors") {
		t.Errorf("by the notifier's rule the attempts were %s: %+v", one.became(), one.Attempts)
	}

	url, _ = answers(t, answer{status: 202, body: `{"errors":["never mind"]}`}, answer{status: 404})
	in.postrider("subscriber", "add", "sales.order.created", url, "--settings", `{"success":{"delivered":["2xx"],"retry":["5xx"]}}`)
	in.postrider("publish", "sales.order.created", "--args", `{"id":1}`, "--id", "taken")
	if got := d.only("taken", "delivered").became(); got != "202 delivered" {
		t.Errorf("by the subscriber's rule the attempts were %s", got)
	}
	in.postrider("publish", "sales.order.created", "--args", `{"id":2}`, "--id", "refused")
	if got := d.only("refused", "dead").became(); got != "404 rejected" {
		t.Errorf("by the subscriber's rule the attempts were %s", got)
	}
	if said := in.fails("subscriber", "add", "sales.order.created", url, "--settings", `{"success":{"delivered":["9xx"]}}`); !strings.Contains(said, "success.delivered[0]") {
		t.Errorf("of a status that is none, subscriber add says %s", said)
	}
	d.stop()
}

func TestALaneHasNoMoreAttemptsUnderWayThanItsLimit(t *testing.T) {
	onEachQueue(t, aLaneHasNoMoreAttemptsUnderWayThanItsLimit)
}

func aLaneHasNoMoreAttemptsUnderWayThanItsLimit(t *testing.T, queue string) {
	const limit, events = 3, 30
	in := install(t, queue, fmt.Sprintf("lanes: {concurrency: %d}", limit))
	d := in.serve()
	var mu sync.Mutex
	inside, most := 0, 0
	open := make(chan struct{})
	slow := receive(t, func(int, received) int {
		mu.Lock()
		inside++
		most = max(most, inside)
		mu.Unlock()
		<-open
		mu.Lock()
		inside--
		mu.Unlock()
		return 200
	})
	var opened sync.Once
	release := func() { opened.Do(func() { close(open) }) }
	defer release()
	other := receive(t, always(200))
	d.subscribe("stock.item.changed", slow.URL)
	d.subscribe("stock.item.changed", other.URL)
	batch := make([]json.RawMessage, events)
	for i := range batch {
		batch[i] = json.RawMessage(publication(fmt.Sprint("lane-", i)))
	}
	if status, body := d.call("POST", "/v1/events", batch); status != 202 {
		t.Fatalf("publish: %d %s", status, body)
	}
	// By then the dispatcher has had every event in hand, and has found the slow lane full with most of them.
	eventually(t, "the other receiver has got them all", func() bool { n, _ := other.counts(); return n == events })
	eventually(t, "the slow lane is full", func() bool { n, _ := slow.counts(); return n >= limit })
	if n, _ := slow.counts(); n != limit {
		t.Errorf("%d attempts are under way in a lane for %d", n, limit)
	}
	release()
	eventually(t, "the slow receiver has got them all, too", func() bool { n, _ := slow.counts(); return n == events })
	d.settled("delivered", 2*events)
	if most != limit {
		t.Errorf("%d attempts were under way at a time, want %d", most, limit)
	}
	d.stop()
}
