package bolt

import (
	"slices"
	"sync"
	"time"

	"github.com/postrider/postrider/core"
)

// lanes is what memory knows of the ready messages of one queue: which lanes there are, a window on the head of each, and
// whose turn it is. The messages themselves, and all that is behind the windows, stay in the file.
//
// A lane hands over by the age of the event, the oldest first. Lanes take turns, one message each, so that a lane
// with a million messages holds up no other.
type lanes struct {
	queue core.QueueName
	// read returns up to max refs of a lane, in order, that follow after in the file.
	read func(lane string, after ref, max int) ([]ref, error)

	mu      sync.Mutex
	lanes   map[string]*lane
	first   *lane // whose turn it is; linked by next
	last    *lane
	claimed map[ref]*claim
	handed  map[ref]int // the attempt of open messages that a Handler has failed at before
	waiting int         // ready and not claimed
	offer   func()      // called, with the lanes locked, when there is something to claim; nil: nobody wants to know
}

// lane is one FIFO. Everything of it in the file up to tail is in the window, claimed, or set aside.
type lane struct {
	name    string
	window  []ref // ascending
	tail    ref
	more    bool // there may be something behind tail in the file
	ready   int  // all that is ready, claimed ones included
	claims  int
	limit   int           // of claims, since a Handler held one; 0: none
	growth  int           // hand-overs since limit last grew
	probing bool          // when a Handler last held one, it had none in hand: nobody knows its room
	held    bool          // until somebody wakes it
	resting bool          // until a timer ends
	backoff time.Duration // how long it rests after the next failure; 0: it has not failed
	queued  bool          // has a turn
	next    *lane
}

// claim is a message in the hands of a Handler.
type claim struct {
	lane    *lane
	ref     ref
	event   core.EventID
	attempt int
	failed  int  // the attempt that a Handler has failed on, in this life; 0: none. A later one may have overtaken it
	dropped bool // its message has left the lane meanwhile, overtaken by a later one that is due later
	back    bool // and that one has come due
}

// limitGrowth is how many hand-overs of a lane let it have one more claim than the Handler had room for. Without a limit, a lane that wakes with
// a long backlog gives a message to every idle worker, and all but a few come back: with 512 workers and room for 16, that took half of the
// daemon's time.
//
// A Handler that gave all of them back (its plugin was down) has shown nothing of its room. Its lane starts with limitGrowth claims and has one more
// for every hand-over, twice as many each round trip, until one is held again; so does any lane of fewer than limitGrowth claims. A slow
// receiver would else be at one request at a time for minutes.
const limitGrowth = 8

// How long a lane rests after a Handler failed: each time twice as long, until it succeeds.
const (
	restFirst = 100 * time.Millisecond
	restMax   = 5 * time.Second
)

func newLanes(q core.QueueName, read func(string, ref, int) ([]ref, error)) *lanes {
	return &lanes{
		queue: q, read: read,
		lanes: map[string]*lane{}, claimed: map[ref]*claim{}, handed: map[ref]int{},
	}
}

func (s *lanes) lane(name string) *lane {
	l := s.lanes[name]
	if l == nil {
		l = &lane{name: name}
		s.lanes[name] = l
	}
	return l
}

// found tells of n messages of a lane that are in the file when it is opened.
func (s *lanes) found(name string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lane(name)
	l.ready += n
	l.more = true
	s.waiting += n
	s.queueUp(l)
}

// applied brings a durable request into memory.
func (s *lanes) applied(fx *effects) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range fx.dropped {
		if e.ref.queue() == s.queue {
			s.drop(e)
		}
	}
	if c := fx.own; c != nil && c.ref.queue() == s.queue {
		s.finish(c, fx.returned)
	}
	for _, e := range fx.ready {
		if e.ref.queue() == s.queue {
			s.add(e)
		}
	}
	s.tell()
}

// tell offers what there is to claim, if there is something. One who claims is enough: with each claim the next one is told. The lock is held.
func (s *lanes) tell() {
	if s.first != nil && s.offer != nil {
		s.offer()
	}
}

// tellAgain is tell, for who looked before and found nothing.
func (s *lanes) tellAgain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell()
}

// offerTo has offer called from now on when there is something to claim, and at once if there is; nil: nobody. Once it returns, the one before is not called
// any more.
func (s *lanes) offerTo(offer func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offer = offer
	s.tell()
}

func (s *lanes) add(e entry) {
	l := s.lane(e.lane)
	l.ready++
	switch c := s.claimed[e.ref]; {
	case c == nil:
		s.waiting++
		s.place(l, e.ref)
	case c.dropped: // it waits, and counts, from when the claim of what it has overtaken ends
		c.dropped, c.back = false, true
	default: // a refill saw the commit before we were told of it
		s.waiting++
	}
	s.queueUp(l)
}

// drop forgets a message that has left the lane unconsumed.
func (s *lanes) drop(e entry) {
	l := s.lanes[e.lane]
	if l == nil {
		return
	}
	l.ready--
	delete(s.handed, e.ref)
	if c := s.claimed[e.ref]; c != nil && c.lane == l {
		c.dropped = true
		return
	}
	s.waiting--
	if at, there := slices.BinarySearchFunc(l.window, e.ref, ref.compare); there {
		l.window = slices.Delete(l.window, at, at+1)
	}
	s.forget(l)
}

// finish ends a claim after its hand-over. returned: there is still a message to hand over in its place.
func (s *lanes) finish(c *claim, returned bool) {
	if s.claimed[c.ref] != c {
		return
	}
	delete(s.claimed, c.ref)
	delete(s.handed, c.ref)
	l := c.lane
	l.claims--
	l.backoff = 0
	if l.growth++; l.limit > 0 && (l.growth >= limitGrowth || l.probing || l.limit < limitGrowth) {
		l.limit++
		l.growth = 0
	}
	if returned {
		s.putBack(l, c.ref)
	} else if !c.dropped {
		l.ready--
	}
	s.queueUp(l)
	s.forget(l)
}

func (s *lanes) putBack(l *lane, r ref) {
	s.waiting++
	s.place(l, r)
	s.queueUp(l)
}

// giveBack returns a claimed message to its lane, because the Handler failed or had no room.
func (s *lanes) giveBack(c *claim, held *core.Held) {
	s.mu.Lock()
	if s.claimed[c.ref] != c {
		s.mu.Unlock()
		return
	}
	delete(s.claimed, c.ref)
	l := c.lane
	l.claims--
	switch {
	case held != nil: // the Handler has done nothing with it
		l.held = true
		l.limit, l.growth = l.claims, 0
		if l.probing = l.claims == 0; l.probing {
			l.limit = limitGrowth
		}
	default:
		s.handed[c.ref] = c.attempt
		l.backoff = min(restMax, max(restFirst, 2*l.backoff))
		if !l.resting {
			l.resting = true
			time.AfterFunc(l.backoff, func() { s.release(l, &l.resting) })
		}
	}
	if c.dropped {
		delete(s.handed, c.ref)
		s.queueUp(l)
	} else {
		s.putBack(l, c.ref)
	}
	s.mu.Unlock()
	if held == nil {
		return
	}
	// Outside the lock: there may be room already, and then Notify calls back at once.
	held.Notify(func() { s.release(l, &l.held) })
}

// setAside keeps a claimed message that cannot be read from being offered again in this life.
func (s *lanes) setAside(c *claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.claimed, c.ref)
	c.lane.claims--
	s.queueUp(c.lane)
	s.tell()
}

// vanished ends a claim on a message that is in the file no more.
func (s *lanes) vanished(c *claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.claimed, c.ref)
	delete(s.handed, c.ref)
	c.lane.claims--
	if c.back && !c.dropped {
		s.putBack(c.lane, c.ref)
	}
	s.queueUp(c.lane)
	s.forget(c.lane)
	s.tell()
}

func (s *lanes) release(l *lane, flag *bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*flag = false
	s.queueUp(l)
	s.forget(l)
	s.tell()
}

// releaseAll offers everything anew: a new Handler knows nothing of what an earlier one held back.
func (s *lanes) releaseAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lanes {
		l.held, l.probing, l.limit = false, false, 0
		s.queueUp(l)
	}
}

// queueUp gives l a turn if it has something to offer.
func (s *lanes) queueUp(l *lane) {
	if l.queued || l.held || l.resting || l.limit > 0 && l.claims >= l.limit || len(l.window) == 0 && !l.more {
		return
	}
	l.queued, l.next = true, nil
	if s.last == nil {
		s.first = l
	} else {
		s.last.next = l
	}
	s.last = l
}

// forget drops an empty lane, so that memory does not remember every lane that ever was.
func (s *lanes) forget(l *lane) {
	if l.ready <= 0 && l.claims == 0 && !l.held && !l.resting && s.lanes[l.name] == l {
		l.window, l.more = nil, false
		delete(s.lanes, l.name)
	}
}

// claim takes the message whose turn it is; nil: there is none now.
func (s *lanes) claim() (*claim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.first != nil {
		l := s.first
		if s.first = l.next; s.first == nil {
			s.last = nil
		}
		l.queued, l.next = false, nil
		if l.held || l.resting || l.limit > 0 && l.claims >= l.limit {
			continue
		}
		if len(l.window) == 0 {
			if err := s.refill(l); err != nil {
				s.queueUp(l)
				return nil, err
			}
		}
		if len(l.window) == 0 {
			continue
		}
		r := l.window[0]
		l.window = l.window[1:]
		l.claims++
		s.queueUp(l)
		c := &claim{lane: l, ref: r, failed: s.handed[r]}
		s.waiting--
		s.claimed[r] = c
		s.tell()
		return c, nil
	}
	return nil, nil
}

// depth counts what is ready and not claimed.
func (s *lanes) depth() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(0, s.waiting)
}
