package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Machine is what a measurement ran on: figures without it say nothing.
type Machine struct {
	CPU    string  `json:"cpu"`
	Cores  int     `json:"cores"`
	Memory int64   `json:"memory_bytes,omitempty"`
	Kernel string  `json:"kernel"`
	Go     string  `json:"go"`
	Sync   float64 `json:"sync_ms"` // one write of 4 KiB and fsync, where the data goes: every acceptance waits for one
}

// Describe describes this machine. dir is where the data goes; "": the system's place.
func Describe(dir string) Machine {
	return Machine{
		CPU: cpuModel(), Cores: runtime.NumCPU(), Memory: kibibytes("/proc/meminfo")["MemTotal:"],
		Kernel: kernel(), Go: strings.TrimPrefix(runtime.Version(), "go"), Sync: syncTime(dir),
	}
}

// String is a sentence for the head of a table.
func (m Machine) String() string {
	parts := []string{m.CPU, fmt.Sprintf("%d cores", m.Cores)}
	if m.Memory > 0 {
		parts = append(parts, fmt.Sprintf("%.0f GiB", float64(m.Memory)/(1<<30)))
	}
	parts = append(parts, m.Kernel, "Go "+m.Go)
	if m.Sync > 0 {
		parts = append(parts, fmt.Sprintf("%.2f ms for a write of 4 KiB and its fsync", m.Sync))
	}
	return strings.Join(parts, ", ")
}

func cpuModel() string {
	content, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(content)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func kernel() string {
	content, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return runtime.GOOS
	}
	return "Linux " + strings.TrimSpace(string(content))
}

// syncTime measures a write with fsync, in milliseconds: the median of some; 0 where it can't.
func syncTime(dir string) float64 {
	const tries = 51
	temporary, err := os.MkdirTemp(dir, "postrider-")
	if err != nil {
		return 0
	}
	defer os.RemoveAll(temporary)
	file, err := os.Create(filepath.Join(temporary, "sync"))
	if err != nil {
		return 0
	}
	defer file.Close()
	page := make([]byte, 4<<10)
	var times []float64
	for i := range tries {
		began := time.Now()
		if _, err := file.WriteAt(page, int64(i)*int64(len(page))); err != nil || file.Sync() != nil {
			return 0
		}
		times = append(times, float64(time.Since(began))/float64(time.Millisecond))
	}
	slices.Sort(times)
	return median(times)
}
