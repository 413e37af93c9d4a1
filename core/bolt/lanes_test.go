package bolt

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/postrider/postrider/core"
)

// laneModel is what the file would hold, and what lanes must agree with: nothing is offered twice, nothing is forgotten, each lane is in
// order, a held lane offers nothing, and one that was held offers at least as much at a time as there was room for then.
type laneModel struct {
	file    map[string][]ref // of each lane, ascending
	lanes   *lanes
	claimed []*claim
	held    map[string]func()
	room    map[string]int // of each lane that was ever held
	seq     uint64
}

func (m *laneModel) read(lane string, after ref, n int) (found []ref, err error) {
	for _, r := range m.file[lane] {
		if r.compare(after) > 0 && len(found) < n {
			found = append(found, r)
		}
	}
	return found, nil
}

// publish adds a message; now and then one of an old event, as a retry is, that goes before others.
func (m *laneModel) publish(t *rapid.T) {
	lane := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "lane")
	fx := &effects{}
	for range rapid.IntRange(1, 2*windowMax).Draw(t, "messages") {
		m.seq += 2
		r := ref{m.seq, 0}
		if rapid.IntRange(0, 9).Draw(t, "old") == 0 {
			r.seq = uint64(rapid.IntRange(0, int(m.seq)/2).Draw(t, "seq"))*2 + 1
		}
		if _, there := m.laneOf(r); there {
			continue
		}
		list := m.file[lane]
		at, _ := slices.BinarySearchFunc(list, r, ref.compare)
		m.file[lane] = slices.Insert(list, at, r)
		fx.ready = append(fx.ready, entry{lane, r})
	}
	m.lanes.applied(fx)
}

func (m *laneModel) laneOf(r ref) (string, bool) {
	for lane, list := range m.file {
		if _, there := slices.BinarySearchFunc(list, r, ref.compare); there {
			return lane, true
		}
	}
	return "", false
}

func (m *laneModel) claim(t *rapid.T) {
	c, err := m.lanes.claim()
	if err != nil {
		t.Fatal(err)
	}
	if c == nil {
		for lane := range m.file {
			room, limited := m.room[lane]
			if waiting := m.waiting(lane); len(waiting) > 0 && m.held[lane] == nil && (!limited || m.inFlight(lane) < room) {
				t.Fatalf("nothing is offered although %d wait in lane %s", len(waiting), lane)
			}
		}
		return
	}
	waiting := m.waiting(c.lane.name)
	if m.held[c.lane.name] != nil {
		t.Fatalf("lane %s is held and offers %v", c.lane.name, c.ref)
	}
	if len(waiting) == 0 || waiting[0] != c.ref {
		t.Fatalf("lane %s offers %v, want the first of %d waiting", c.lane.name, c.ref, len(waiting))
	}
	m.claimed = append(m.claimed, c)
}

// waiting are the messages of a lane that nobody has claimed.
func (m *laneModel) waiting(lane string) (list []ref) {
	for _, r := range m.file[lane] {
		if !slices.ContainsFunc(m.claimed, func(c *claim) bool { return c.ref == r }) {
			list = append(list, r)
		}
	}
	return list
}

func (m *laneModel) inFlight(lane string) (n int) {
	for _, c := range m.claimed {
		if c.lane.name == lane {
			n++
		}
	}
	return n
}

func (m *laneModel) takeClaim(t *rapid.T) *claim {
	if len(m.claimed) == 0 {
		t.Skip("nothing is in flight")
	}
	i := rapid.IntRange(0, len(m.claimed)-1).Draw(t, "claim")
	c := m.claimed[i]
	m.claimed = slices.Delete(m.claimed, i, i+1)
	return c
}

func (m *laneModel) finish(t *rapid.T) {
	c := m.takeClaim(t)
	list := m.file[c.lane.name]
	at, _ := slices.BinarySearchFunc(list, c.ref, ref.compare)
	m.file[c.lane.name] = slices.Delete(list, at, at+1)
	m.lanes.applied(&effects{own: c})
}

func (m *laneModel) hold(t *rapid.T) {
	c := m.takeClaim(t)
	m.room[c.lane.name] = max(1, m.inFlight(c.lane.name))
	m.lanes.giveBack(c, &core.Held{Notify: func(wake func()) { m.held[c.lane.name] = wake }})
}

func (m *laneModel) wake(t *rapid.T) {
	for lane, wake := range m.held {
		delete(m.held, lane)
		wake()
		return
	}
	t.Skip("nothing is held")
}

func (m *laneModel) check(t *rapid.T) {
	want := 0
	for lane := range m.file {
		want += len(m.waiting(lane))
	}
	if got := m.lanes.depth(); got != want {
		t.Fatalf("depth: got %d, want %d", got, want)
	}
	for _, l := range m.lanes.lanes {
		if len(l.window) > windowMax {
			t.Fatalf("lane %s keeps %d messages in memory", l.name, len(l.window))
		}
	}
}

func TestLanesAgreeWithTheFileWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &laneModel{file: map[string][]ref{}, held: map[string]func(){}, room: map[string]int{}}
		m.lanes = newLanes(core.EventQueue, m.read)
		t.Repeat(map[string]func(*rapid.T){
			"publish": m.publish, "claim": m.claim, "finish": m.finish, "hold": m.hold, "wake": m.wake, "": m.check,
		})
	})
}

func TestAHundredThousandLanesAreForgottenWhenTheyAreEmpty(t *testing.T) {
	s := newLanes(core.DeliveryQueue, func(string, ref, int) ([]ref, error) { return nil, nil })
	const n = 100_000
	for i := range n {
		r := ref{1, core.SubscriberID(i + 1)}
		s.applied(&effects{ready: []entry{{r.sub.String(), r}}})
	}
	if len(s.lanes) != n {
		t.Fatalf("lanes: got %d, want %d", len(s.lanes), n)
	}
	for range n {
		c, err := s.claim()
		if err != nil || c == nil {
			t.Fatalf("claim: %v, %v", c, err)
		}
		s.applied(&effects{own: c})
	}
	if len(s.lanes) != 0 || s.depth() != 0 || len(s.claimed) != 0 || s.first != nil {
		t.Errorf("left: %d lanes, depth %d", len(s.lanes), s.depth())
	}
}

// wave claims all that a lane offers; the Handler then takes what it has room for, and holds the rest.
func wave(t *testing.T, s *lanes, room int) (taken, wasted int) {
	t.Helper()
	var claimed []*claim
	for {
		c, err := s.claim()
		if err != nil {
			t.Fatal(err)
		}
		if c == nil {
			break
		}
		claimed = append(claimed, c)
	}
	var wakes []func()
	for i, c := range claimed {
		if i >= room {
			s.giveBack(c, &core.Held{Notify: func(wake func()) { wakes = append(wakes, wake) }})
		}
	}
	taken = min(room, len(claimed))
	for _, c := range claimed[:taken] {
		s.applied(&effects{own: c})
	}
	for _, wake := range wakes {
		wake()
	}
	return taken, len(claimed) - taken
}

func laneOf(n int) *lanes {
	fx := &effects{}
	for i := range n {
		fx.ready = append(fx.ready, entry{"a", ref{uint64(i + 1), 1}})
	}
	s := newLanes(core.DeliveryQueue, func(_ string, after ref, max int) (found []ref, err error) {
		for seq := after.seq + 1; seq <= uint64(n) && len(found) < max; seq++ {
			found = append(found, ref{seq, 1})
		}
		return found, nil
	})
	s.applied(fx)
	return s
}

func TestALaneWhosePluginWasDownIsSoonAtFullSpeedAgain(t *testing.T) {
	s := laneOf(1000)
	if taken, _ := wave(t, s, 0); taken != 0 {
		t.Fatalf("taken while the plugin is down: %d", taken)
	}
	for range 3 {
		if _, wasted := wave(t, s, 0); wasted > limitGrowth {
			t.Errorf("offered while the plugin is down still: got %d messages, want at most %d", wasted, limitGrowth)
		}
	}
	sum := 0
	for range 4 {
		taken, _ := wave(t, s, 1000)
		sum += taken
	}
	if want := limitGrowth * (1 + 2 + 4 + 8); sum != want {
		t.Errorf("handed over in four round trips after the plugin came back: got %d, want %d", sum, want)
	}
}

func TestALaneThatHadRoomForALittleSoonHasMore(t *testing.T) {
	s := laneOf(1000)
	wave(t, s, 2)
	sum := 0
	for range 4 {
		taken, _ := wave(t, s, 1000)
		sum += taken
	}
	if sum < 24 {
		t.Errorf("handed over in four round trips: got %d, want 24 at least", sum)
	}
}

func TestALaneThatIsFullWastesFewHandOvers(t *testing.T) {
	s := laneOf(1000)
	const room = 16
	wave(t, s, room)
	taken, wasted := 0, 0
	for range 20 {
		n, m := wave(t, s, room)
		taken, wasted = taken+n, wasted+m
	}
	if taken != 20*room || wasted > taken/limitGrowth {
		t.Errorf("got %d taken, %d offered in vain, want %d and at most one in %d", taken, wasted, 20*room, limitGrowth)
	}
}

// A Handler may hold on to a message beyond the drain, and let go of it when another Consume has begun, whose workers have all gone.
func TestALaneIsOfferedWhenAHandlerOfAnEarlierConsumeMakesRoom(t *testing.T) {
	for name, end := range map[string]func(*lanes, *claim){
		"handed over": func(s *lanes, c *claim) { s.applied(&effects{own: c}) }, "set aside": (*lanes).setAside, "gone": (*lanes).vanished,
	} {
		t.Run(name, func(t *testing.T) {
			s := laneOf(3)
			late, _ := s.claim()
			s.releaseAll()
			offered := false
			s.offerTo(func() { offered = true })
			held, _ := s.claim()
			s.giveBack(held, &core.Held{Notify: func(wake func()) { wake() }}) // the lane has room for one, which the earlier Handler has
			if c, err := s.claim(); c != nil || err != nil {
				t.Fatalf("claimed beyond the room of the lane: %v, %v", c, err)
			}
			offered = false
			end(s, late)
			if !offered {
				t.Error("there is room, and nobody is told")
			}
		})
	}
}

func TestAMessageThatIsOvertakenWhileItIsInHandCountsOnce(t *testing.T) {
	r := ref{1, 1}
	for _, test := range []struct {
		name  string
		due   bool // the later message has come due when the earlier one's hand-over ends
		end   func(*lanes, *claim)
		depth int
	}{
		{"handed over, the later one is due", true, func(s *lanes, c *claim) { s.applied(&effects{own: c, returned: true}) }, 1},
		{"handed over, the later one waits", false, func(s *lanes, c *claim) { s.applied(&effects{own: c}) }, 0},
		{"failed, the later one is due", true, func(s *lanes, c *claim) { s.giveBack(c, nil) }, 1},
		{"failed, the later one waits", false, func(s *lanes, c *claim) { s.giveBack(c, nil) }, 0},
		{"gone, the later one is due", true, func(s *lanes, c *claim) { s.vanished(c) }, 1},
		{"gone, the later one waits", false, func(s *lanes, c *claim) { s.vanished(c) }, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newLanes(core.DeliveryQueue, func(string, ref, int) ([]ref, error) { return nil, nil })
			s.applied(&effects{ready: []entry{{"1", r}}})
			c, _ := s.claim()
			s.applied(&effects{dropped: []entry{{"1", r}}})
			if test.due {
				s.applied(&effects{ready: []entry{{"1", r}}})
			}
			test.end(s, c)
			if got := s.depth(); got != test.depth {
				t.Errorf("depth: got %d, want %d", got, test.depth)
			}
			if !test.due {
				s.applied(&effects{ready: []entry{{"1", r}}})
			}
			s.releaseAll()
			if l := s.lanes["1"]; l.resting {
				s.release(l, &l.resting) // as when its rest is over
			}
			if c, _ = s.claim(); c == nil || c.ref != r {
				t.Fatalf("the later message is not handed over")
			}
			s.applied(&effects{own: c})
			if got := s.depth(); got != 0 || c.lane.ready != 0 {
				t.Errorf("when all is over: depth %d, ready %d, want 0", got, c.lane.ready)
			}
		})
	}
}

func TestWhatHasOvertakenAMessageThatFailedIsNotRedelivered(t *testing.T) {
	db := opened(t, Config{Path: filepath.Join(t.TempDir(), "postrider.db")})
	first := core.EventMessage(newEventMaker().event("order.created"))
	later := first
	later.Attempt = 2
	if err := db.Publish(t.Context(), core.Outgoing{Queue: core.EventQueue, Message: first}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var got []core.Message
	err := db.Consume(ctx, core.EventQueue, 1, func(ctx context.Context, m core.Message) (core.Result, error) {
		if got = append(got, m); len(got) == 1 {
			return core.Result{}, errors.Join(db.Publish(ctx, core.Outgoing{Queue: core.EventQueue, Message: later}), errors.New("fails"))
		}
		stop()
		return core.Result{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[1].Attempt != 2 || got[1].Redelivered || !got[1].Fresh {
		t.Errorf("got %+v, want the second attempt to be one that nobody had before", got)
	}
}
