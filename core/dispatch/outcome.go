package dispatch

import (
	"fmt"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/retry"
)

// maxRetryAfter bounds what a receiver may ask for with Retry-After.
const maxRetryAfter = time.Hour

// settle completes an attempt that was just made: a failed one that may be repeated gets the time of the next one, as far as the schedule has
// any left. Everything that follows is read from the attempt, so that a message that comes again leads to the same.
func settle(a *core.Attempt, schedule retry.Schedule, retryAfter time.Duration) {
	if a.Outcome != core.Retry {
		return
	}
	spent := a.Number - a.First + 1 // of the budget; 0: this attempt cost nothing, and neither did those before
	delay, ok := schedule.Delay(max(1, spent))
	if !ok && spent > 0 {
		return
	}
	delay = max(delay, min(retryAfter, maxRetryAfter))
	a.Due = a.Started.Add(a.Duration + delay)
}

// follow returns what takes the place of a message whose attempt is a: nothing, the next attempt, or a dead letter.
func follow(a core.Attempt, event core.Event) core.Result {
	if a.Outcome == core.Delivered {
		return core.Result{}
	}
	if !a.Due.IsZero() {
		return core.Result{Next: []core.Outgoing{retryOf(a, event)}}
	}
	reason := a.Reason
	if a.Outcome == core.Retry {
		reason = fmt.Sprintf("gave up after %s; the last answer: %s", attempts(a.Number-a.First+1), a.Reason)
	}
	result := core.Result{Log: []core.Record{
		core.DeadLetterRecord{DeadLetter: deadLetter(event, a.Subscriber, reason, a.Started.Add(a.Duration), a.Number)},
	}}
	if a.Subscriber == 0 {
		result.Log = append(result.Log, core.EventRecord{Event: event, State: core.EventDead})
	}
	return result
}

// followAgain returns what takes the place of a message whose attempt was logged before: the successors, which may be lost. What was to be logged is
// in the log together with the attempt, and would undo what happened since: a dead letter that was replayed must not come back.
func followAgain(a core.Attempt, event core.Event) core.Result {
	return core.Result{Next: follow(a, event).Next}
}

func retryOf(a core.Attempt, event core.Event) core.Outgoing {
	m := core.Message{
		Event: a.Event, Subscriber: a.Subscriber, Attempt: a.Number + 1, First: a.First, Since: a.Since,
		Lane: a.Subscriber.String(),
	}
	if a.Subscriber == 0 {
		m.Lane, m.Content = event.Name, &event
		return core.Outgoing{Queue: core.EventQueue, Message: m, Due: a.Due}
	}
	return core.Outgoing{Queue: core.DeliveryQueue, Message: m, Due: a.Due}
}

func deadLetter(event core.Event, subscriber core.SubscriberID, reason string, died time.Time, last int) core.DeadLetter {
	d := core.DeadLetter{
		ID: string(event.ID), Kind: core.DeadEvent,
		Event: event.ID, EventName: event.Name, Subscriber: subscriber, Reason: reason, Died: died, Last: last,
	}
	if subscriber != 0 {
		d.ID, d.Kind = string(core.DeliveryIDOf(event.ID, subscriber)), core.DeadDelivery
	}
	return d
}

func attempts(n int) string {
	if n == 1 {
		return "1 attempt"
	}
	return fmt.Sprintf("%d attempts", n)
}

// and joins two results: what the one logs and sends, then what the other does.
func and(a, b core.Result) core.Result {
	return core.Result{Log: append(a.Log, b.Log...), Next: append(a.Next, b.Next...)}
}
