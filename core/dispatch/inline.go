package dispatch

import (
	"context"

	"github.com/postrider/postrider/core"
)

// inlineAttempt is a first attempt that the consumer of the event makes itself: the one hop of the healthy case.
type inlineAttempt struct {
	work   work
	flight *flight
}

// startInline starts the attempt, or returns nil where the lane is full or not healthy; an event with one subscriber may wait for a place.
// The attempt ends with flying, not with the event, since it may outlive that.
func (e *Engine) startInline(ctx, flying context.Context, w work, mayWait bool) *inlineAttempt {
	entered := false
	if mayWait {
		entered = e.lanes.enterByDoor(ctx, w.subscriber.ID, true)
	} else {
		entered = e.lanes.enter(w.subscriber.ID, true)
	}
	if !entered {
		return nil
	}
	f, isNew := e.flights.board(w.key())
	if !isNew { // the event came again while its attempt is under way
		e.lanes.leave(w.subscriber.ID, experience{})
		return &inlineAttempt{w, f}
	}
	e.pilots.Go(func() { e.fly(flying, f, w) })
	return &inlineAttempt{w, f}
}

// awaitInline returns what follows from the attempt, or nil when the event should not wait any longer: it is late, and the attempt goes on without
// the event, or it could not be made. A delivery message then takes it up.
func (e *Engine) awaitInline(ctx context.Context, a *inlineAttempt, late <-chan struct{}) (*core.Result, error) {
	select {
	case <-a.flight.landed:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-late:
		if !a.flight.hasLanded() {
			e.lanes.markBusy(a.work.subscriber.ID)
			return nil, nil
		}
	}
	e.flights.forget(a.work.key(), a.flight)
	if a.flight.err != nil {
		return nil, nil
	}
	return &a.flight.result, nil
}
