//go:build unix && !linux

package brokertest

import "syscall"

// processAttributes gives a program a process group of its own. Elsewhere than on Linux nothing ends it when the tests are killed.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
