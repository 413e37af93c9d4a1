//go:build unix && !linux

package sandbox

import "syscall"

// processAttributes gives the daemon a process group of its own, so that Ctrl-C reaches it through Stop alone, once. It outlives this
// process if that is killed.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
