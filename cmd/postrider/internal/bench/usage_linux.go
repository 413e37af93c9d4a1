package bench

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of CPU times in /proc: 1/100 s on every architecture that Linux supports (proc_pid_stat(5)).
const clockTick = 10 * time.Millisecond

// usage reads what a daemon and its descendants have used, nil where it can't.
func usage(pid int) *consumption {
	if pid == 0 {
		return nil
	}
	parents, times := processes()
	if _, ok := times[pid]; !ok {
		return nil
	}
	c := consumption{daemon: times[pid], daemonNow: memory(pid)}
	for child := range parents {
		if !descends(parents, child, pid) {
			continue
		}
		c.plugins += times[child]
		m := memory(child)
		c.pluginsNow.Resident += m.Resident
		c.pluginsNow.Anonymous += m.Anonymous
	}
	return &c
}

// processes returns the parent and the CPU time of every process.
func processes() (parents map[int]int, times map[int]time.Duration) {
	parents, times = map[int]int{}, map[int]time.Duration{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well formed
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		// The name in the second field may hold anything: the fields behind it are counted from its closing bracket.
		end := bytes.LastIndexByte(content, ')')
		fields := strings.Fields(string(content[end+1:]))
		if end < 0 || len(fields) < 13 {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		parent, _ := strconv.Atoi(fields[1])
		user, _ := strconv.ParseInt(fields[11], 10, 64)
		system, _ := strconv.ParseInt(fields[12], 10, 64)
		parents[pid], times[pid] = parent, time.Duration(user+system)*clockTick
	}
	return parents, times
}

func descends(parents map[int]int, pid, from int) bool {
	for depth := 0; depth < len(parents); depth++ {
		parent, ok := parents[pid]
		if !ok {
			return false
		}
		if parent == from {
			return true
		}
		pid = parent
	}
	return false
}

// memory reads what one process occupies.
func memory(pid int) Memory {
	var m Memory
	content, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return m
	}
	for line := range strings.Lines(string(content)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kib, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "VmRSS:":
			m.Resident = kib << 10
		case "RssAnon:":
			m.Anonymous = kib << 10
		}
	}
	return m
}
