package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/postrider/postrider/sdk"
)

const (
	// patience is how long an attempt waits here for its turn. What would wait longer goes back to the daemon until then, so that a few busy webhooks
	// don't take all the room that the plugin has.
	patience = 5 * time.Second
	// horizon is how far ahead turns are given: the daemon doesn't put a delivery off by more than an hour.
	horizon = 55 * time.Minute
	// lateness is by how much a delivery may miss the turn that it was given, and still has it.
	lateness = 5 * time.Second
	// margin is left of an attempt's time for the message itself.
	margin = 5 * time.Second
)

// lines gives each webhook's messages their turns, one every so often. A message whose turn is far off is promised that turn when it comes again:
// otherwise it would come in vain as often as there are others who do.
//
// golang.org/x/time/rate has turns too, but none that can be put off (Retry-After) or kept for someone who leaves meanwhile.
type lines struct {
	every time.Duration
	mu    sync.Mutex
	lines map[[sha256.Size]byte]*line // by the hash of the URL, which is a secret
	sweep time.Time                   // when to look for lines that nobody needs
}

// line is that of one webhook.
type line struct {
	next     time.Time            // the first turn that nobody has
	closed   time.Time            // until then Slack wants nothing
	promised map[string]time.Time // turns by delivery
}

func newLines(every time.Duration) *lines {
	return &lines{every: every, lines: make(map[[sha256.Size]byte]*line)}
}

// await returns true when it is the delivery's turn. If that is too far off, or ctx ends, it returns how long it takes, and the delivery has that turn
// if it comes again then.
func (l *lines) await(ctx context.Context, url, delivery string) (time.Duration, bool) {
	now := time.Now()
	longest := patience
	if deadline, ok := ctx.Deadline(); ok {
		longest = min(longest, deadline.Sub(now)-margin)
	}
	wait, mine := l.enter(url, delivery, max(longest, 0), now)
	if !mine {
		return wait, false
	}
	if wait <= 0 {
		return 0, true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return 0, true
	case <-ctx.Done():
		return 0, false
	}
}

// enter returns how long it is until the delivery's turn, and whether it may wait for it here.
func (l *lines) enter(url, delivery string, longest time.Duration, now time.Time) (wait time.Duration, mine bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear(now)
	at := l.of(url)
	turn, promised := at.promised[delivery]
	delete(at.promised, delivery)
	if !promised || now.Sub(turn) > lateness || turn.Before(at.closed) {
		turn = latest(now, at.next)
		if wait = turn.Sub(now); wait > horizon {
			return horizon, false // it gets no turn: there are enough who have one until then
		}
		at.next = turn.Add(l.every)
	}
	if wait = turn.Sub(now); wait <= longest {
		return wait, true
	}
	at.promised[delivery] = turn
	return wait, false
}

// hold puts off all turns of a webhook, as its receiver asked for.
func (l *lines) hold(url string, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.of(url)
	at.closed = latest(at.closed, time.Now().Add(max(wait, l.every)))
	at.next = latest(at.next, at.closed)
}

// of returns the line of a webhook. The lock is held.
func (l *lines) of(url string) *line {
	key := sha256.Sum256([]byte(url))
	at := l.lines[key]
	if at == nil {
		at = &line{promised: make(map[string]time.Time)}
		l.lines[key] = at
	}
	return at
}

// clear forgets, now and then, what nobody came for, and lines that have nothing to remember. The lock is held.
func (l *lines) clear(now time.Time) {
	if now.Before(l.sweep) {
		return
	}
	l.sweep = now.Add(time.Minute)
	for key, at := range l.lines {
		for delivery, turn := range at.promised {
			if now.Sub(turn) > lateness {
				delete(at.promised, delivery)
			}
		}
		if len(at.promised) == 0 && now.After(at.next) {
			delete(l.lines, key)
		}
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// later is the outcome of an attempt whose turn is yet to come.
func later(wait time.Duration) sdk.Outcome {
	if wait <= 0 {
		return sdk.Retry("the attempt was called off while it waited for its turn at the webhook")
	}
	outcome := sdk.Retry(fmt.Sprintf("it is not its turn yet: Slack takes about one message a second for each webhook, and others are before it for %v",
		wait.Round(time.Second)))
	outcome.RetryAfter = wait
	return outcome
}
