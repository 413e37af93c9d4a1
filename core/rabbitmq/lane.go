package rabbitmq

import (
	"math/rand/v2"
	"time"
)

// lane is what the window knows of one lane. The window's lock guards it.
type lane struct {
	name    string
	items   []*item
	queued  bool // has a turn
	claims  int  // messages in the hands of Handlers
	held    bool // until somebody wakes it
	resting bool // until a timer ends
	backoff time.Duration

	// Since a Handler had no room:
	limit   int           // of claims; 0: none
	growth  int           // messages consumed since limit last grew
	probing bool          // the Handler had none in hand: nobody knows its room
	wait    time.Duration // how long it expects to have none
	per     time.Duration // about how long until there is room for one message more
	horizon time.Time     // when there is room for what left last
}

// limitGrowth is how many messages consumed let a lane have one more claim than the Handler had room for: a lane that wakes would else give a message to
// every idle worker, and all but a few come back. A lane of which nobody knows the room (its plugin was down) starts with as many, and has one more for each.
const limitGrowth = 8

// How long a lane rests after a Handler failed in it: each time twice as long, until one succeeds.
const (
	restFirst = 100 * time.Millisecond
	restMax   = 5 * time.Second
)

func (l *lane) stopped() bool { return l.held || l.resting }

func (l *lane) full() bool { return l.limit > 0 && l.claims >= l.limit }

// hold notes that a Handler had no room for one message more than are claimed now.
func (l *lane) hold(wait time.Duration) {
	if !l.held {
		l.horizon = time.Time{}
	}
	l.wait = min(max(wait, restFirst), farthest)
	l.per = l.wait / time.Duration(max(1, l.claims)) // in that time, each of those that are claimed makes room once
	l.limit, l.growth = l.claims, 0
	if l.probing = l.claims == 0; l.probing {
		l.limit = limitGrowth
	}
}

// flows notes that a message was consumed.
func (l *lane) flows() {
	l.backoff = 0
	if l.growth++; l.limit > 0 && (l.growth >= limitGrowth || l.probing || l.limit < limitGrowth) {
		l.limit++
		l.growth = 0
	}
}

// fails notes that a Handler failed.
func (l *lane) fails() {
	l.backoff = min(restMax, max(restFirst, 2*l.backoff))
	l.wait, l.per = l.backoff, 0
}

// away returns how long the message must be away that leaves next: each comes back a little later than the one before it, when there is room for it. The
// farther ahead that is, the less is known of it: what would have to wait for more than a minute is spread over the last half of one.
func (l *lane) away() time.Duration {
	now := time.Now()
	if earliest := now.Add(l.wait); l.horizon.Before(earliest) {
		l.horizon = earliest
	}
	l.horizon = l.horizon.Add(l.per)
	if latest := now.Add(farthest); !l.horizon.Before(latest) {
		l.horizon = latest
		return farthest/2 + rand.N(farthest/2)
	}
	return l.horizon.Sub(now)
}
