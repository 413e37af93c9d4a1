package dispatch

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/core"
)

// The simulation runs real engines in a world of its own (simworld_test.go), in which a seed decides everything: what is published, what plugins and
// receivers say and when, what fails, when the daemon dies, and in which order all of it happens. The engine's goroutines rest whenever they ask the world
// for something, and are let go one at a time, so that one seed always leads to one course of events.
//
//	POSTRIDER_SEEDS=100000 go test -run Simulation ./core/dispatch                        more seeds than usual
//	POSTRIDER_SEEDS=1000 POSTRIDER_SEED=5000000 go test -run Simulation ./core/dispatch   a thousand others
//	POSTRIDER_SEED=4711 go test -v -run Simulation ./core/dispatch                        one, and all that happens in it

// seedsOf says which seeds to run. By default they are always the same.
func seedsOf(t *testing.T) (first, n uint64) {
	t.Helper()
	read := func(name string, otherwise uint64) uint64 {
		text := os.Getenv(name)
		if text == "" {
			return otherwise
		}
		v, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("%s is %q: it must be a number", name, text)
		}
		return v
	}
	n = defaultSeeds
	if testing.Short() {
		n /= 10
	}
	if first = read("POSTRIDER_SEED", 0); first != 0 {
		n = 1
	}
	return max(1, first), read("POSTRIDER_SEEDS", n)
}

func TestSimulationLosesNothingWhateverHappens(t *testing.T) {
	first, n := seedsOf(t)
	var next, done, events, attempts, lives, repeated atomic.Uint64
	next.Store(first)
	began := time.Now()
	t.Run("seeds", func(t *testing.T) {
		for worker := range runtime.GOMAXPROCS(0) {
			t.Run(strconv.Itoa(worker), func(t *testing.T) {
				t.Parallel()
				for seed := next.Add(1) - 1; seed < first+n && !t.Failed(); seed = next.Add(1) - 1 {
					s := simulate(t, seed)
					if len(s.rules.violations) > 0 {
						report(t, s, n == 1)
					} else if n == 1 {
						t.Logf("seed %d:\n%s", seed, strings.Join(s.trace, "\n"))
					}
					done.Add(1)
					events.Add(uint64(len(s.accepted)))
					attempts.Add(uint64(s.attemptCount()))
					lives.Add(uint64(s.lives))
					repeated.Add(uint64(s.rules.repeated))
				}
			})
		}
	})
	t.Logf("%d seeds in %s: %d events, %d attempts, %d lives of the daemon, %d attempts made again because of a crash",
		done.Load(), time.Since(began).Round(time.Millisecond), events.Load(), attempts.Load(), lives.Load(), repeated.Load())
}

// report says what was broken and how it came to that.
func report(t *testing.T, s *simulation, all bool) {
	t.Helper()
	trace := s.trace
	if !all {
		trace = trace[max(0, len(trace)-80):]
	}
	t.Errorf("seed %d: %s\n\nthe end of what happened:\n%s\n\nPOSTRIDER_SEED=%d go test -v -run Simulation ./core/dispatch shows all of it",
		s.seed, strings.Join(s.rules.violations, "\n"), strings.Join(trace, "\n"), s.seed)
}

func TestSimulationOfOneSeedIsAlwaysTheSame(t *testing.T) {
	for seed := uint64(1); seed <= 40; seed++ {
		first, again := simulate(t, seed), simulate(t, seed)
		for i := range max(len(first.trace), len(again.trace)) {
			if i >= len(first.trace) || i >= len(again.trace) || first.trace[i] != again.trace[i] {
				t.Fatalf("seed %d takes another course from step %d on:\n%s\n\n%s", seed, i,
					strings.Join(first.trace[max(0, i-3):min(i+1, len(first.trace))], "\n"),
					strings.Join(again.trace[max(0, i-3):min(i+1, len(again.trace))], "\n"))
			}
		}
	}
}

// simulation is what drives one world.
type simulation struct {
	*world
	seed  uint64
	rng   *rand.Rand
	begun time.Time
	trace []string

	healing  bool // nothing fails any more
	draining bool // the daemon is told to stop
	down     bool // the notifier
	wakes    []func()
	resolver string
	moods    map[core.SubscriberID]string
	wanted   map[*message]map[core.SubscriberID]bool // by whom an event was wanted all the time that its handler had it
	marks    int
	versions int // of payloads
}

const attemptTimeout = 30 * time.Second

// simulate runs one seed to its end.
func simulate(t *testing.T, seed uint64) *simulation {
	s := &simulation{
		world: &world{
			events: map[core.EventID]core.EventRecord{}, attempts: map[core.EventID]map[core.SubscriberID][]core.Attempt{},
			dead: map[string]core.DeadLetter{}, noted: map[flightKey]int{},
		},
		seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), resolver: fine,
		moods: map[core.SubscriberID]string{}, wanted: map[*message]map[core.SubscriberID]bool{},
	}
	s.rules = newRules(s.world)
	synctest.Test(t, func(t *testing.T) {
		defer func() {
			if r := recover(); r != nil {
				panic(fmt.Sprintf("seed %d: %v\n%s", seed, r, strings.Join(s.trace, "\n")))
			}
		}()
		s.run()
	})
	slices.Sort(s.rules.violations)
	return s
}

func (s *simulation) run() {
	s.begun = time.Now()
	s.draw()
	s.begin(mustParse(schedules[0].written))
	for range s.plan.steps {
		s.step()
		if len(s.rules.violations) > 0 {
			break
		}
	}
	if len(s.rules.violations) == 0 {
		s.heal()
	}
	if len(s.rules.violations) > 0 { // what is under way may never end
		s.crash() //nolint:errcheck // it is broken already
		return
	}
	s.rules.atTheEnd()
	s.rules.leftovers(s.life.engine)
	s.stop()
}

// draw decides what kind of world it is. Each has some of the faults only, so that each fault is seen alone too.
func (s *simulation) draw() {
	between := func(low, high int) int { return low + s.rng.IntN(high-low+1) }
	s.plan = plan{
		broker: s.rng.IntN(2) == 0, places: between(1, 3), maxAge: 24 * time.Hour, events: between(1, 8), subscribers: between(1, 6),
		workers: between(1, 12), steps: between(50, 500), weights: map[string]int{},
	}
	switch s.rng.IntN(12) {
	case 0:
		s.plan.subscribers = between(inlineSubscribers, inlineSubscribers+4)
	case 1:
		s.plan.maxAge = time.Duration(between(1, 90)) * time.Second
	case 2: // more than may wait at a door
		s.plan.events, s.plan.subscribers, s.plan.workers, s.plan.places = doorRoom+between(1, 30), 1, 2*doorRoom, 1
	}
	for _, fault := range faults {
		if s.rng.IntN(2) == 0 {
			s.plan.weights[fault] = between(1, 3)
		}
	}
	names := []string{"stock.changed", "order.created", "order.fresh"}
	main := names[s.rng.IntN(len(names))]
	for i := range s.plan.subscribers {
		name := main
		if s.rng.IntN(4) == 0 {
			name = names[s.rng.IntN(len(names))]
		}
		sub := subscriber(core.SubscriberID(i+1), name)
		sub.Enabled = s.rng.IntN(10) > 0
		if schedule := (i + 1) % len(schedules); schedule > 0 {
			sub.Retry = []byte(schedules[schedule].written)
		}
		s.subscribers = append(s.subscribers, sub)
		s.moods[sub.ID] = fine
	}
	s.webhooks = map[string]core.Webhook{
		"stock.changed": {Name: "stock.changed"},
		"order.created": {Name: "order.created", Service: orders},
		"order.fresh":   {Name: "order.fresh", Service: orders, Fresh: true},
	}
	if s.rng.IntN(4) == 0 { // somebody forgot to define it, and does so when the daemon is started again
		delete(s.webhooks, main)
	}
}

func (s *simulation) attemptCount() (n int) {
	for _, of := range s.attempts {
		for _, all := range of {
			n += len(all)
		}
	}
	return n
}

func (s *simulation) note(format string, args ...any) {
	s.trace = append(s.trace, fmt.Sprintf("%12s  ", time.Since(s.begun))+fmt.Sprintf(format, args...))
}

// sleep lets about d pass. No two steps are ever at the same nanosecond of a millisecond: so no timer that one of them sets ends together with
// another, or with a later step, which would leave the order to chance.
func (s *simulation) sleep(d time.Duration) {
	time.Sleep(ceilDuration(d) + 1)
	synctest.Wait()
}

func ceilDuration(d time.Duration) time.Duration {
	return (d + time.Millisecond - 1).Truncate(time.Millisecond)
}

// choice is something that may happen next.
type choice struct {
	what   string
	weight int
	do     func()
}

// step lets one thing happen.
func (s *simulation) step() {
	s.sleep(0)
	s.pick(s.choices())
}

func (s *simulation) pick(all []choice) {
	sum := 0
	for _, c := range all {
		sum += c.weight
	}
	if sum == 0 {
		return
	}
	n := s.rng.IntN(sum)
	for _, c := range all {
		if n -= c.weight; n < 0 {
			s.note("%s", c.what)
			c.do()
			return
		}
	}
}

// heal lets everything work again, and time pass until nothing happens any more.
func (s *simulation) heal() {
	s.sleep(0) // what the last step led to comes before, not beside
	s.healing = true
	s.note("everything works again")
	if s.rng.IntN(4) > 0 {
		for _, sub := range s.Subscribers() {
			s.changeSubscriber(sub.ID, func(c *core.Subscriber) { c.Enabled = true })
			s.sleep(0)
		}
	}
	for id := range s.moods {
		if s.moods[id] != failing {
			s.moods[id] = fine
		}
	}
	s.resolver = fine
	s.pluginsUp()
	idle := 0
	for step := range 50_000 {
		if s.sleep(0); step == 5000 { // a breaker keeps the deliveries of a receiver that fails for as long as a day
			s.note("all receivers work again")
			for id := range s.moods {
				s.moods[id] = fine
			}
		}
		if all := s.choices(); len(all) > 0 {
			s.pick(all)
			idle = 0
			continue
		}
		next := s.nextOffer(time.Now())
		switch {
		case s.life.handling > 0: // it waits for a timer, a place, a flight
			if idle++; idle > 200 {
				s.rules.broken("%d handlers never return", s.life.handling)
				return
			}
			s.sleep(slow)
		case !next.IsZero() && time.Until(next) < never/2:
			s.note("nothing to do for %s", time.Until(next))
			s.sleep(time.Until(next))
		default:
			if idle++; idle > 3 { // inline attempts have no handler any more
				return
			}
			s.sleep(attemptTimeout)
		}
		if len(s.rules.violations) > 0 {
			return
		}
	}
	s.rules.broken("it does not come to rest")
}
