package bolt

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/coretest"
)

// A clock that was a year ahead stamped what is to be tried again in a second; then it was set right, and the daemon started anew.
func TestWhatIsDueFurtherAheadThanItsDelayIsDueAfterItsDelay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postrider.db")
	db := opened(t, Config{Path: path})
	maker := newEventMaker()
	e := maker.event("order.created")
	if err := db.Append(t.Context(), core.EventRecord{Event: e, State: core.EventDispatched}); err != nil {
		t.Fatal(err)
	}
	retry := func(subscriber core.SubscriberID, started time.Time, delay time.Duration) {
		t.Helper()
		due := started.Add(10*time.Millisecond + delay)
		err := db.Append(t.Context(), core.AttemptRecord{Attempt: core.Attempt{
			Event: e.ID, Subscriber: subscriber, Number: 1, First: 1, Started: started, Duration: 10 * time.Millisecond, Outcome: core.Retry, Due: due,
		}})
		if err == nil {
			m := core.DeliveryMessage(e.ID, subscriber, started)
			m.Attempt = 2
			err = db.Publish(t.Context(), core.Outgoing{Queue: core.DeliveryQueue, Message: m, Due: due})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	year := time.Now().AddDate(1, 0, 0)
	retry(1, year, 50*time.Millisecond)
	retry(2, year, 2*time.Hour)
	retry(3, time.Now(), 3*time.Hour)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	db = opened(t, Config{Path: path})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	var got core.SubscriberID
	err := db.Consume(ctx, core.DeliveryQueue, 1, func(_ context.Context, m core.Message) (core.Result, error) {
		got = m.Subscriber
		cancel()
		return core.Result{}, nil
	})
	if err != nil || got != 1 {
		t.Errorf("handed over: the delivery to subscriber %d, %v, want 1", got, err)
	}
	wantSound(t, db)
	for _, due := range dueTimes(t, path) {
		if left := time.Until(due.at); due.of == 2 && left > 2*time.Hour || due.of == 3 && (left < 3*time.Hour-time.Minute || left > 3*time.Hour) {
			t.Errorf("the delivery to subscriber %d is due in %v", due.of, left)
		}
	}
}

// The attempt before says how long a message is to wait, but not where the handler has asked for the same attempt again, later.
func TestWhatIsFiledAgainAtTheSameAttemptWaitsAsLongAsThatAskedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postrider.db")
	db := opened(t, Config{Path: path})
	e := newEventMaker().event("order.created")
	if err := db.Append(t.Context(), core.EventRecord{Event: e, State: core.EventDispatched}); err != nil {
		t.Fatal(err)
	}
	// Each is to be tried again in a moment: one by a clock that is ahead, whose wait is cut short when the file is opened.
	for subscriber, started := range map[core.SubscriberID]time.Time{1: time.Now(), 2: time.Now().AddDate(1, 0, 0)} {
		due := started.Add(10 * time.Millisecond)
		m := core.DeliveryMessage(e.ID, subscriber, e.Accepted)
		m.Attempt = 2
		err := db.Append(t.Context(), core.AttemptRecord{Attempt: core.Attempt{
			Event: e.ID, Subscriber: subscriber, Number: 1, First: 1, Started: started, Outcome: core.Retry, Due: due,
		}})
		if err == nil {
			err = db.Publish(t.Context(), core.Outgoing{Queue: core.DeliveryQueue, Message: m, Due: due})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	handOverOne := func(want core.SubscriberID, due time.Time) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		var got core.SubscriberID
		err := db.Consume(ctx, core.DeliveryQueue, 1, func(_ context.Context, m core.Message) (core.Result, error) {
			got = m.Subscriber
			cancel()
			return core.Result{Next: []core.Outgoing{{Queue: core.DeliveryQueue, Message: m, Due: due}}}, nil
		})
		if err := errors.Join(err, db.Close()); err != nil || got != want {
			t.Errorf("handed over: the delivery to subscriber %d, %v, want %d", got, err, want)
		}
	}
	hour := time.Now().Add(time.Hour)
	handOverOne(1, hour)
	db = opened(t, Config{Path: path})
	handOverOne(2, hour) // all that is cut short has been by then
	wantSound(t, db)
	for _, due := range dueTimes(t, path) {
		if due.at.Before(hour) || due.at.After(hour.Add(time.Minute)) {
			t.Errorf("the delivery to subscriber %d is due at %v, want %v", due.of, due.at, hour)
		}
	}
}

func TestADamagedMessageDoesNotKeepOthersFromBecomingReady(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postrider.db")
	db := opened(t, Config{Path: path})
	e := newEventMaker().event("order.created")
	if err := db.Append(t.Context(), core.EventRecord{Event: e, State: core.EventDispatched}); err != nil {
		t.Fatal(err)
	}
	due := time.Now().Add(200 * time.Millisecond)
	for i, lane := range []string{"this one will break", "whole"} {
		m := core.DeliveryMessage(e.ID, core.SubscriberID(i+1), e.Accepted)
		m.Lane = lane
		out := core.Outgoing{Queue: core.DeliveryQueue, Message: m, Due: due.Add(time.Duration(i) * time.Millisecond)}
		if err := db.Publish(t.Context(), out); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	coretest.Flip(t, path, "this one will break")
	db = opened(t, Config{Path: path})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	var got core.SubscriberID
	err := db.Consume(ctx, core.DeliveryQueue, 1, func(_ context.Context, m core.Message) (core.Result, error) {
		got = m.Subscriber
		cancel()
		return core.Result{}, nil
	})
	if err != nil || got != 2 {
		t.Errorf("handed over: the delivery to subscriber %d, %v, want 2", got, err)
	}
}

type dueTime struct {
	of core.SubscriberID
	at time.Time
}

func dueTimes(t *testing.T, path string) (list []dueTime) {
	t.Helper()
	i, err := Inspect(path)
	if err != nil {
		t.Fatal(err)
	}
	err = i.view(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketDue).ForEach(func(k, _ []byte) error {
			ms, r := dueOf(k)
			list = append(list, dueTime{r.sub, time.UnixMilli(ms)})
			return nil
		})
	})
	if err := errors.Join(err, i.Close()); err != nil {
		t.Fatal(err)
	}
	return list
}
