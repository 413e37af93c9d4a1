package bench

import (
	"cmp"
	"slices"
)

// Report is what a scenario found.
type Report struct {
	Ratio      float64 `json:"ratio,omitempty"` // deliveries per second, as a share of raw POSTs per second; left out where no raw loop ran
	Scenario   string  `json:"scenario"`
	Runs       int     `json:"runs"`
	Lost       int     `json:"lost"` // accepted, and never received
	Duplicated int     `json:"duplicated"`

	Publishers int `json:"publishers"`
	Size       int `json:"size"`
	Batch      int `json:"batch"`

	Figures   []Figure  `json:"figures"` // of several runs: medians
	Phases    []Phase   `json:"phases,omitempty"`
	Processes []Process `json:"processes,omitempty"`
	Timeline  []Segment `json:"timeline,omitempty"`
}

// Units of figures. The zero unit is a plain number.
const (
	PerSecond    = "/s"
	Milliseconds = "ms"
	Microseconds = "µs"
	Seconds      = "s"
	Bytes        = "B"
	Percent      = "%"
	Times        = "×"
)

// Figure is one number that a scenario found.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
	Low   float64 `json:"low"` // of all runs
	High  float64 `json:"high"`
	Note  string  `json:"note,omitempty"`

	Headline bool `json:"headline,omitempty"` // what the scenario is about: the Markdown table has these
	Detail   bool `json:"-"`                  // one of Phases says the same
}

// Phase is one stretch of publishing, or several of a kind.
type Phase struct {
	Name               string  `json:"name"`
	Events             int     `json:"events"`
	Deliveries         int     `json:"deliveries"`
	PublishedPerSecond float64 `json:"published_per_second"`
	Seconds            float64 `json:"seconds"` // from the first publish to the last receipt
	PerSecond          float64 `json:"per_second"`
	Latency            Latency `json:"latency_ms"`
	From               string  `json:"latency_from"` // what the latency counts
	Lost               int     `json:"lost"`
	Duplicated         int     `json:"duplicated"`
}

// What latencies count.
const (
	thereAndBack = "there and back"
	fromPublish  = "publish to receipt"
	fromIntended = "publish, counted from when it was meant to begin, to receipt"
)

// phase adds what became of a phase, and its losses.
func (r *Report) phase(name, from string, o outcome) {
	r.Phases = append(r.Phases, Phase{
		Name: name, Events: o.events, Deliveries: o.received, PublishedPerSecond: rate(o.events, o.sending), Seconds: o.whole.Seconds(),
		PerSecond: o.perSecond(), Latency: o.times.latency(), From: from, Lost: o.lost(), Duplicated: o.duplicated,
	})
	r.Lost += o.lost()
	r.Duplicated += o.duplicated
}

// headline adds a figure that the scenario is about.
func (r *Report) headline(name string, value float64, unit, note string) {
	r.Figures = append(r.Figures, Figure{Name: name, Value: value, Unit: unit, Note: note, Headline: true})
}

// figure adds one that explains others.
func (r *Report) figure(name string, value float64, unit, note string) {
	r.Figures = append(r.Figures, Figure{Name: name, Value: value, Unit: unit, Note: note})
}

// percentiles adds p50 and p99 of a phase that was added, or is about to be.
func (r *Report) percentiles(of string, l Latency) {
	r.Figures = append(r.Figures,
		Figure{Name: of + ": p50", Value: l.P50, Unit: Milliseconds, Headline: true, Detail: true},
		Figure{Name: of + ": p99", Value: l.P99, Unit: Milliseconds, Headline: true, Detail: true})
}

// merge returns the median of each figure with its spread. The rest is that of the run in the middle, by the first headline; losses are those of
// all runs.
func merge(reports []Report) Report {
	sorted := slices.Clone(reports)
	slices.SortFunc(sorted, func(a, b Report) int { return cmp.Compare(a.leading(), b.leading()) })
	merged := sorted[(len(sorted)-1)/2]
	merged.Runs, merged.Lost, merged.Duplicated = len(reports), 0, 0
	merged.Figures = slices.Clone(merged.Figures)
	for i := range merged.Figures {
		f := &merged.Figures[i]
		var values []float64
		for _, r := range reports {
			values = append(values, r.Figures[i].Value) // a scenario has the same figures each time
		}
		slices.Sort(values)
		f.Value, f.Low, f.High = median(values), values[0], values[len(values)-1]
	}
	var ratios []float64
	for _, r := range reports {
		merged.Lost += r.Lost
		merged.Duplicated += r.Duplicated
		ratios = append(ratios, r.Ratio)
	}
	slices.Sort(ratios)
	merged.Ratio = median(ratios)
	return merged
}

func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// leading returns the first headline's value.
func (r Report) leading() float64 {
	for _, f := range r.Figures {
		if f.Headline {
			return f.Value
		}
	}
	return 0
}
