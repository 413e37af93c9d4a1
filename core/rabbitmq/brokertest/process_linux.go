package brokertest

import "syscall"

// processAttributes gives a program a process group of its own, and lets the kernel kill it when the tests die, however they do.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
