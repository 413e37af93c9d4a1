package bench

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// The picture: throughput above, latency below, one time axis. All lengths are those of the SVG's own units.
const (
	pictureWidth  = 960.0
	plotLeft      = 70.0
	plotRight     = pictureWidth - 24
	throughputTop = 84.0
	throughputEnd = 264.0
	latencyTop    = 316.0
	latencyEnd    = 496.0
	pictureHeight = 560.0
)

// palette has the colours of the phases, in their order (Okabe and Ito's, which most colour-blind people tell apart), the raw loop's first.
var palette = [...]string{"#9a9a9a", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"}

// picture is an SVG in the making.
type picture struct {
	strings.Builder
	from, to float64 // seconds, the ends of the time axis
	most     float64 // per second, the top of the throughput
	low      float64 // milliseconds, powers of ten: the ends of the latency
	high     float64
	raw      bool // the raw loop ran
}

// SVG draws throughput and latency of a report over time.
func SVG(w io.Writer, m Machine, r Report) error {
	p := &picture{}
	p.scale(r.Timeline)
	names := phaseNames(r.Timeline)
	fmt.Fprintf(p, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" font-family="system-ui, 'DejaVu Sans', sans-serif" font-size="12" fill="#333">`+"\n",
		pictureWidth, pictureHeight)
	fmt.Fprintf(p, `<rect width="100%%" height="100%%" fill="#fff"/>`+"\n")
	p.text(plotLeft, 26, `font-size="17" font-weight="600" fill="#111"`, "postrider bench: "+r.Scenario)
	p.text(plotLeft, 44, `font-size="11" fill="#777"`, m.String())
	p.legend(names)
	p.axes()
	for _, s := range r.Timeline {
		colour := palette[slices.Index(names, s.Name)%len(palette)]
		p.throughput(s, colour)
		p.latency(s, colour)
	}
	p.WriteString("</svg>\n")
	_, err := io.WriteString(w, p.String())
	return err
}

// phaseNames lists each name once; the raw loop, or else nobody, has the first place and its grey.
func phaseNames(timeline []Segment) []string {
	names := []string{rawName}
	for _, s := range timeline {
		if !slices.Contains(names, s.Name) {
			names = append(names, s.Name)
		}
	}
	return names
}

// rawName is the phase that others are compared with.
const rawName = "raw POST"

// scale finds the ends of the axes.
func (p *picture) scale(timeline []Segment) {
	p.from, p.to, p.most, p.low, p.high = 0, 1, 1, 1, 10
	least, worst := math.Inf(1), 0.0
	for i, s := range timeline {
		if i == 0 {
			p.from = s.Start
		}
		p.to = max(p.from+0.001, s.End)
		p.raw = p.raw || s.Name == rawName
		for _, at := range s.Points {
			p.most = max(p.most, at.PerSecond)
			if at.P50 > 0 {
				least, worst = min(least, at.P50), max(worst, at.P99)
			}
		}
	}
	if worst > 0 {
		p.low = math.Pow(10, math.Floor(math.Log10(least)))
		p.high = max(p.low*10, math.Pow(10, math.Ceil(math.Log10(worst))))
	}
	p.most = ceiling(p.most)
}

// ceiling rounds up to 1, 2 or 5 times a power of ten.
func ceiling(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{1, 2, 5} {
		if v <= f*power {
			return f * power
		}
	}
	return 10 * power
}

func (p *picture) x(seconds float64) float64 {
	return plotLeft + (seconds-p.from)/(p.to-p.from)*(plotRight-plotLeft)
}

func (p *picture) yThroughput(perSecond float64) float64 {
	return throughputEnd - perSecond/p.most*(throughputEnd-throughputTop)
}

func (p *picture) yLatency(ms float64) float64 {
	part := math.Log10(max(ms, p.low)/p.low) / math.Log10(p.high/p.low)
	return latencyEnd - part*(latencyEnd-latencyTop)
}

func (p *picture) text(x, y float64, style, text string) {
	text = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
	fmt.Fprintf(p, `<text x="%.1f" y="%.1f" %s>%s</text>`+"\n", x, y, style, text)
}

func (p *picture) line(x1, y1, x2, y2 float64, style string) {
	fmt.Fprintf(p, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" %s/>`+"\n", x1, y1, x2, y2, style)
}

// legend names the phases' colours on the right of the title.
func (p *picture) legend(names []string) {
	const letter = 6.6 // about the width of one
	x := plotRight
	for i := len(names) - 1; i >= 0; i-- {
		if i == 0 && !p.raw {
			break
		}
		x -= float64(len(names[i])) * letter
		p.text(x, 26, "", names[i])
		x -= 16
		fmt.Fprintf(p, `<rect x="%.1f" y="16" width="11" height="11" rx="2" fill="%s"/>`+"\n", x, palette[i%len(palette)])
		x -= 16
	}
}

// axes draws the grids and what they mean.
func (p *picture) axes() {
	const grid, frame = `stroke="#e6e6e6"`, `stroke="#bbb"`
	const label, right = `font-size="11" fill="#777"`, `font-size="11" fill="#777" text-anchor="end"`
	p.text(plotLeft, throughputTop-10, `font-weight="600"`, "deliveries per second")
	for i := range 5 {
		v := p.most * float64(i) / 4
		y := p.yThroughput(v)
		p.line(plotLeft, y, plotRight, y, grid)
		p.text(plotLeft-8, y+4, right, digitsOf(v))
	}
	p.text(plotLeft, latencyTop-10, `font-weight="600"`, "latency: p50, and the band up to p99")
	for v := p.low; v <= p.high*1.001; v *= 10 {
		y := p.yLatency(v)
		p.line(plotLeft, y, plotRight, y, grid)
		p.text(plotLeft-8, y+4, right, fmt.Sprintf("%g ms", math.Round(v*1e6)/1e6))
	}
	step := ceiling((p.to - p.from) / 12)
	for v := 0.0; v <= p.to-p.from; v += step {
		x := p.x(p.from + v)
		p.line(x, latencyEnd, x, latencyEnd+5, frame)
		p.text(x, latencyEnd+19, label+` text-anchor="middle"`, fmt.Sprintf("%g s", math.Round(v*1e6)/1e6))
	}
	p.line(plotLeft, throughputEnd, plotRight, throughputEnd, frame)
	p.line(plotLeft, latencyEnd, plotRight, latencyEnd, frame)
}

// throughput draws an area.
func (p *picture) throughput(s Segment, colour string) {
	if len(s.Points) == 0 {
		return
	}
	var top strings.Builder
	fmt.Fprintf(&top, "%.1f,%.1f ", p.x(s.Start), p.yThroughput(s.Points[0].PerSecond))
	for _, at := range s.Points {
		fmt.Fprintf(&top, "%.1f,%.1f ", p.x(at.At), p.yThroughput(at.PerSecond))
	}
	fmt.Fprintf(&top, "%.1f,%.1f", p.x(s.End), p.yThroughput(s.Points[len(s.Points)-1].PerSecond))
	fmt.Fprintf(p, `<polygon points="%.1f,%.1f %s %.1f,%.1f" fill="%s" fill-opacity="0.22"/>`+"\n",
		p.x(s.Start), throughputEnd, top.String(), p.x(s.End), throughputEnd, colour)
	fmt.Fprintf(p, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5" stroke-linejoin="round"/>`+"\n", top.String(), colour)
}

// latency draws p50 as a line, and the band from there to p99. Where nothing arrived there is neither.
func (p *picture) latency(s Segment, colour string) {
	for from := 0; from < len(s.Points); {
		if s.Points[from].P50 == 0 {
			from++
			continue
		}
		to := from
		for to < len(s.Points) && s.Points[to].P50 > 0 {
			to++
		}
		p.band(s.Points[from:to], colour)
		from = to
	}
}

func (p *picture) band(points []Point, colour string) {
	var p50, back []string
	for _, at := range points {
		p50 = append(p50, fmt.Sprintf("%.1f,%.1f", p.x(at.At), p.yLatency(at.P50)))
		back = append(back, fmt.Sprintf("%.1f,%.1f", p.x(at.At), p.yLatency(at.P99)))
	}
	slices.Reverse(back)
	fmt.Fprintf(p, `<polygon points="%s %s" fill="%s" fill-opacity="0.2" stroke="%s" stroke-width="0.5" stroke-opacity="0.4"/>`+"\n",
		strings.Join(p50, " "), strings.Join(back, " "), colour, colour)
	fmt.Fprintf(p, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.7" stroke-linejoin="round"/>`+"\n", strings.Join(p50, " "), colour)
}
