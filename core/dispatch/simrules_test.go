package dispatch

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/retry"
)

// rules watches what an engine does to the world, and says what is not as promised. What it knows it has seen itself: what receivers and resolvers
// were asked and what they said, and what was handed over.
type rules struct {
	world    *world
	messages int // numbers them

	mu         sync.Mutex // against the engine's goroutines
	violations []string
	underWay   map[flightKey]int         // attempts
	inLane     map[core.SubscriberID]int // attempts
	words      []*word
	owed       map[flightKey]bool // deliveries of events that were dispatched while the subscriber wanted them
	replays    map[flightKey]int  // asked for by operators, with subscriber 0 of events
	repeated   int                // attempts made again because what a receiver said was lost with a crash
}

// word is what a receiver, or with subscriber 0 a resolver, said of one attempt.
type word struct {
	key     flightKey
	number  int    // of the attempt; 0: a resolver isn't told
	mark    string // in the reason or the excerpt of the attempt that it led to
	outcome core.Outcome
	asked   time.Duration // Retry-After
	life    int
	logged  bool
	lost    bool // its life ended, or its hand-over failed, before it was logged
}

func newRules(w *world) rules {
	return rules{world: w, underWay: map[flightKey]int{}, inLane: map[core.SubscriberID]int{}, owed: map[flightKey]bool{}, replays: map[flightKey]int{}}
}

func (r *rules) broken(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.violations = append(r.violations, fmt.Sprintf(format, args...))
}

// attemptBegins checks what holds whenever a notifier is called.
func (r *rules) attemptBegins(l *life, n core.Notification) {
	w, key := r.world, flightKey{n.Event.ID, n.Subscriber.ID}
	w.mu.Lock()
	gone := l.crashed
	w.mu.Unlock()
	if gone {
		return
	}
	r.mu.Lock()
	r.underWay[key]++
	r.inLane[key.subscriber]++
	atOnce, inLane := r.underWay[key], r.inLane[key.subscriber]
	r.mu.Unlock()
	what := fmt.Sprintf("attempt %d of %s/%d", n.Attempt, key.event, key.subscriber)
	if atOnce > 1 {
		r.broken("%s begins while another of the same delivery is under way", what)
	}
	if inLane > w.plan.places {
		r.broken("%s is number %d of those under way in a lane of %d places", what, inLane, w.plan.places)
	}
	if _, logged := w.attempt(key.event, key.subscriber, n.Attempt); logged {
		r.broken("%s is made although it is logged", what)
	}
	if n.Attempt > 1 {
		before, logged := w.attempt(key.event, key.subscriber, n.Attempt-1)
		switch {
		case !logged:
			r.broken("%s begins before the one before it is logged", what)
		case before.Due.IsZero() && r.replays[key] == 0:
			r.broken("%s begins although the one before was the last, and nobody replayed it", what)
		case time.Now().Before(before.Due):
			r.broken("%s begins %s before it is due", what, time.Until(before.Due))
		}
	}
	for _, said := range r.words {
		if said.key == key && said.number == n.Attempt && !said.lost {
			r.broken("%s is made again although the receiver's word on it was not lost", what)
		}
		if said.key == key && said.number == n.Attempt && said.lost {
			r.mu.Lock()
			r.repeated++
			r.mu.Unlock()
		}
	}
	known := w.events[key.event]
	if n.Delivery != core.DeliveryIDOf(key.event, key.subscriber) || n.Envelope == "" || len(n.Payload) == 0 {
		r.broken("%s: notification %+v", what, n)
	}
	if !w.webhooks[n.Event.Name].Fresh && known.Payload != nil && string(n.Payload) != string(known.Payload) {
		r.broken("%s sends %s, not the frozen payload %s", what, n.Payload, known.Payload)
	}
}

// attemptEnds notes that a notifier was answered.
func (r *rules) attemptEnds(key flightKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.underWay[key]--
	r.inLane[key.subscriber]--
}

func (r *rules) said(s *word) {
	s.life = r.world.lives
	r.words = append(r.words, s)
}

// lifeEnds says that what was said in it and not logged is lost.
func (r *rules) lifeEnds() {
	r.mu.Lock()
	clear(r.underWay)
	clear(r.inLane)
	r.mu.Unlock()
	for _, s := range r.words {
		s.lost = s.lost || !s.logged
	}
}

// handOverFails says the same of one result.
func (r *rules) handOverFails(result core.Result) {
	for _, rec := range result.Log {
		if a, ok := rec.(core.AttemptRecord); ok {
			if s := r.wordOf(a.Attempt); s != nil {
				s.lost = true
			}
		}
	}
}

// wordOf returns what was said in an attempt that is to be logged: by the receiver, or by the resolver that was asked for a fresh payload.
func (r *rules) wordOf(a core.Attempt) *word {
	for _, of := range []core.SubscriberID{a.Subscriber, 0} {
		for _, s := range r.words {
			if s.key == (flightKey{a.Event, of}) && !s.logged && !s.lost && s.outcome == a.Outcome && (s.number == 0 || s.number == a.Number) &&
				(strings.Contains(a.Reason, s.mark) || a.Excerpt == s.mark) {
				return s
			}
		}
	}
	return nil
}

// logs checks what is about to be logged.
func (r *rules) logs(result core.Result) {
	for _, rec := range result.Log {
		switch rec := rec.(type) {
		case core.AttemptRecord:
			r.logsAttempt(rec.Attempt)
		case core.DeadLetterRecord:
			r.logsDeadLetter(rec.DeadLetter, result)
		}
	}
}

func (r *rules) logsAttempt(a core.Attempt) {
	w, key := r.world, flightKey{a.Event, a.Subscriber}
	what := fmt.Sprintf("attempt %d of %s/%d", a.Number, a.Event, a.Subscriber)
	known, logged := w.attempt(a.Event, a.Subscriber, a.Number)
	if logged {
		if !w.plan.broker {
			r.broken("%s is logged twice: %+v and %+v", what, known, a)
		}
		return
	}
	s := r.wordOf(a)
	unknown := key.subscriber == 0 && strings.Contains(a.Reason, "no webhook is called")
	if s == nil && !unknown {
		r.broken("%s is logged although nobody said so: %+v", what, a)
		return
	}
	if before := w.attempts[a.Event][a.Subscriber]; len(before) != a.Number-1 {
		r.broken("%s is logged after %d others", what, len(before))
	} else if i := slices.IndexFunc(before, func(b core.Attempt) bool { return b.Outcome == core.Delivered }); i >= 0 && a.First <= i+1 {
		r.broken("%s is logged after it was delivered by number %d", what, i+1)
	}
	var asked time.Duration
	if s != nil {
		s.logged = true
		asked = s.asked
	}
	if want := dueOf(a, w.plan.delays(a.Subscriber), asked); !a.Due.Equal(want) {
		r.broken("%s is due at %s, want %s", what, a.Due, want)
	}
}

// dueOf says when the attempt after a is due, from the written-out delays of its schedule.
func dueOf(a core.Attempt, delays []time.Duration, asked time.Duration) time.Time {
	nth := max(0, a.Number-a.First) // the budget of a probe in vain begins with the next attempt
	if a.Outcome != core.Retry || nth >= len(delays) {
		return time.Time{}
	}
	return a.Started.Add(a.Duration + max(delays[nth], min(asked, time.Hour)))
}

func (r *rules) logsDeadLetter(d core.DeadLetter, result core.Result) {
	w, what := r.world, fmt.Sprintf("dead letter of %s/%d (%s)", d.Event, d.Subscriber, d.Reason)
	last, ok := w.attempt(d.Event, d.Subscriber, d.Last)
	for _, rec := range result.Log {
		if a, is := rec.(core.AttemptRecord); is && a.Attempt.Event == d.Event && a.Attempt.Subscriber == d.Subscriber {
			last, ok = a.Attempt, true
		}
	}
	_, exists := w.Subscriber(d.Subscriber)
	switch {
	case strings.Contains(d.Reason, "was deleted while") && !exists:
	case strings.Contains(d.Reason, "over max_age"):
	case ok && last.Number == d.Last && last.Outcome != core.Delivered && last.Due.IsZero():
	default:
		r.broken("%s: filed with last attempt %+v", what, last)
	}
}

// dispatched notes to whom an event that was just handed over is owed.
func (r *rules) dispatched(result core.Result, wanted map[core.SubscriberID]bool) {
	for _, rec := range result.Log {
		e, ok := rec.(core.EventRecord)
		switch {
		case !ok:
		case e.State == core.EventDispatched:
			for s := range wanted {
				r.owed[flightKey{e.Event.ID, s}] = true
			}
		case e.State == core.EventUnwanted && len(wanted) > 0:
			r.broken("event %s is unwanted, although %d subscribers want it", e.Event.ID, len(wanted))
		}
	}
}

// atTheEnd checks what must be true when everything has come to rest: each accepted event was delivered, or dead-lettered, or waits.
func (r *rules) atTheEnd() {
	w := r.world
	for _, e := range w.accepted {
		state := w.events[e.ID].State
		_, dead := w.dead[string(e.ID)]
		switch {
		case w.isOpen(e.ID, 0):
			r.broken("event %s is still waiting", e.ID)
		case state == core.EventDead && !dead:
			r.broken("event %s is dead and has no dead letter", e.ID)
		case state == core.EventAccepted || state == 0:
			r.broken("event %s is lost", e.ID)
		}
		for s := range w.attempts[e.ID] {
			if s != 0 {
				r.owed[flightKey{e.ID, s}] = true
			}
		}
	}
	for key := range r.owed {
		r.deliveryEnded(key)
	}
}

func (r *rules) deliveryEnded(key flightKey) {
	w, all := r.world, r.world.attempts[key.event][key.subscriber]
	s, exists := w.Subscriber(key.subscriber)
	_, dead := w.dead[string(core.DeliveryIDOf(key.event, key.subscriber))]
	open := w.isOpen(key.event, key.subscriber)
	delivered := slices.ContainsFunc(all, func(a core.Attempt) bool { return a.Outcome == core.Delivered })
	switch {
	case open && (!exists || s.Enabled):
		r.broken("delivery %s/%d still waits, although nothing keeps it", key.event, key.subscriber)
	case open || dead && !delivered:
	case dead && r.replays[key] == 0:
		r.broken("delivery %s/%d was delivered, and is a dead letter", key.event, key.subscriber)
	case delivered || dead:
	default:
		r.broken("delivery %s/%d is lost after %d attempts", key.event, key.subscriber, len(all))
	}
}

// leftovers checks an engine that has nothing to do.
func (r *rules) leftovers(e *Engine) {
	if e.lanes.taken != 0 || e.services.taken != 0 {
		r.broken("%d places in lanes and %d at services are taken by nobody", e.lanes.taken, e.services.taken)
	}
	for id, at := range e.lanes.active {
		if len(at.door) > 0 {
			r.broken("%d are waiting at the door of lane %d", len(at.door), id)
		}
	}
	// A hand-over that fails may leave the flight of a subscriber that is disabled or deleted before the event comes again.
	for key := range e.flights.byKey {
		if !r.world.plan.broker && !r.world.isOpen(key.event, key.subscriber) {
			r.broken("the flight of %s/%d is remembered, and nobody will ask for it", key.event, key.subscriber)
		}
	}
}

// plan is what the seed decides of a world before it begins.
type plan struct {
	broker      bool // the queue is a broker, beside the log: no lanes, and a hand-over in steps
	places      int  // in a lane
	maxAge      time.Duration
	events      int
	subscribers int
	workers     int // handlers at a time
	steps       int // before everything heals
	weights     map[string]int
}

// schedules of subscribers, by their number modulo the length; the first is the daemon's.
var schedules = []struct {
	written string
	delays  []time.Duration
}{
	{`{"schedule":"quadratic","max_retries":5}`, []time.Duration{1 * time.Second, 4 * time.Second, 9 * time.Second, 16 * time.Second, 25 * time.Second}},
	{`["0s","3s"]`, []time.Duration{0, 3 * time.Second}},
	{`{"schedule":"exponential","first":"2s","factor":3,"max":"10s","max_retries":4}`,
		[]time.Duration{2 * time.Second, 6 * time.Second, 10 * time.Second, 10 * time.Second}},
	{`[]`, nil},
}

func (p plan) delays(s core.SubscriberID) []time.Duration {
	return schedules[int(s)%len(schedules)].delays
}

func mustParse(schedule string) retry.Schedule {
	s, err := retry.Parse([]byte(schedule))
	if err != nil {
		panic(err)
	}
	return s
}
