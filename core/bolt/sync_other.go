//go:build !linux

package bolt

import "os"

// syncData returns once what was written to f is on the disk. On macOS that takes more than fsync, and Sync knows it.
func syncData(f *os.File) error { return f.Sync() }
