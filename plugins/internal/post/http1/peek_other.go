//go:build !unix

package http1

import "time"

// readNow reads what has come, or comes within a millisecond.
func (s *socket) readNow(p []byte) (int, error) {
	_ = s.SetReadDeadline(time.Now().Add(time.Millisecond)) // it has failed? So will Read
	return s.Conn.Read(p)
}
