//go:build unix

package http1

import (
	"io"
	"os"
	"syscall"
)

// readNow reads what has come, and doesn't wait for more: Go's sockets never block. Where nothing has come, its error is one of those after which TLS can be
// read on.
func (s *socket) readNow(p []byte) (n int, err error) {
	if err := s.raw.Control(func(fd uintptr) { n, err = syscall.Read(int(fd), p) }); err != nil {
		return 0, err
	}
	switch {
	case err == syscall.EAGAIN || err == syscall.EINTR:
		return 0, os.ErrDeadlineExceeded
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// writeNow writes what the kernel takes at once. If that is not all of it, its error is that of a deadline.
func (s *socket) writeNow(p []byte) (n int, err error) {
	if err := s.raw.Control(func(fd uintptr) { n, err = syscall.Write(int(fd), p) }); err != nil {
		return 0, err
	}
	n = max(n, 0)
	if n < len(p) && (err == nil || err == syscall.EAGAIN || err == syscall.EINTR) {
		err = os.ErrDeadlineExceeded
	}
	return n, err
}
