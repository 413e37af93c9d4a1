package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postrider/postrider/core"
)

// Publish implements [core.Queue]. The broker has out before the store does: what the store knows of was surely accepted, and what it does not, because of
// a crash in between, has had no answer. While there is no broker, or it takes nothing, Publish returns [core.ErrUnavailable] at once; when the connection
// is lost on the way, too, and then the broker may have some of out: publishing it again is harmless.
func (q *Queue) Publish(ctx context.Context, out ...core.Outgoing) error {
	l, err := q.usable()
	if err != nil {
		return err
	}
	release, ok, err := q.keys.takeAll(ctx, false, out)
	if err == nil && !ok {
		// Somebody has one of them in hand. A repeat need not wait for that.
		var send []core.Outgoing
		if send, err = q.config.Store.Admit(ctx, out...); err != nil || len(send) == 0 {
			return err
		}
		release, _, err = q.keys.takeAll(ctx, true, out)
	}
	if err != nil {
		return err
	}
	defer release()
	send, err := q.config.Store.Admit(ctx, out...)
	if err != nil || len(send) == 0 {
		return err
	}
	if err := q.at(beforeBroker); err != nil {
		return err
	}
	now := time.Now()
	postings := make([]*posting, len(send))
	for i, o := range send {
		postings[i] = q.delays.send(q.target(o.Queue), envelope{message: o.Message, due: o.Due}, now)
	}
	if _, err := l.publisher.publish(ctx, false, postings...); err != nil {
		if errors.Is(err, errGone) && l.hasEnded() {
			err = fmt.Errorf("%w: %w", err, l.why)
		}
		return fmt.Errorf("%w: %w", core.ErrUnavailable, err)
	}
	if err := errors.Join(q.at(afterBroker), q.at(beforeStore)); err != nil {
		return err
	}
	if err := q.config.Store.Accept(context.WithoutCancel(ctx), send...); err != nil {
		return err
	}
	return q.at(afterStore)
}
