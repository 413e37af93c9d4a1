package rabbitmq

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/postrider/postrider/core"
)

// Config says which broker, which names there, and where hand-overs are logged.
type Config struct {
	URL          string          // amqp(s)://user:password@host:port/vhost
	TLS          *tls.Config     // for amqps; nil: the system's certificate authorities
	Prefix       string          // of the names of all queues but the trigger's; "": webhook
	Trigger      Trigger         // where events of AMQP publishers come from
	Delays       []time.Duration // of the schedule that most deliveries follow: each gets a delay queue of its own
	DrainTimeout time.Duration   // how long Consume waits for its handlers after the stop; 0: 20 s
	Store        Store
	Logger       hclog.Logger // nil: none

	hooks hooks
}

// Trigger names the queue that AMQP publishers reach, and what leads there. Empty fields have the defaults beside them.
type Trigger struct {
	Exchange string // magento; a topic exchange
	Key      string // webhook.trigger
	Queue    string // webhook.trigger
}

// Store is the log that hand-overs go to, and the memory of what was published. It makes durable what it is given before it returns nil.
type Store interface {
	// Admit returns those of out whose messages are to be sent, and changes nothing. It leaves out repeats: first publishes of events that are
	// known, and messages that wait already, in the same or a later attempt. It refuses all of out with ErrConflict where a known event
	// has other content, ErrNotFound where a delivery's event is not known, and ErrNoSpace where Accept would have no space.
	Admit(ctx context.Context, out ...core.Outgoing) (send []core.Outgoing, err error)

	// Accept notes that the queue has out: their events are known, and wait, and dead letters that they replay are gone.
	Accept(ctx context.Context, out ...core.Outgoing) error

	// HandOver notes, in one transaction, that m is consumed, all of result.Log, and that result.Next waits. Doing it twice changes nothing.
	HandOver(ctx context.Context, m core.Message, result core.Result) error

	// Overtaken reports whether a message of m's event or delivery waits that belongs to another run of attempts, and asks for the same attempt or a
	// later one: a replay, of what was a dead letter by m; or one that was sent again because m might be lost. Of those of one attempt, the last waits.
	Overtaken(ctx context.Context, m core.Message) (bool, error)

	Log
}

// Log is what the queue asks of the store's log. It returns ErrNotFound for what was never logged.
type Log interface {
	Event(ctx context.Context, id core.EventID) (core.EventRecord, error)
	Attempt(ctx context.Context, event core.EventID, subscriber core.SubscriberID, number int) (core.Attempt, error)
}

const (
	defaultPrefix = "webhook"
	defaultDrain  = 20 * time.Second
)

var namePrefix = regexp.MustCompile(`^[a-zA-Z0-9_.:-]{1,100}$`)

// withDefaults returns c with its gaps filled, or says what is wrong with it. Its errors never hold the URL, which has a password.
func (c Config) withDefaults() (Config, error) {
	if c.Prefix == "" {
		c.Prefix = defaultPrefix
	}
	if c.Trigger.Exchange == "" {
		c.Trigger.Exchange = "magento"
	}
	if c.Trigger.Key == "" {
		c.Trigger.Key = "webhook.trigger"
	}
	if c.Trigger.Queue == "" {
		c.Trigger.Queue = "webhook.trigger"
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = defaultDrain
	}
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	if !namePrefix.MatchString(c.Prefix) {
		return c, fmt.Errorf("queue prefix %q: it must have 1 to 100 letters, digits, \".\", \":\", \"_\" and \"-\"", c.Prefix)
	}
	for what, name := range map[string]string{"exchange": c.Trigger.Exchange, "key": c.Trigger.Key, "queue": c.Trigger.Queue} {
		if len(name) > 255 {
			return c, fmt.Errorf("trigger %s of %d bytes: names have at most 255", what, len(name))
		}
	}
	for _, d := range c.Delays {
		if d < time.Millisecond {
			return c, fmt.Errorf("a delay queue of %v: the shortest delay is 1ms", d)
		}
	}
	own := []string{
		c.Prefix + eventSuffix, c.Prefix + deliverySuffix, c.Prefix + eventSuffix + waitingSuffix, c.Prefix + deliverySuffix + waitingSuffix,
		c.Prefix + deadletterSuffix, c.Prefix + registrySuffix, c.Prefix + lockSuffix,
	}
	if slices.Contains(own, c.Trigger.Queue) || strings.HasPrefix(c.Trigger.Queue, c.Prefix+delaySuffix) {
		return c, fmt.Errorf("the trigger queue %q has the name of a queue of Postrider's own: choose another trigger queue, or another prefix than %q",
			c.Trigger.Queue, c.Prefix)
	}
	_, err := parseURL(c.URL)
	return c, err
}

// parseURL reads the URL of a broker. Its errors don't repeat it.
func parseURL(text string) (amqp.URI, error) {
	uri, err := amqp.ParseURI(text)
	switch {
	case err != nil:
		// The library's errors may quote the URL.
		return uri, errors.New("the queue's URL cannot be read: it must be amqp://user:password@host:port/vhost, or amqps://…, " +
			"with special characters of user, password and vhost written as %XX")
	case uri.Host == "":
		return uri, errors.New("the queue's URL names no host: it must be amqp://user:password@host:port/vhost")
	}
	return uri, nil
}

// address says where a broker is, without credentials.
func address(uri amqp.URI) string {
	return uri.Scheme + "://" + net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port)) + "/" + strings.TrimPrefix(uri.Vhost, "/")
}
