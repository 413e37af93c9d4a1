package sandbox

import "syscall"

// processAttributes gives the daemon a process group of its own, so that Ctrl-C reaches it through Stop alone, once; and a signal should
// this process die without stopping it.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
