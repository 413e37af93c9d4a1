package bolt

import (
	"os"
	"syscall"
)

// syncData returns once what was written to f is on the disk, with what it takes to read it, such as the file's length, and no more.
func syncData(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
