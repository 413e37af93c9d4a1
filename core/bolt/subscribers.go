package bolt

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"github.com/postrider/postrider/core"
)

// storedSubscriber is a subscriber as the file has it; its member names are part of the format.
type storedSubscriber struct {
	Event    string          `json:"event"`
	URL      string          `json:"url"`
	Token    string          `json:"token,omitempty"`
	Notifier string          `json:"notifier"`
	Enabled  bool            `json:"enabled"`
	Reason   string          `json:"reason,omitempty"`
	Disabled time.Time       `json:"disabled,omitzero"`
	Created  time.Time       `json:"created"`
	Modified time.Time       `json:"modified"`
	Settings json.RawMessage `json:"settings,omitempty"`
	Retry    json.RawMessage `json:"retry,omitempty"`
	Envelope core.Envelope   `json:"envelope,omitempty"`
	Earlier  []storedToken   `json:"earlier,omitempty"`
}

// storedToken is a token that was replaced.
type storedToken struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
}

func encodeSubscriber(s core.Subscriber) (encoder, error) {
	b, err := json.Marshal(storedSubscriber{
		s.Event, s.URL, s.Token, s.Notifier, s.Enabled, s.Reason, s.Disabled, s.Created, s.Modified, s.Settings, s.Retry, s.Envelope,
		convertEach(s.Earlier, func(e core.EarlierToken) storedToken { return storedToken(e) }),
	})
	if err != nil {
		// Not wrapped: the error may quote what is secret.
		return encoder{}, core.Invalidf("settings", "settings and retry of a subscriber of %q are not both JSON", s.Event)
	}
	return encodeBytes(b), nil
}

func decodeSubscriber(key, value []byte) (core.Subscriber, error) {
	b, err := decodeBytes(bucketSubscribers, key, value)
	if err != nil {
		return core.Subscriber{}, err
	}
	var s storedSubscriber
	if json.Unmarshal(b, &s) != nil {
		return core.Subscriber{}, damaged(bucketSubscribers, key, "it is not JSON")
	}
	return core.Subscriber{
		ID: subscriberOf(key), Event: s.Event, URL: s.URL, Token: s.Token, Notifier: s.Notifier, Enabled: s.Enabled, Reason: s.Reason,
		Disabled: s.Disabled, Created: s.Created, Modified: s.Modified, Settings: s.Settings, Retry: s.Retry, Envelope: s.Envelope,
		Earlier: convertEach(s.Earlier, func(e storedToken) core.EarlierToken { return core.EarlierToken(e) }),
	}, nil
}

// convertEach returns nil for an empty list.
func convertEach[From, To any](from []From, convert func(From) To) []To {
	var to []To
	for _, item := range from {
		to = append(to, convert(item))
	}
	return to
}

func subscriberKey(id core.SubscriberID) []byte { return seqKey(uint64(id)) }

func subscriberOf(key []byte) core.SubscriberID {
	return core.SubscriberID(binary.BigEndian.Uint64(key))
}

// subscriberChange is what memory must learn: the subscriber as it is now, or that it is gone.
type subscriberChange struct {
	now  core.Subscriber
	gone bool
}

// CreateSubscriber stores s under a number of its own, and returns it with that number, Created and Modified.
func (db *DB) CreateSubscriber(ctx context.Context, s core.Subscriber) (core.Subscriber, error) {
	if err := ctx.Err(); err != nil {
		return core.Subscriber{}, err
	}
	s.Created = db.clock.now().Truncate(time.Millisecond).UTC()
	s.Modified, s.Disabled = s.Created, time.Time{}
	if _, err := encodeSubscriber(s); err != nil {
		return core.Subscriber{}, err
	}
	if err := db.space.admit(); err != nil {
		return core.Subscriber{}, err
	}
	r := &request{size: 1024, apply: func(w *write) error {
		number, err := w.subscribers.bucket.NextSequence()
		if err != nil {
			return err
		}
		s.ID = core.SubscriberID(number)
		return w.putSubscriber(s)
	}}
	if err := db.committer.do(r); err != nil {
		return core.Subscriber{}, fmt.Errorf("create a subscriber of %q: %w", s.Event, err)
	}
	db.notify(r.effects.subscribers)
	return s, nil
}

// UpdateSubscriber lets change alter the stored subscriber, and returns it as it then is. An error of change is returned as it is,
// and nothing is altered. Id and Created stay, and Disabled says when it was disabled; change may be called more than once and must not call the DB.
func (db *DB) UpdateSubscriber(ctx context.Context, id core.SubscriberID, change func(*core.Subscriber) error) (core.Subscriber, error) {
	if err := ctx.Err(); err != nil {
		return core.Subscriber{}, err
	}
	var changed core.Subscriber
	r := &request{
		size: 1024,
		check: func(w *write) error {
			known, err := w.subscriber(id)
			if err != nil {
				return err
			}
			changed = known
			if err := change(&changed); err != nil {
				return err
			}
			changed.ID, changed.Created, changed.Modified = known.ID, known.Created, db.clock.now().Truncate(time.Millisecond).UTC()
			switch {
			case changed.Enabled:
				changed.Disabled = time.Time{}
			case known.Enabled:
				changed.Disabled = changed.Modified
			default:
				changed.Disabled = known.Disabled
			}
			_, err = encodeSubscriber(changed)
			return err
		},
		apply: func(w *write) error { return w.putSubscriber(changed) },
	}
	if err := db.committer.do(r); err != nil {
		return core.Subscriber{}, err
	}
	db.notify(r.effects.subscribers)
	return changed, nil
}

// DeleteSubscriber forgets a subscriber, or returns an error wrapping [core.ErrNotFound].
func (db *DB) DeleteSubscriber(ctx context.Context, id core.SubscriberID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r := &request{
		essential: true, // makes room
		size:      256,
		check:     func(w *write) error { _, err := w.subscriber(id); return err },
		apply: func(w *write) error {
			s, err := w.subscriber(id)
			if err != nil {
				return err
			}
			w.effects.subscribers = append(w.effects.subscribers, subscriberChange{now: s, gone: true})
			return w.remove(w.subscribers, subscriberKey(id))
		},
	}
	if err := db.committer.do(r); err != nil {
		return err
	}
	db.notify(r.effects.subscribers)
	return nil
}

func (w *write) subscriber(id core.SubscriberID) (core.Subscriber, error) {
	key := subscriberKey(id)
	value := w.subscribers.get(key)
	if value == nil {
		return core.Subscriber{}, fmt.Errorf("subscriber %s: %w", id, core.ErrNotFound)
	}
	return decodeSubscriber(key, value)
}

func (w *write) putSubscriber(s core.Subscriber) error {
	e, err := encodeSubscriber(s)
	if err != nil {
		return err
	}
	w.effects.subscribers = append(w.effects.subscribers, subscriberChange{now: s})
	return w.put(w.subscribers, subscriberKey(s.ID), e)
}

// disable applies a record; one that is disabled already, or gone, stays as it is.
func (w *write) disable(r core.DisableRecord) error {
	key := subscriberKey(r.Subscriber)
	value := w.subscribers.get(key)
	if value == nil {
		return nil
	}
	s, err := decodeSubscriber(key, value)
	if err != nil || !s.Enabled {
		return err
	}
	s.Enabled, s.Reason, s.Disabled, s.Modified = false, r.Reason, r.At, r.At
	return w.putSubscriber(s)
}

// Subscriber returns one subscriber, from memory.
func (db *DB) Subscriber(id core.SubscriberID) (core.Subscriber, bool) { return db.subscribers.get(id) }

// Subscribers returns all, sorted by id, from memory. Don't change the slice.
func (db *DB) Subscribers() []core.Subscriber { return db.subscribers.list() }

// Match returns the subscribers of an event that was accepted at that time, sorted by id, from memory: those who are enabled, and those who have been disabled
// since. Don't change the slice.
func (db *DB) Match(event string, accepted time.Time) []core.Subscriber {
	return db.subscribers.match(event, accepted)
}

// WatchSubscribers calls f after each change of a subscriber has become durable. f runs in the goroutine that made the change,
// outside all locks. It can't be taken back.
func (db *DB) WatchSubscribers(f func(core.SubscriberID)) {
	db.watchMu.Lock()
	defer db.watchMu.Unlock()
	db.watchers = append(slices.Clip(db.watchers), f)
}

func (db *DB) notify(changes []subscriberChange) {
	if len(changes) == 0 {
		return
	}
	db.watchMu.Lock()
	watchers := db.watchers
	db.watchMu.Unlock()
	for _, change := range changes {
		for _, f := range watchers {
			f(change.now.ID)
		}
	}
}

// subscribers is the index in memory. Slices that were given out are never written again: what changes is copied first, and what is
// appended lies beyond their ends.
type subscribers struct {
	mu       sync.RWMutex
	byID     map[core.SubscriberID]core.Subscriber
	enabled  byEvent
	disabled byEvent           // those who were enabled before
	sorted   []core.Subscriber // of all; nil: to be made
}

// byEvent has some of the subscribers of each event, by id.
type byEvent map[string][]core.Subscriber

func loadSubscribers(tx *bbolt.Tx) (*subscribers, error) {
	s := &subscribers{byID: map[core.SubscriberID]core.Subscriber{}, enabled: byEvent{}, disabled: byEvent{}}
	err := tx.Bucket(bucketSubscribers).ForEach(func(k, v []byte) error {
		subscriber, err := decodeSubscriber(k, v)
		if err == nil {
			s.set(subscriber)
		}
		return err
	})
	return s, err
}

func (s *subscribers) applied(changes []subscriberChange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, change := range changes {
		if change.gone {
			s.unset(change.now.ID)
		} else {
			s.set(change.now)
		}
	}
	s.sorted = nil
}

func (s *subscribers) set(now core.Subscriber) {
	if old, known := s.byID[now.ID]; known && (old.Enabled != now.Enabled || old.Event != now.Event) {
		s.unmatch(old)
	}
	s.byID[now.ID] = now
	switch {
	case now.Enabled:
		s.enabled.put(now)
	case !now.Disabled.IsZero():
		s.disabled.put(now)
	}
}

func (s *subscribers) unset(id core.SubscriberID) {
	if old, known := s.byID[id]; known {
		delete(s.byID, id)
		s.unmatch(old)
	}
}

func (s *subscribers) unmatch(old core.Subscriber) {
	s.enabled.remove(old)
	s.disabled.remove(old)
}

func (all byEvent) put(now core.Subscriber) {
	list := all[now.Event]
	at, there := slices.BinarySearchFunc(list, now.ID, byID)
	switch {
	case there:
		list = slices.Clone(list)
		list[at] = now
	case at == len(list):
		list = append(list, now)
	default:
		list = slices.Insert(slices.Clone(list), at, now)
	}
	all[now.Event] = list
}

func (all byEvent) remove(old core.Subscriber) {
	list := all[old.Event]
	at, there := slices.BinarySearchFunc(list, old.ID, byID)
	if !there {
		return
	}
	if len(list) == 1 {
		delete(all, old.Event)
		return
	}
	all[old.Event] = slices.Delete(slices.Clone(list), at, at+1)
}

func byID(s core.Subscriber, id core.SubscriberID) int { return cmp.Compare(s.ID, id) }

func (s *subscribers) get(id core.SubscriberID) (core.Subscriber, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	subscriber, ok := s.byID[id]
	return subscriber, ok
}

func (s *subscribers) match(event string, accepted time.Time) []core.Subscriber {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := slices.Clip(s.enabled[event])
	for _, d := range s.disabled[event] {
		if d.Wants(accepted) {
			at, _ := slices.BinarySearchFunc(list, d.ID, byID)
			list = slices.Insert(slices.Clip(list), at, d)
		}
	}
	return list
}

func (s *subscribers) list() []core.Subscriber {
	s.mu.RLock()
	sorted := s.sorted
	s.mu.RUnlock()
	if sorted != nil {
		return sorted
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sorted == nil {
		s.sorted = slices.SortedFunc(maps.Values(s.byID), func(a, b core.Subscriber) int { return cmp.Compare(a.ID, b.ID) })
	}
	return slices.Clip(s.sorted)
}
