package rabbitmq

import (
	"maps"
	"slices"
	"strconv"
	"time"
)

// Topology is what Postrider needs on the broker, as data.
type Topology struct {
	Exchanges []Exchange
	Queues    []QueueSpec
	Bindings  []Binding
}

// Exchange is a durable exchange.
type Exchange struct {
	Name string
	Kind string // "topic" or "fanout"
	Role string // what it is, for people
}

// QueueSpec is a durable queue.
type QueueSpec struct {
	Name      string
	Role      string         // what it is, for people
	Arguments map[string]any // with which it is declared
	Foreign   bool           // somebody else may own it: one that exists is taken as it is
	Delay     time.Duration  // how long messages stay; 0: it is no delay queue
}

// Binding leads messages of an exchange into a queue.
type Binding struct {
	Exchange string
	Queue    string
	Key      string // "": whatever the key is
}

const (
	eventSuffix      = ".event"
	deliverySuffix   = ".delivery"
	waitingSuffix    = ".waiting" // behind one of these
	deadletterSuffix = ".deadletter"
	delaySuffix      = ".delay."
	registrySuffix   = ".delays"
	lockSuffix       = ".lock"
)

// deliveryLimit is how often a message may be delivered before the broker gives up on it. A lost connection delivers everything again that was in
// hand, so the broker's own default of 20 (from 4.0 on) would make dead letters of what is merely slow on a shaky network.
const deliveryLimit = 1000

// unlimited are the arguments of queues that must give up on nothing, since nothing comes after them.
var unlimited = map[string]any{"x-delivery-limit": int64(1_000_000_000)}

// ladder holds the delays of everything that does not follow the schedule: Retry-After, jitter, schedules of single subscribers. What has
// to wait longer than one rung, or for a time between two, climbs several.
var ladder = []time.Duration{
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 20 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour,
}

// TopologyOf returns what c needs. Queues are quorum queues; what they give up on goes on at least once, which RabbitMQ does only for queues that
// reject publishes when they overflow (without that it falls back to at most once, silently).
func TopologyOf(c Config) (Topology, error) {
	c, err := c.withDefaults()
	if err != nil {
		return Topology{}, err
	}
	deadletter := c.Prefix + deadletterSuffix
	t := Topology{
		Exchanges: []Exchange{{c.Trigger.Exchange, "topic", "where AMQP publishers publish"}},
		Queues: []QueueSpec{
			{Name: c.Trigger.Queue, Role: "events of AMQP publishers", Foreign: true, Arguments: quorum(deadTo(deadletter))},
			{Name: c.Prefix + eventSuffix, Role: "events published over HTTP, and events to be resolved again", Arguments: quorum(deadTo(deadletter))},
			{Name: c.Prefix + deliverySuffix, Role: "deliveries that are due", Arguments: quorum(deadTo(deadletter))},
			{Name: c.Prefix + eventSuffix + waitingSuffix, Role: "events whose receivers have no room, in turn", Arguments: quorum(deadTo(deadletter))},
			{Name: c.Prefix + deliverySuffix + waitingSuffix, Role: "deliveries whose receivers have no room, in turn", Arguments: quorum(deadTo(deadletter))},
			{Name: deadletter, Role: "what the broker gave up on, until it is filed as a dead letter", Arguments: quorum(unlimited)},
			{Name: c.Prefix + registrySuffix, Role: "remembers which delay queues there are", Arguments: quorum(unlimited)},
		},
		Bindings: []Binding{{c.Trigger.Exchange, c.Trigger.Queue, c.Trigger.Key}},
	}
	for _, delay := range rungs(c.Delays) {
		e, q := delayOf(c.Prefix, delay)
		t.Exchanges = append(t.Exchanges, e)
		t.Queues = append(t.Queues, q)
		t.Bindings = append(t.Bindings, Binding{Exchange: e.Name, Queue: q.Name})
	}
	return t, nil
}

// quorum completes the arguments of a durable quorum queue.
func quorum(more map[string]any) map[string]any {
	arguments := map[string]any{"x-queue-type": "quorum"}
	maps.Copy(arguments, more)
	return arguments
}

func deadTo(queue string) map[string]any {
	return map[string]any{
		"x-delivery-limit":          int64(deliveryLimit),
		"x-dead-letter-exchange":    "",
		"x-dead-letter-routing-key": queue,
		"x-dead-letter-strategy":    "at-least-once",
		"x-overflow":                "reject-publish",
	}
}

// delayOf returns a delay queue and the exchange that feeds it. Messages leave it under the routing key they came with, which is the name of the queue
// that they are for, so one delay queue serves all. It never expires: one that did would take with it what it holds.
func delayOf(prefix string, delay time.Duration) (Exchange, QueueSpec) {
	name := delayName(prefix, delay)
	return Exchange{name, "fanout", "leads into the delay queue of the same name"}, QueueSpec{
		Name: name, Role: "holds messages for " + delay.String(), Delay: delay,
		Arguments: quorum(map[string]any{
			"x-message-ttl":          delay.Milliseconds(),
			"x-dead-letter-exchange": "",
			"x-dead-letter-strategy": "at-least-once",
			"x-overflow":             "reject-publish",
		}),
	}
}

func delayName(prefix string, delay time.Duration) string {
	return prefix + delaySuffix + strconv.FormatInt(delay.Milliseconds(), 10)
}

// rungs merges the ladder with delays, ascending, each once.
func rungs(delays []time.Duration) []time.Duration {
	all := slices.Clone(ladder)
	for _, d := range delays {
		all = append(all, d.Truncate(time.Millisecond))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// queue returns the spec of a queue by its name.
func (t Topology) queue(name string) (QueueSpec, bool) {
	i := slices.IndexFunc(t.Queues, func(q QueueSpec) bool { return q.Name == name })
	if i < 0 {
		return QueueSpec{}, false
	}
	return t.Queues[i], true
}
