package host

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// processAttributes gives the plugin a process group of its own, and lets the kernel kill it when the daemon dies, however it does.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitExit waits for the end of a child without reaping it.
func awaitExit(pid int) {
	for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}
