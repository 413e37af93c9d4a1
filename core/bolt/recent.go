package bolt

import (
	"sync"

	"github.com/postrider/postrider/core"
)

// recent has messages that were filed lately and wait for their first Handler, as they are in the file: most are handed over within milliseconds, and need
// not be looked up for that. What it has no room for is read from the file in its turn.
type recent struct {
	mu       sync.Mutex
	messages map[ref]filed
	size     int // bytes, about
}

// filed is a message as it was filed.
type filed struct {
	ref     ref
	waiting waiting
	event   core.Event // of a delivery's message, its id alone
}

// recentMax is how much memory recent may take, in bytes: some thousand events of 1 KiB. filedSize is about what one takes beside its arguments.
const (
	recentMax = 4 << 20
	filedSize = 256
)

// applied brings a durable request into memory.
func (s *recent) applied(fx *effects) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fx.own != nil { // a lane that asked the file may have offered it before we were told that it was filed
		s.remove(fx.own.ref)
	}
	for _, r := range fx.replaced {
		s.remove(r)
	}
	for _, f := range fx.filed {
		s.remove(f.ref)
		size := filedSize + len(f.event.Arguments)
		if s.size+size > recentMax {
			continue
		}
		if s.messages == nil {
			s.messages = map[ref]filed{}
		}
		s.messages[f.ref] = f
		s.size += size
	}
}

// take returns the message of r and forgets it: who is handed it again will ask the file.
func (s *recent) take(r ref) (filed, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remove(r)
}

func (s *recent) remove(r ref) (filed, bool) {
	f, ok := s.messages[r]
	if ok {
		delete(s.messages, r)
		s.size -= filedSize + len(f.event.Arguments)
	}
	return f, ok
}
