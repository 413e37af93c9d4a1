package bench

import "time"

// Segment is how one phase went, over time.
type Segment struct {
	Name   string  `json:"name"`
	Start  float64 `json:"start_seconds"` // since the receiver started, as are the times of its points
	End    float64 `json:"end_seconds"`
	Points []Point `json:"points"`
}

// Point is what arrived within one step of a segment.
type Point struct {
	At        float64 `json:"at_seconds"` // the middle of the step
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"` // of what arrived; 0 where nothing did
	P99       float64 `json:"p99_ms"`
}

const (
	segmentPoints = 50
	shortestStep  = 20 * time.Millisecond
)

// segment cuts a phase that has settled into steps.
func (p *phase) segment(epoch int64) Segment {
	end := max(p.last.Load(), p.began+int64(p.sending))
	step := max(int64(shortestStep), (end-p.began)/segmentPoints+1)
	s := Segment{Name: p.name, Start: seconds(p.began - epoch), End: seconds(end - epoch)}
	steps := make([]histogram, (end-p.began)/step+1)
	for i := range p.arrived {
		at := p.arrived[i].Load()
		if at < p.began || at > end {
			continue
		}
		h := &steps[(at-p.began)/step]
		if h.h == nil {
			*h = newCoarseHistogram()
		}
		h.record(time.Duration(at - p.sent[i/p.fan]))
	}
	for i, h := range steps {
		from := p.began + int64(i)*step
		to := min(from+step, end)
		if to-from < step/2 && i > 0 {
			break // the last sliver would be all noise
		}
		point := Point{At: seconds((from+to)/2 - epoch)}
		if h.h != nil {
			l := h.latency()
			point.PerSecond, point.P50, point.P99 = rate(int(h.h.TotalCount()), time.Duration(to-from)), l.P50, l.P99
		}
		s.Points = append(s.Points, point)
	}
	return s
}

func seconds(nanoseconds int64) float64 { return time.Duration(nanoseconds).Seconds() }
