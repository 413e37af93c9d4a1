package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latency is percentiles in milliseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

type histogram struct{ h *hdrhistogram.Histogram }

// The range of what is told apart: a microsecond to ten minutes, to three digits.
const (
	finest = int64(time.Microsecond)
	widest = int64(10 * time.Minute)
)

func newHistogram() histogram { return histogram{hdrhistogram.New(finest, widest, 3)} }

// newCoarseHistogram returns one of a twentieth of the memory, to one digit, for where there are many.
func newCoarseHistogram() histogram { return histogram{hdrhistogram.New(finest, widest, 1)} }

func (h histogram) record(d time.Duration) {
	_ = h.h.RecordValue(min(max(int64(d), finest), widest)) // within the range it can't fail
}

func (h histogram) add(more histogram) { h.h.Merge(more.h) }

func (h histogram) latency() Latency {
	at := func(percentile float64) float64 {
		return float64(h.h.ValueAtPercentile(percentile)) / float64(time.Millisecond)
	}
	return Latency{P50: at(50), P90: at(90), P99: at(99), Max: float64(h.h.Max()) / float64(time.Millisecond)}
}
