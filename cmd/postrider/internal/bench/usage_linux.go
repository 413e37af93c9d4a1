package bench

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of CPU times in /proc: 1/100 s on every architecture that Linux supports (proc_pid_stat(5)).
const clockTick = 10 * time.Millisecond

// usage reads what a daemon and its descendants use, the daemon first; nil where it can't.
func usage(pid int) []Process {
	if pid == 0 {
		return nil
	}
	parents, times := processes()
	if _, ok := times[pid]; !ok {
		return nil
	}
	ids := []int{}
	for child := range parents {
		if descends(parents, child, pid) {
			ids = append(ids, child)
		}
	}
	slices.Sort(ids)
	var all []Process
	for _, id := range append([]int{pid}, ids...) {
		all = append(all, Process{Name: programOf(id), PID: id, Memory: memory(id), used: times[id]})
	}
	return all
}

// parentOf returns the process that started pid; 0: unknown.
func parentOf(pid int) int {
	parents, _ := processes()
	return parents[pid]
}

// programOf returns what a process was started as: its program, and what that was told to do first.
func programOf(pid int) string {
	content, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil {
		return "?"
	}
	arguments := strings.Split(string(content), "\x00")
	name := filepath.Base(arguments[0])
	if len(arguments) > 1 && arguments[1] != "" && !strings.HasPrefix(arguments[1], "-") {
		name += " " + arguments[1]
	}
	return name
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
	status := kibibytes("/proc/" + strconv.Itoa(pid) + "/status")
	return Memory{
		Resident: status["VmRSS:"], Anonymous: status["RssAnon:"],
		Proportional: kibibytes("/proc/" + strconv.Itoa(pid) + "/smaps_rollup")["Pss:"],
	}
}
