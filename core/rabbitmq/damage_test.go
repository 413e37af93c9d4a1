package rabbitmq

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/coretest"
)

func TestWhatTheBrokerGaveUpOnAndNeedsADamagedRecordHoldsUpNoOther(t *testing.T) {
	p := newPlaceOn(t, broker.Start(t).URL())
	b := p.open(t)
	e := benchEvent()
	if err := b.Append(t.Context(), core.EventRecord{Event: e, State: core.EventDispatched, Payload: []byte("this payload will break")}); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	coretest.Flip(t, p.database(), "this payload will break")
	b = p.open(t)
	send(t, p, "", p.prefix+deadletterSuffix, encode(&envelope{message: core.DeliveryMessage(e.ID, 7, e.Accepted)}))
	send(t, p, "", p.prefix+deadletterSuffix, amqp.Publishing{MessageId: "the-last", Body: []byte("?")})
	until(t, "the one after it is filed", func() bool { _, err := b.DeadLetter(t.Context(), "the-last"); return err == nil })
	until(t, "it waits in a delay queue", func() bool {
		depths, err := b.Depths(t.Context())
		return err == nil && depths[1].Due == 1
	})
}

func TestWhatNeedsADamagedRecordIsAwayForAnHourHoweverLongTheDelaysOfTheScheduleAre(t *testing.T) {
	p := newPlaceOn(t, broker.Start(t).URL())
	b := p.open(t, func(c *Config) {
		c.Delays = append(c.Delays, 30*24*time.Hour)
		c.Store = failing{c.Store, core.ErrDamaged}
	})
	e := benchEvent()
	if err := b.Append(t.Context(), core.EventRecord{Event: e, State: core.EventDispatched}); err != nil {
		t.Fatal(err)
	}
	consumed(t, b, core.DeliveryQueue, func(context.Context, core.Message) (core.Result, error) { return core.Result{}, nil })
	send(t, p, "", p.prefix+deliverySuffix, encode(&envelope{message: core.DeliveryMessage(e.ID, 7, e.Accepted)}))
	send(t, p, "", p.prefix+deadletterSuffix, encode(&envelope{message: core.DeliveryMessage(e.ID, 8, e.Accepted)}))
	hour := delayName(p.prefix, time.Hour)
	until(t, "both wait for an hour", func() bool {
		n, err := b.queue.link.Load().count(hour)
		return err == nil && n == 2
	})
}

// A store that broke at a damaged page refuses everything from then on.
func TestNothingIsSetAsideForAStoreThatIsUnavailable(t *testing.T) {
	p := newPlaceOn(t, broker.Start(t).URL())
	var log logged
	b := p.open(t, func(c *Config) {
		c.Store = failing{c.Store, fmt.Errorf("%w: %w", core.ErrUnavailable, core.ErrDamaged)}
		c.Logger = hclog.New(&hclog.LoggerOptions{Output: &log})
	})
	e := benchEvent()
	if err := b.Append(t.Context(), core.EventRecord{Event: e, State: core.EventDispatched}); err != nil {
		t.Fatal(err)
	}
	offered := make(chan core.Message, 100)
	consumed(t, b, core.DeliveryQueue, func(_ context.Context, m core.Message) (core.Result, error) {
		offered <- m
		return core.Result{}, nil
	})
	send(t, p, "", p.prefix+deliverySuffix, encode(&envelope{message: core.DeliveryMessage(e.ID, 7, e.Accepted)}))
	send(t, p, "", p.prefix+deadletterSuffix, encode(&envelope{message: core.DeliveryMessage(e.ID, 8, e.Accepted)}))
	for range 3 {
		next(t, offered, "the delivery, again")
	}
	until(t, "the other one was tried to be filed", func() bool { return log.has("what the broker gave up on") })
	if n, err := b.queue.link.Load().count(delayName(p.prefix, time.Hour)); err != nil || n != 0 {
		t.Errorf("%d messages wait for an hour, %v", n, err)
	}
	if log.has("it is kept") {
		t.Error("what the broker gave up on is set aside")
	}
}

// logged is a log that a test looks into.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) has(what string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), what)
}

// failing is a store whose hand-overs fail.
type failing struct {
	Store
	with error
}

func (f failing) HandOver(context.Context, core.Message, core.Result) error { return f.with }
