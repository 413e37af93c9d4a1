package pluginhost

import (
	"sync"
	"sync/atomic"
)

const (
	// crimes is how often a request may crash its process while nothing else is in flight.
	crimes = 3
	// maxSuspects is how many are remembered. One that is forgotten is sent as if nothing had been, and becomes a suspect again if it crashes that.
	maxSuspects = 10_000
)

// custody is where a request must run.
type custody int

const (
	free     custody = iota // with all others
	watched                 // with other suspects: the process crashed while it was in flight, one of many
	confined                // alone: so did the process that the suspects share
)

// suspects remembers the requests that were in flight when their process crashed, and how often each crashed it while alone.
type suspects struct {
	count atomic.Int64 // so that custody costs nothing in quiet times
	mu    sync.Mutex
	known map[string]*suspect
	order []string // oldest first; holds keys that were forgotten, too
}

type suspect struct {
	custody custody
	crashes int // while alone
}

// custody returns where the request of that key must run.
func (s *suspects) custody(key string) custody {
	if s.count.Load() == 0 {
		return free
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.known[key]; known != nil {
		return known.custody
	}
	return free
}

// watch makes the request of that key a suspect.
func (s *suspects) watch(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[key] != nil {
		return
	}
	if s.known == nil {
		s.known = make(map[string]*suspect)
	}
	if len(s.order) >= maxSuspects {
		delete(s.known, s.order[0])
		s.order = s.order[1:]
	}
	s.known[key] = &suspect{custody: watched}
	s.order = append(s.order, key)
	s.count.Store(int64(len(s.known)))
}

// confine makes the suspect of that key run alone from now on.
func (s *suspects) confine(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.known[key]; known != nil { // the oldest is forgotten when there are too many
		known.custody = confined
	}
}

// convict notes that the suspect of that key crashed its process while alone, and reports whether that was once too often. It stays a suspect
// with a clean record then, so that a replay harms nobody else.
func (s *suspects) convict(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.known[key]
	if known == nil {
		return false
	}
	known.crashes++
	if known.crashes < crimes {
		return false
	}
	known.crashes = 0
	return true
}

// clear forgets the suspect of that key: it ran, and the process lived.
func (s *suspects) clear(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, key)
	if len(s.known) == 0 {
		s.order = nil
	}
	s.count.Store(int64(len(s.known)))
}
