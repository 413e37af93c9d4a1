//go:build unix && !linux

package host

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// processAttributes gives the plugin a process group of its own. Only Linux kills it with the daemon; elsewhere the SDK's own look at its
// parent does, a little later.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// awaitExit returns at once where a child can't be waited for without reaping it.
func awaitExit(int) {}

// command runs what lies at path: only Linux can run what is open.
func command(path string, _ *os.File) *exec.Cmd { return exec.Command(path) }

var errLinuxOnly = errors.New("only Linux can do that")

func limitFiles(int, int) error { return errLinuxOnly }

func memory(int) (int64, error) { return 0, errLinuxOnly }
