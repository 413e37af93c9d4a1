package endtoend

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// descriptorSlack is how many more files a daemon at rest may have open than it had when it was ready: kept connections, to a broker and to those who asked.
const descriptorSlack = 16

// stopAtRest ends the daemon as an operator would, once it has given back what its work took: after a suite a daemon must be as it was before.
func (d *daemon) stopAtRest() {
	d.in.t.Helper()
	if d.before > 0 {
		http.DefaultClient.CloseIdleConnections()
		now := 0
		if !within(patience, func() bool { now = d.descriptors(); return now <= d.before+descriptorSlack }) {
			d.in.t.Errorf("the daemon at rest has %d files open, and had %d when it was ready", now, d.before)
		}
		d.in.t.Logf("descriptors of the daemon: %d when it was ready, %d at rest", d.before, now)
	}
	d.stop()
}

// descriptors counts the daemon's open files; 0: this system does not tell.
func (d *daemon) descriptors() int {
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	return len(open)
}

// plugins returns the processes that the daemons of an installation have started, where the system tells: by the directory of their sockets.
func (in *installation) plugins() (pids []int) {
	environments, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		in.t.Fatal(err)
	}
	for _, path := range environments {
		content, err := os.ReadFile(path)
		if err != nil { // it has just ended
			continue
		}
		for variable := range bytes.SplitSeq(content, []byte{0}) {
			if bytes.HasPrefix(variable, []byte("PLUGIN_UNIX_SOCKET_DIR="+in.dir+"/")) {
				pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
				if err != nil {
					in.t.Fatal(err)
				}
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// leavesNoPlugins fails the test where plugins go on without a daemon, and ends them.
func (in *installation) leavesNoPlugins() {
	in.t.Helper()
	var left []int
	if !within(patience, func() bool { left = in.plugins(); return len(left) == 0 }) {
		in.t.Errorf("the daemon has ended, and its plugins go on: processes %v", left)
		for _, pid := range left {
			syscall.Kill(pid, syscall.SIGKILL) //nolint:errcheck // it may have ended meanwhile
		}
	}
}
