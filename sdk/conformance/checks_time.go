package conformance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postrider/postrider/sdk/host"
)

var answersCancelled = Check{
	Name: "answers what is cancelled",
	Rule: "A cancelled request ends at once, and is answered all the same, once. A message may cancel what came in the same one; the answer may cross the cancellation.",
	Advice: "Go on reading the stream while requests are under way, and give each request something that ends its work: a context, an AbortSignal, a cancellation token. " +
		"A request occupies its place until it is answered.",
	run: func(ctx context.Context, t *trial) error {
		p, err := t.ready(ctx)
		if err != nil {
			return err
		}
		if err := t.cancelQuick(ctx, p); err != nil {
			return err
		}
		asked, err := t.occupy(ctx, p, 1, 0)
		if err == nil {
			err = t.cancelSlow(ctx, p, asked)
		}
		if why, skipped := asSkip(err); skipped {
			t.note("%v", why)
			err = nil
		}
		if err != nil {
			return err
		}
		return t.worksStill(ctx, p, "cancellations")
	},
}

// cancelQuick cancels requests that may be answered any moment: together with the request, and soon after it.
func (t *trial) cancelQuick(ctx context.Context, p *Plugin) error {
	q, _, err := t.work(p)
	if err != nil {
		return err
	}
	asked, err := p.askAndCancel(q)
	if err != nil {
		return err
	}
	if _, err := p.await(ctx, asked[0], p.patience); err != nil {
		return fmt.Errorf("a request that came with its cancellation: %w", err)
	}
	for _, after := range []time.Duration{0, 100 * time.Microsecond, time.Millisecond, 5 * time.Millisecond} {
		asked, err := p.ask(q)
		if err != nil {
			return err
		}
		time.Sleep(after) // the one thing that is varied
		if err := p.cancel(asked[0].id); err != nil {
			return err
		}
		if _, err := p.await(ctx, asked[0], p.patience); err != nil {
			return fmt.Errorf("a request that was cancelled %v after it was sent: %w", after, err)
		}
	}
	return nil
}

// cancelSlow cancels requests that would go on for long.
func (t *trial) cancelSlow(ctx context.Context, p *Plugin, asked []pending) error {
	var ids []uint64
	for _, q := range asked {
		ids = append(ids, q.id)
	}
	if err := p.cancel(ids...); err != nil {
		return err
	}
	for _, q := range asked {
		a, err := p.await(ctx, q, p.prompt())
		if err != nil {
			return fmt.Errorf("%d requests under way were cancelled: %w", len(asked), err)
		}
		if wrong := a.wrong(); wrong != "" {
			t.problem("its answer to a cancelled request %s", wrong)
		}
	}
	return nil
}

var keepsToDeadline = Check{
	Name:   "keeps to its deadline",
	Rule:   "A request is answered by itself, without a cancellation, when its remaining_ms are over.",
	Advice: "End the work of a request after remaining_ms, and answer with an outcome to retry, or a failure of the kind KIND_CANCELLED.",
	run: func(ctx context.Context, t *trial) error {
		p, err := t.ready(ctx)
		if err != nil {
			return err
		}
		q, _, err := t.work(p)
		if err != nil {
			return err
		}
		q.remaining = time.Millisecond
		if _, err := p.answer(ctx, q); err != nil {
			return fmt.Errorf("a request with 1 ms remaining: %w", err)
		}
		const remaining = 300 * time.Millisecond
		asked, err := t.occupy(ctx, p, 1, remaining)
		if why, skipped := asSkip(err); skipped {
			t.note("%v", why)
			return nil
		}
		if err != nil {
			return err
		}
		a, err := p.await(ctx, asked[0], remaining+p.prompt())
		if err != nil {
			return fmt.Errorf("a request with %v remaining: %w", remaining, err)
		}
		if wrong := a.wrong(); wrong != "" {
			t.problem("its answer to a request that ran out of time %s", wrong)
		} else if a.failure == nil && (a.outcome == nil || a.delivered()) {
			t.problem("a request that ran out of time was answered with %v", a)
		}
		return nil
	},
}

var holdsNobodyUp = Check{
	Name:   "holds nobody up",
	Rule:   "A request that takes long delays no other, nor Check, as long as max_in_flight allows another one.",
	Advice: "Work on requests side by side, or describe max_in_flight as what you can really do at once.",
	run: func(ctx context.Context, t *trial) error {
		p, err := t.ready(ctx)
		if err != nil {
			return err
		}
		room := p.Process.Description().MaxInFlight
		if room < 2 {
			return skipf("its max_in_flight is 1")
		}
		asked, err := t.occupy(ctx, p, min(room-1, 8), 0)
		if err != nil {
			return err
		}
		if err := t.worksStill(ctx, p, fmt.Sprintf("%d requests that take long, and are still under way", len(asked))); err != nil {
			return err
		}
		if err := t.well(ctx, p); err != nil {
			return fmt.Errorf("while requests are under way: %w", err)
		}
		for _, q := range asked {
			select {
			case a := <-q.answer:
				return skipf("what was to take long did not: it was answered with %v", a)
			default:
			}
		}
		return nil
	},
}

// occupy asks requests that go on until they are cancelled or out of time, and returns once they are under way. A [skipError] says that none are known.
func (t *trial) occupy(ctx context.Context, p *Plugin, n int, remaining time.Duration) ([]pending, error) {
	q := request{remaining: remaining}
	var started <-chan struct{}
	if p.Process.Description().Role == host.RoleResolver {
		if t.subject.Slow == nil {
			return nil, skipf("no call is known that takes long, so what becomes of one was not seen")
		}
		q.call = *t.subject.Slow
	} else {
		r, err := t.receive()
		if err != nil {
			return nil, err
		}
		if q.delivery, err = t.delivery(); err != nil {
			return nil, err
		}
		q.delivery.URL = r.hangs()
		started = r.hanging
	}
	requests := make([]request, n)
	for i := range requests {
		requests[i] = q
	}
	asked, err := p.ask(requests...)
	if err != nil {
		return nil, err
	}
	if started == nil { // a resolver can't be looked into
		select {
		case a := <-asked[0].answer:
			return nil, skipf("the call that should take long was answered with %v", a)
		case <-time.After(settle):
			return asked, nil
		case <-p.Process.Done():
			return nil, p.broken(errors.New("there is no answer"))
		}
	}
	for range asked {
		select {
		case <-started:
		case a := <-asked[0].answer:
			return nil, skipf("it doesn't wait for the receiver: one that never answers was answered for with %v", a)
		case <-time.After(p.patience):
			return nil, fmt.Errorf("%d requests were sent together, and %v later not all of them are under way", n, p.patience)
		case <-p.Process.Done():
			return nil, p.broken(errors.New("there is no answer"))
		}
	}
	return asked, nil
}

// settle is how long a resolver gets to begin with a call.
const settle = 100 * time.Millisecond
