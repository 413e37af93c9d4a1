package host

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
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

// command runs what was opened, by way of a descriptor that the process inherits: an interpreter of a script opens it once more. Without one, it runs
// what lies at path.
func command(path string, opened *os.File) *exec.Cmd {
	if opened == nil {
		return exec.Command(path)
	}
	return &exec.Cmd{Path: "/proc/self/fd/3", Args: []string{path}, ExtraFiles: []*os.File{opened}}
}

// limitFiles bounds the descriptors that a process may have open.
func limitFiles(pid, files int) error {
	return unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(files), Max: uint64(files)}, nil)
}

// memory returns how many bytes a process keeps for itself: its resident memory without mapped files, which the kernel can take back (proc(5)).
func memory(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	var total int64
	for line := range bytes.Lines(status) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		if string(key) != "RssAnon" && string(key) != "RssShmem" {
			continue
		}
		kilobytes, err := strconv.ParseInt(string(bytes.TrimSuffix(bytes.TrimSpace(value), []byte(" kB"))), 10, 64)
		if err != nil {
			return 0, err
		}
		total += kilobytes << 10
	}
	return total, nil
}
