package bolt

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/postrider/postrider/core"
)

func TestAMessageIsOvertakenByTheOneThatWaitsWhateverTheClockSaidWhenItWasSent(t *testing.T) {
	maker := newEventMaker()
	for _, step := range []struct {
		name string
		by   time.Duration
	}{{"later", time.Minute}, {"by a clock that was set back", -time.Hour}} {
		t.Run(step.name, func(t *testing.T) {
			db := opened(t, Config{Path: filepath.Join(t.TempDir(), "postrider.db")})
			e := maker.event("order.created")
			dispatched := core.EventRecord{Event: e, State: core.EventDispatched}
			old := core.DeliveryMessage(e.ID, 7, e.Accepted)
			sendsElsewhere(t, db, e, old, dispatched)
			wantOvertaken(t, db, old, false)

			letter := core.DeadLetter{ID: string(core.DeliveryIDOf(e.ID, 7)), Kind: core.DeadDelivery, Event: e.ID, Subscriber: 7, Died: time.Now()}
			if err := db.HandOver(t.Context(), old, core.Result{Log: []core.Record{core.DeadLetterRecord{DeadLetter: letter}}}); err != nil {
				t.Fatal(err)
			}
			replay := core.DeliveryMessage(e.ID, 7, old.Since.Add(step.by))
			if err := db.Accept(t.Context(), core.Outgoing{Queue: core.DeliveryQueue, Message: replay}); err != nil {
				t.Fatal(err)
			}
			wantOvertaken(t, db, old, true)
			wantOvertaken(t, db, replay, false)
		})
		t.Run("again, "+step.name, func(t *testing.T) {
			// What follows from an event is sent again when it may be lost. Then nothing may wait but what was sent last.
			db := opened(t, Config{Path: filepath.Join(t.TempDir(), "postrider.db")})
			e := maker.event("order.created")
			lost := core.DeliveryMessage(e.ID, 7, e.Accepted)
			sendsElsewhere(t, db, e, lost, core.EventRecord{Event: e, State: core.EventDispatched})
			again := core.DeliveryMessage(e.ID, 7, lost.Since.Add(step.by))
			sendsElsewhere(t, db, e, again)
			wantOvertaken(t, db, again, false)
			wantOvertaken(t, db, lost, true)
		})
	}
}

// sendsElsewhere has another queue consume the event e, from which m follows.
func sendsElsewhere(t *testing.T, db *DB, e core.Event, m core.Message, log ...core.Record) {
	t.Helper()
	result := core.Result{Log: log, Next: []core.Outgoing{{Queue: core.DeliveryQueue, Message: m}}}
	if err := db.HandOver(t.Context(), core.EventMessage(e), result); err != nil {
		t.Fatal(err)
	}
}

func wantOvertaken(t *testing.T, db *DB, m core.Message, want bool) {
	t.Helper()
	if got, err := db.Overtaken(t.Context(), m); err != nil || got != want {
		t.Errorf("the message of the run since %v is overtaken: %t, %v, want %t", m.Since, got, err, want)
	}
}
