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

// startInline starts the attempt, or returns nil where the lane is full or not healthy. The attempt ends with flying, not with
// the event, since it may outlive that.
func (e *Engine) startInline(flying context.Context, w work) *inlineAttempt {
	if !e.lanes.enter(w.subscriber.ID, true) {
		return nil
	}
	f, isNew := e.flights.board(w.key())
	if !isNew { // the event came again while its attempt is under way
		e.lanes.leave(w.subscriber.ID, experience{})
		return &inlineAttempt{w, f}
	}
	e.flying.Go(func() { e.fly(flying, f, w) })
	return &inlineAttempt{w, f}
}

// awaitInline returns what follows from the attempt, or nil when the event should not wait any longer: patience has ended, and the attempt
// goes on without the event, or it could not be made. A delivery message then takes it up.
func (e *Engine) awaitInline(ctx, patience context.Context, a *inlineAttempt) (*core.Result, error) {
	select {
	case <-a.flight.landed:
	case <-patience.Done():
		if !a.flight.hasLanded() {
			e.lanes.markBusy(a.work.subscriber.ID)
			return nil, ctx.Err()
		}
	}
	e.flights.forget(a.work.key(), a.flight)
	if a.flight.err != nil {
		return nil, nil
	}
	return &a.flight.result, nil
}
