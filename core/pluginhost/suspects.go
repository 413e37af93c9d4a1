package pluginhost

import (
	"sync"
	"sync/atomic"
)

const (
	// crimes is how often a request may crash its process while nothing else is in flight.
	crimes = 3
	// maxSuspects is how many are remembered. One that is forgotten is sent with others again, and becomes a suspect again if it crashes them.
	maxSuspects = 10_000
)

// suspects remembers the requests that were in flight when their process crashed, and how often each crashed it while alone.
type suspects struct {
	count   atomic.Int64 // so that has costs nothing in quiet times
	mu      sync.Mutex
	crashes map[string]int
	order   []string // oldest first; holds keys that were forgotten, too
}

// has reports whether the request of that key must run alone.
func (s *suspects) has(key string) bool {
	if s.count.Load() == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.crashes[key]
	return known
}

// add makes the request of that key a suspect.
func (s *suspects) add(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.crashes[key]; known {
		return
	}
	if s.crashes == nil {
		s.crashes = make(map[string]int)
	}
	if len(s.order) >= maxSuspects {
		delete(s.crashes, s.order[0])
		s.order = s.order[1:]
	}
	s.crashes[key] = 0
	s.order = append(s.order, key)
	s.count.Store(int64(len(s.crashes)))
}

// convict notes that the suspect of that key crashed its process while alone, and reports whether that was once too often. It stays a suspect
// with a clean record then, so that a replay harms nobody else.
func (s *suspects) convict(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.crashes[key]; !known { // the oldest is forgotten when there are too many
		return false
	}
	s.crashes[key]++
	if s.crashes[key] < crimes {
		return false
	}
	s.crashes[key] = 0
	return true
}

// clear forgets the suspect of that key: it ran, and the process lived.
func (s *suspects) clear(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.crashes, key)
	if len(s.crashes) == 0 {
		s.order = nil
	}
	s.count.Store(int64(len(s.crashes)))
}
