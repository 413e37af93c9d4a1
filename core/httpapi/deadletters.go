package httpapi

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/postrider/postrider/core"
)

func (a *api) listDeadLetters(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r, "kind", "event", "subscriber", "limit", "cursor")
	filter := core.DeadLetterFilter{
		Kind:       core.DeadLetterKind(q.text("kind")),
		EventName:  q.text("event"),
		Subscriber: core.SubscriberID(q.number("subscriber")),
		Limit:      q.limit(),
		Cursor:     q.text("cursor"),
	}
	if q.err == nil {
		q.err = checkKind(filter.Kind)
	}
	if q.err != nil {
		return q.err
	}
	letters, next, err := a.DeadLetters.DeadLetters(r.Context(), filter)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, Page[DeadLetter]{Items: each(letters, deadLetterOf), Next: next})
}

func checkKind(kind core.DeadLetterKind) error {
	switch kind {
	case "", core.DeadDelivery, core.DeadEvent:
		return nil
	}
	return core.Invalidf("kind", "no dead letter is of the kind %q: it is %s or %s", kind, core.DeadDelivery, core.DeadEvent)
}

func (a *api) deadLetter(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	letter, err := a.DeadLetters.DeadLetter(r.Context(), id)
	if err != nil {
		return noDeadLetter(id, err)
	}
	return answer(w, http.StatusOK, deadLetterOf(letter))
}

func (a *api) removeDeadLetter(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if err := a.DeadLetters.RemoveDeadLetter(r.Context(), id); err != nil {
		return noDeadLetter(id, err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *api) replayDeadLetter(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if err := a.Replayer.ReplayDeadLetter(r.Context(), id); err != nil {
		return noDeadLetter(id, err)
	}
	return answer(w, http.StatusAccepted, Replayed{Replayed: []string{id}})
}

func noDeadLetter(id string, err error) error {
	return notFoundAs(err, "there is no dead letter %q; `postrider dead-letter list` shows them", id)
}

// replayDeadLetters replays the ids of the request, or one page of what it selects.
func (a *api) replayDeadLetters(w http.ResponseWriter, r *http.Request) error {
	var request ReplayDeadLetters
	if err := a.decode(w, r, &request); err != nil {
		return err
	}
	if err := request.check(); err != nil {
		return err
	}
	ids, next := request.IDs, ""
	if len(ids) == 0 {
		letters, cursor, err := a.DeadLetters.DeadLetters(r.Context(), request.filter())
		if err != nil {
			return err
		}
		ids, next = each(letters, func(d core.DeadLetter) string { return d.ID }), cursor
	}
	result, err := a.replayAll(r.Context(), ids)
	if err != nil {
		return err
	}
	result.Next = next
	return answer(w, http.StatusAccepted, result)
}

func (request ReplayDeadLetters) check() error {
	selects := request.Kind != "" || request.Event != "" || request.SubscriberID != 0
	switch {
	case len(request.IDs) > maxLimit:
		return core.Invalidf("ids", "%d ids are too many for one request: at most %d", len(request.IDs), maxLimit)
	case len(request.IDs) > 0 && (selects || request.All || request.Cursor != ""):
		return core.Invalidf("ids", "the request names ids and also selects dead letters: do one of the two")
	case len(request.IDs) == 0 && !selects && !request.All:
		return core.Invalidf("ids", "the request says not what to replay: give ids, or kind, event or subscriber_id, or all: true for every dead letter")
	case request.Limit < 0 || request.Limit > maxLimit:
		return core.Invalidf("limit", "limit is %d: one request replays 1 to %d", request.Limit, maxLimit)
	case request.SubscriberID < 0:
		return core.Invalidf("subscriber_id", "subscriber_id is %d: it must be a number from 1", request.SubscriberID)
	}
	return checkKind(core.DeadLetterKind(request.Kind))
}

func (request ReplayDeadLetters) filter() core.DeadLetterFilter {
	limit := request.Limit
	if limit == 0 {
		limit = maxLimit
	}
	return core.DeadLetterFilter{
		Kind:       core.DeadLetterKind(request.Kind),
		EventName:  request.Event,
		Subscriber: core.SubscriberID(request.SubscriberID),
		Limit:      limit,
		Cursor:     request.Cursor,
	}
}

// replaysAtOnce is how many replays wait together, so that a queue that commits what arrives together need not sync once for each.
const replaysAtOnce = 64

// replayAll replays ids; what can't be replayed is said of each. A queue that takes nothing now ends it with an error: replaying again is harmless.
func (a *api) replayAll(ctx context.Context, ids []string) (Replayed, error) {
	failures := make([]error, len(ids))
	var group sync.WaitGroup
	room := make(chan struct{}, replaysAtOnce)
	for i, id := range ids {
		room <- struct{}{}
		group.Go(func() {
			failures[i] = a.Replayer.ReplayDeadLetter(ctx, id)
			<-room
		})
	}
	group.Wait()
	result := Replayed{Replayed: []string{}}
	for i, err := range failures {
		switch problem := problemOf(noDeadLetter(ids[i], err)); {
		case err == nil:
			result.Replayed = append(result.Replayed, ids[i])
		case problem.Status >= http.StatusInternalServerError || errors.Is(err, context.Canceled):
			return Replayed{}, err
		default:
			result.Failed = append(result.Failed, FailedReplay{ID: ids[i], Message: problem.Detail})
		}
	}
	return result, nil
}
