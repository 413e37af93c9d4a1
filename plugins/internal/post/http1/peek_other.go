//go:build !unix

package http1

import (
	"os"
	"time"
)

// readNow reads what has come, or comes within a millisecond.
func (s *socket) readNow(p []byte) (int, error) {
	_ = s.SetReadDeadline(time.Now().Add(time.Millisecond)) // it has failed? So will Read
	return s.Conn.Read(p)
}

// writeNow writes nothing: that might wait.
func (s *socket) writeNow([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }
