package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.etcd.io/bbolt"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/coretest"
)

// filled makes a file with something in every bucket, and closes it.
func filled(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "postrider.db")
	db := opened(t, Config{Path: path})
	maker := newEventMaker()
	publishAll(t, db, maker, 300)
	consumeAll(t, db, 100, nil)
	e := maker.event("order.created")
	e.ID = "chosen-by-the-publisher"
	later := core.Outgoing{Queue: core.DeliveryQueue, Message: core.DeliveryMessage(e.ID, 4, e.Accepted), Due: time.Now().Add(time.Hour)}
	err := db.Append(t.Context(), core.EventRecord{Event: e, State: core.EventUnwanted, Payload: []byte("payload")},
		core.DeadLetterRecord{DeadLetter: core.DeadLetter{ID: "dead", Event: e.ID, Died: time.Now()}})
	if err == nil {
		err = db.Publish(t.Context(), later)
	}
	if err == nil {
		_, err = db.CreateSubscriber(t.Context(), core.Subscriber{Event: "order.created", URL: "https://example.com", Token: "secret", Enabled: true})
	}
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func opened(t *testing.T, c Config) *DB {
	t.Helper()
	db, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		db.Close() //nolint:errcheck // the test has closed it, or failed
	})
	return db
}

// inspected returns what an inspection of a file that is closed finds.
func inspected(t *testing.T, path string) error {
	t.Helper()
	i, err := Inspect(path)
	if err != nil {
		return err
	}
	return errors.Join(i.Check(t.Context()), i.Close())
}

// wantSound closes db and inspects its file.
func wantSound(t *testing.T, db *DB) {
	t.Helper()
	if err := errors.Join(db.Close(), inspected(t, db.config.Path)); err != nil {
		t.Errorf("the file: %v", err)
	}
}

func statsOf(t *testing.T, path string) Stats {
	t.Helper()
	i, err := Inspect(path)
	if err != nil {
		t.Fatal(err)
	}
	stats, err := i.Stats(t.Context())
	if err := errors.Join(err, i.Close()); err != nil {
		t.Fatal(err)
	}
	return stats
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("got no error")
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

func TestAFileThatIsInUseIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postrider.db")
	opened(t, Config{Path: path})
	_, err := Open(Config{Path: path})
	wantError(t, err, path, "in use by another postrider daemon", "data_dir")
}

func TestAFileThatIsNotPostridersIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "other.db")
	other, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Open(Config{Path: path})
	wantError(t, err, path, "not Postrider's")
	_, err = Open(Config{Path: filepath.Dir(path)})
	wantError(t, err, "not a regular file")
	_, err = Open(Config{Path: filepath.Join(path, "postrider.db")})
	wantError(t, err, "not a directory")
}

func TestAnotherFormatVersionIsRefused(t *testing.T) {
	path := filled(t)
	file, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = file.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketMeta).Put(keyFormat, seal(keyFormat, encodeNumber(formatVersion+1)))
	})
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = Open(Config{Path: path})
	wantError(t, err, path, "format version 3", "reads versions 1 to 2")
}

func TestADamagedFileIsRefusedWithAClearError(t *testing.T) {
	for name, damage := range map[string]func(b []byte) []byte{
		"cut off":          func(b []byte) []byte { return b[:len(b)/4] },
		"cut to one page":  func(b []byte) []byte { return b[:pageSize] },
		"cut to nothing":   func(b []byte) []byte { return b[:10] },
		"text":             func([]byte) []byte { return []byte(strings.Repeat("this is no database\n", 4096)) },
		"zeroes":           func(b []byte) []byte { clear(b); return b },
		"zeroes after 8 K": func(b []byte) []byte { clear(b[8192:]); return b },
		"noise after 8 K": func(b []byte) []byte {
			noise := rand.New(rand.NewPCG(1, 2))
			for i := 8192; i < len(b); i++ {
				b[i] = byte(noise.Uint32())
			}
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filled(t)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = Open(Config{Path: path})
			wantError(t, err, path, "damaged", "backup")
			if !errors.Is(err, core.ErrDamaged) {
				t.Errorf("error %v does not wrap ErrDamaged", err)
			}
		})
	}
}

// usedPages returns the numbers of the pages of a file that hold something.
func usedPages(t *testing.T, path string) (used []int) {
	t.Helper()
	file, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		t.Fatal(err)
	}
	err = file.View(func(tx *bbolt.Tx) error {
		for page := 2; int64(page)*pageSize < tx.Size(); page++ {
			if info, err := tx.Page(page); err == nil && info != nil && info.Type != "free" {
				used = append(used, page)
			}
		}
		return nil
	})
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	return used
}

// Whatever is wrong with how pages hang together: no goroutine of bbolt meets it, and ends the process.
func TestAFlippedBitInAPageNeverEndsTheProcess(t *testing.T) {
	path := filled(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flips := 40
	if testing.Short() {
		flips = 6
	}
	noise := rand.New(rand.NewPCG(5, 6))
	for _, page := range usedPages(t, path) {
		for range flips {
			b := bytes.Clone(whole)
			b[page*pageSize+noise.IntN(96)] ^= 1 << noise.IntN(8) // the page's header and its first entries
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			file, err := Inspect(path)
			if err != nil {
				continue
			}
			file.Check(t.Context()) //nolint:errcheck // it may or may not find what is wrong
			if err := file.Close(); err != nil {
				t.Fatal(err)
			}
			if db, err := Open(Config{Path: path}); err == nil {
				db.Close() //nolint:errcheck // it is damaged
			}
		}
	}
}

// Whatever single page is overwritten: the process lives, and the damage is named by Inspect or by Check.
func TestAPageThatIsOverwrittenIsFound(t *testing.T) {
	path := filled(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	used := usedPages(t, path)
	found := 0
	noise := rand.New(rand.NewPCG(3, 4))
	for _, page := range used {
		b := append([]byte(nil), whole...)
		for i := page * pageSize; i < (page+1)*pageSize; i++ {
			b[i] ^= byte(noise.Uint32())
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if inspected(t, path) != nil {
			found++
		}
		if db, err := Open(Config{Path: path}); err == nil {
			db.Close() //nolint:errcheck // it is damaged
		}
	}
	if len(used) < 20 || found < len(used) {
		t.Errorf("found the damage of %d of %d pages", found, len(used))
	}
}

func TestAFlippedBitInARecordIsFoundAndDoesNotStopOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postrider.db")
	db := opened(t, Config{Path: path})
	maker := newEventMaker()
	broken, whole := maker.event("order.created"), maker.event("order.created")
	broken.Arguments = []byte(`{"note":"this one will break"}`)
	for _, e := range []core.Event{broken, whole} {
		if err := db.Publish(t.Context(), core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	coretest.Flip(t, path, "this one will break")
	wantError(t, inspected(t, path), "checksum", "events")
	db = opened(t, Config{Path: path})
	_, err := db.Event(t.Context(), broken.ID)
	wantError(t, err, "checksum", "events")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err = db.Consume(ctx, core.EventQueue, 1, func(_ context.Context, m core.Message) (core.Result, error) {
		if m.Event != whole.ID {
			t.Errorf("event %s was handed over", m.Event)
		}
		cancel()
		return core.Result{}, nil
	})
	if err != nil {
		t.Error(err)
	}
}

// The message is whole. What its handler reads is not, or what its hand-over does: by then it is attempted.
func TestAMessageThatNeedsADamagedRecordIsOfferedOnceAndHoldsUpNoOther(t *testing.T) {
	for _, broken := range []string{"payload", "dead letter"} {
		t.Run(broken, func(t *testing.T) {
			mark := "this " + broken + " will break"
			path := filepath.Join(t.TempDir(), "postrider.db")
			db := opened(t, Config{Path: path})
			maker := newEventMaker()
			var events []core.EventID
			for _, texts := range []map[string]string{{broken: mark}, {}, {}} {
				e := maker.event("order.created")
				events = append(events, e.ID)
				err := db.Append(t.Context(), core.EventRecord{Event: e, State: core.EventDispatched, Payload: []byte(texts["payload"])},
					core.DeadLetterRecord{DeadLetter: core.DeadLetter{
						ID: string(core.DeliveryIDOf(e.ID, 1)), Kind: core.DeadDelivery, Event: e.ID, Subscriber: 1, Reason: texts["dead letter"], Died: time.Now(), Last: 1,
					}})
				if err == nil {
					err = db.Publish(t.Context(), core.Outgoing{Queue: core.DeliveryQueue, Message: core.DeliveryMessage(e.ID, 1, e.Accepted)})
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			coretest.Flip(t, path, mark)
			var log bytes.Buffer
			db = opened(t, Config{Path: path, Logger: hclog.New(&hclog.LoggerOptions{Output: &log})})
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			var handed []core.EventID
			err := db.Consume(ctx, core.DeliveryQueue, 1, func(_ context.Context, m core.Message) (core.Result, error) {
				handed = append(handed, m.Event)
				if m.Event == events[2] {
					cancel()
				}
				if _, err := db.Event(t.Context(), m.Event); err != nil {
					return core.Result{}, fmt.Errorf("look up event %s of a delivery: %w", m.Event, err)
				}
				return core.Result{Log: []core.Record{core.ResurrectRecord{ID: string(core.DeliveryIDOf(m.Event, 1))}}}, nil
			})
			if err := errors.Join(err, db.Close()); err != nil || !slices.Equal(handed, events) {
				t.Errorf("handed over: %v, %v, want each of %v once", handed, err, events)
			}
			if said := log.String(); strings.Count(said, "it is kept") != 1 || strings.Contains(said, "will be offered again") {
				t.Errorf("the log says\n%s", said)
			}
		})
	}
}

// What is refused after that need not need any record that is damaged.
func TestADBThatEndedAtADamagedPageIsUnavailableAndCallsNoOtherRecordDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postrider.db")
	db := opened(t, Config{Path: path, hooks: hooks{beforeCommit: func() error { panic("page 7 is no page") }}})
	maker := newEventMaker()
	for _, when := range []string{"at the page", "afterwards"} {
		err := db.HandOver(t.Context(), core.EventMessage(maker.event("order.created")), core.Result{})
		wantError(t, err, path, "page 7 is no page", "damaged", "started again")
		if !errors.Is(err, core.ErrUnavailable) || errors.Is(err, core.ErrDamaged) {
			t.Errorf("%s: got %v, want ErrUnavailable and no ErrDamaged", when, err)
		}
	}
}

func TestAGoodFileIsInspectedWithoutChangingIt(t *testing.T) {
	path := filled(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := inspected(t, path); err != nil {
		t.Error(err)
	}
	stats := statsOf(t, path)
	if stats.Events != 301 || stats.Open+stats.Attempts != 301 || stats.Attempts < 100 || stats.Scheduled != 1 || stats.DeadLetters != 1 ||
		stats.Subscribers != 1 || stats.Free <= 0 || stats.Free >= stats.Size {
		t.Errorf("stats: %+v", stats)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was changed: %v", err)
	}
}

func TestAFileThatADaemonUsesIsNotInspected(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postrider.db")
	opened(t, Config{Path: path})
	_, err := Inspect(path)
	wantError(t, err, path, "a daemon uses the database", "stop it")
}

func TestListsLeaveOutWhatIsDamagedAndSayThat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postrider.db")
	db := opened(t, Config{Path: path})
	maker := newEventMaker()
	var events []core.Event
	for i, reason := range []string{"whole", "this attempt will break", "whole", "whole"} {
		e := maker.event("order.created")
		if i == 2 {
			e.Arguments = []byte(`{"note":"this event will break"}`)
		}
		events = append(events, e)
		letter := core.DeadLetter{ID: string(core.DeliveryIDOf(e.ID, 1)), Kind: core.DeadDelivery, Event: e.ID, Subscriber: 1, Died: time.Now()}
		if i == 3 {
			letter.Reason = "this letter will break"
		}
		err := db.Append(t.Context(), core.EventRecord{Event: e, State: core.EventDispatched}, core.DeadLetterRecord{DeadLetter: letter},
			core.AttemptRecord{Attempt: core.Attempt{Event: e.ID, Subscriber: 1, Number: 1, First: 1, Outcome: core.Rejected, Reason: reason}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, mark := range []string{"this attempt will break", "this event will break", "this letter will break"} {
		coretest.Flip(t, path, mark)
	}
	var log bytes.Buffer
	db = opened(t, Config{Path: path, Logger: hclog.New(&hclog.LoggerOptions{Output: &log})})
	wantLogged := func(list string) {
		t.Helper()
		if n := strings.Count(log.String(), "left out"); n != 1 {
			t.Errorf("%s: %d lines say that something was left out, want 1:\n%s", list, n, log.String())
		}
		log.Reset()
	}
	deliveries, next, err := db.Deliveries(t.Context(), core.DeliveryFilter{Limit: 10})
	if err != nil || next != "" || len(deliveries) != 2 || deliveries[0].Event != events[3].ID || deliveries[1].Event != events[0].ID {
		t.Errorf("deliveries: got %+v, %q, %v, want the last and the first", deliveries, next, err)
	}
	wantLogged("deliveries")
	letters, next, err := db.DeadLetters(t.Context(), core.DeadLetterFilter{Limit: 10})
	if err != nil || next != "" || len(letters) != 3 {
		t.Errorf("dead letters: got %+v, %q, %v, want three", letters, next, err)
	}
	wantLogged("dead letters")
	_, err = db.Delivery(t.Context(), core.DeliveryIDOf(events[1].ID, 1))
	wantError(t, err, "damaged")
	_, err = db.DeadLetter(t.Context(), string(core.DeliveryIDOf(events[3].ID, 1)))
	wantError(t, err, "damaged")
}
