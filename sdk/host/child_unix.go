//go:build unix && !linux

package host

import "syscall"

// processAttributes gives the plugin a process group of its own. Only Linux kills it with the daemon; elsewhere the SDK's own look at its
// parent does, a little later.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// awaitExit returns at once where a child can't be waited for without reaping it.
func awaitExit(int) {}
