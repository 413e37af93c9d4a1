package bench

import "time"

// Memory is what a process occupies, in bytes.
type Memory struct {
	Resident     int64 `json:"resident"`     // all of it: pages of mapped files too, which the kernel takes back when it needs them
	Anonymous    int64 `json:"anonymous"`    // what is its alone: heap and stacks
	Proportional int64 `json:"proportional"` // resident, but each shared page divided by those who share it (PSS)
}

// Process is the daemon, or one of its plugins.
type Process struct {
	Name   string  `json:"name"`
	PID    int     `json:"pid"`
	CPU    float64 `json:"cpu_ms"` // of one event; of one delivery in fan-out; in all, where nothing is published
	Memory Memory  `json:"memory"`

	used time.Duration // CPU time so far
}

// between returns what each process of after used since before, for each of n.
func between(before, after []Process, n int) []Process {
	earlier := make(map[int]time.Duration, len(before))
	for _, p := range before {
		earlier[p.PID] = p.used
	}
	for i, p := range after {
		after[i].CPU = float64(p.used-earlier[p.PID]) / float64(time.Millisecond) / float64(max(1, n))
	}
	return after
}
