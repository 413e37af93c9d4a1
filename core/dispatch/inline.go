package dispatch

import (
	"context"

	"github.com/postrider/postrider/core"
)

// startInline starts a first attempt that the consumer of its event waits for: the one hop of the healthy case. It returns nil where the lane is full or not
// healthy; an event with one subscriber may wait for a place. The attempt ends with flying, not with the event, since it may outlive that.
func (e *Engine) startInline(ctx, flying context.Context, w *work, mayWait bool) *flight {
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
		return f
	}
	f.work = *w
	e.pilots.Go(func() { e.fly(flying, f) })
	return f
}

// awaitInline returns what follows from the attempt, or nil when the event should not wait any longer: it is late, and the attempt goes on without
// the event, or it could not be made. A delivery message then takes it up. enough is closed when the event has waited long enough, or ctx, which is its own, has ended.
func (e *Engine) awaitInline(ctx context.Context, f *flight, enough <-chan struct{}) (*core.Result, error) {
	select { // nobody else waits on either: on the end of ctx itself all events would
	case <-f.landed:
	case <-enough:
		if f.hasLanded() {
			break
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		e.lanes.markBusy(f.key.subscriber)
		return nil, nil
	}
	e.flights.forget(f)
	if f.err != nil {
		return nil, nil
	}
	return &f.result, nil
}
