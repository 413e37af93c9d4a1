package rabbitmq

import "time"

// lane is what the window knows of one lane. The window's lock guards it.
type lane struct {
	name    string
	items   []*item
	queued  bool // has a turn
	claims  int  // messages in the hands of Handlers
	held    bool // until somebody wakes it
	resting bool // until a timer ends
	backoff time.Duration

	flowed  time.Time     // when a message of it was last consumed, or it came into the window
	per     time.Duration // moving average of the time between two that were consumed
	horizon time.Time     // when there is room for what left last

	// Since a Handler had no room:
	limit   int  // of claims; 0: none
	growth  int  // messages consumed since limit last grew
	probing bool // the Handler had none in hand: nobody knows its room
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
func (l *lane) hold() {
	l.limit, l.growth = l.claims, 0
	if l.probing = l.claims == 0; l.probing {
		l.limit = limitGrowth
	}
}

// flows notes that a message was consumed.
func (l *lane) flows() {
	now := time.Now()
	l.per += (now.Sub(l.flowed) - l.per) / 64
	l.flowed = now
	l.backoff = 0
	if l.growth++; l.limit > 0 && (l.growth >= limitGrowth || l.probing || l.limit < limitGrowth) {
		l.limit++
		l.growth = 0
	}
}

// fails notes that a Handler failed.
func (l *lane) fails() {
	l.backoff = min(restMax, max(restFirst, 2*l.backoff))
}

// soonest is how long a message of a stopped lane is sent away at most until there is room for it. One that would have to wait longer waits in turn.
const soonest = 10 * time.Second

// away returns in about what time there is room for one message more than wait in the window, if as many will be consumed as were lately; 0: not soon.
func (l *lane) away() time.Duration {
	now := time.Now()
	per := max(l.per, now.Sub(l.flowed))
	if per > soonest { // also where the sum below would be more than a Duration holds
		return 0
	}
	room := now.Add(time.Duration(len(l.items)) * per)
	if l.horizon.After(room) {
		room = l.horizon
	}
	room = room.Add(per)
	if room.Sub(now) > soonest {
		return 0
	}
	l.horizon = room
	return max(restFirst, room.Sub(now))
}
