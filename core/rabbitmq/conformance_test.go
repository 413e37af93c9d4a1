package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/bolt"
	"github.com/postrider/postrider/core/coretest"
	"github.com/postrider/postrider/core/rabbitmq/brokertest"
)

var broker brokertest.Shared // of the tests that leave it alone

func TestMain(m *testing.M) {
	code := m.Run()
	broker.Stop()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// place is a database in a directory of its own, and names of its own on the broker.
type place struct {
	url    string
	dir    string
	prefix string
	drain  time.Duration
}

var places atomic.Int64

func newPlaceOn(t testing.TB, url string) place {
	return place{url: url, dir: t.TempDir(), prefix: fmt.Sprintf("test%d", places.Add(1)), drain: coretest.DrainDeadline}
}

func newPlace(t *testing.T) coretest.Place { return newPlaceOn(t, broker.Start(t).URL()) }

func (p place) config() Config {
	return Config{
		URL: p.url, Prefix: p.prefix, Trigger: Trigger{Exchange: p.prefix + "-shop", Key: "webhook.trigger", Queue: p.prefix + ".trigger"},
		Delays: []time.Duration{time.Second, 4 * time.Second, 9 * time.Second}, DrainTimeout: p.drain,
	}
}

// backend is a queue on the broker with its store.
type backend struct {
	*bolt.DB
	queue *Queue
}

func (b *backend) Publish(ctx context.Context, out ...core.Outgoing) error {
	return b.queue.Publish(ctx, out...)
}

func (b *backend) Consume(ctx context.Context, q core.QueueName, concurrency int, h core.Handler) error {
	return b.queue.Consume(ctx, q, concurrency, h)
}
func (b *backend) Depths(ctx context.Context) ([]core.Depth, error) { return b.queue.Depths(ctx) }
func (b *backend) Close() error                                     { return errors.Join(b.queue.Close(), b.DB.Close()) }

func (p place) database() string { return filepath.Join(p.dir, "postrider.db") }

// open opens a queue at p, and waits until it is connected.
func (p place) open(t testing.TB, change ...func(*Config)) *backend {
	t.Helper()
	b := p.openAnyway(t, change...)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := b.queue.Wait(ctx); err != nil {
		t.Fatalf("%v: %v", err, b.queue.Unready())
	}
	return b
}

// openAnyway opens a queue at p, whether or not its broker can be reached.
func (p place) openAnyway(t testing.TB, change ...func(*Config)) *backend {
	t.Helper()
	db, err := bolt.Open(bolt.Config{Path: p.database()})
	if err != nil {
		t.Fatal(err)
	}
	c := p.config()
	c.Store, c.Logger = db, hclog.New(&hclog.LoggerOptions{Level: hclog.Info, Output: logWriter{t}, DisableTime: true})
	for _, change := range change {
		change(&c)
	}
	q, err := Open(c)
	if err != nil {
		t.Fatal(errors.Join(err, db.Close()))
	}
	b := &backend{db, q}
	t.Cleanup(func() {
		b.Close() //nolint:errcheck // the test has closed it, or failed
	})
	return b
}

// logWriter puts the queue's log into the test's, for those that fail.
type logWriter struct{ t testing.TB }

func (w logWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

func (p place) Open(t *testing.T) coretest.Backend { return p.open(t) }

func (p place) Damage(t *testing.T, mark string) { coretest.Flip(t, p.database(), mark) }

func (p place) CrashPoints() []string {
	return []string{beforeStore, afterStore, beforeBroker, afterBroker}
}

func (p place) OpenCrashing(t *testing.T, point string) (coretest.Backend, func()) {
	var armed atomic.Bool
	b := p.open(t, func(c *Config) {
		c.hooks.at = func(here string) error {
			if here == point && armed.Load() {
				return errors.New("crashed by the test")
			}
			return nil
		}
	})
	return b, func() { armed.Store(true) }
}

func TestQueue(t *testing.T) { coretest.TestQueue(t, newPlace) }
func TestStore(t *testing.T) { coretest.TestStore(t, newPlace) }

// A stop that gives up at its deadline may leave what it was putting off there twice, as a crash may. The model takes it for orderly, so no stop gives up.
func TestQueueModel(t *testing.T) {
	patient := func(t *testing.T) coretest.Place {
		p := newPlaceOn(t, broker.Start(t).URL())
		p.drain = patience
		return p
	}
	coretest.TestQueueModel(t, patient, coretest.ModelTest{Checks: 4, Steps: 25})
}
