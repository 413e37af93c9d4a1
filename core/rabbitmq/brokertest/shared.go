package brokertest

import (
	"os"
	"sync"
	"testing"
)

// Shared is the one node of a test package. The zero value is ready to use.
type Shared struct {
	once   sync.Once
	broker *Broker
	err    error
}

// Start returns the node, which the first call starts. Tests that share it keep apart by the names of their queues.
func (s *Shared) Start(t testing.TB) *Broker {
	t.Helper()
	require(t)
	s.once.Do(func() {
		dir, err := os.MkdirTemp("", "postrider-broker-")
		if err != nil {
			s.err = err
			return
		}
		s.broker, s.err = start(dir, Config{})
	})
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.broker
}

// Stop ends the node, if it was started, and removes its data.
func (s *Shared) Stop() {
	if s.broker != nil {
		s.broker.stop()
		os.RemoveAll(s.broker.dir)
	}
}
