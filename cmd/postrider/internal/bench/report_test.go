package bench

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"
)

func TestOfSeveralRunsTheMedianIsShownWithItsSpread(t *testing.T) {
	var reports []Report
	for _, ratio := range []float64{0.3, 0.1, 0.2} {
		r := Report{Scenario: "burst", Ratio: ratio, Lost: 1}
		r.headline("ratio", ratio, "", "")
		r.percentiles("at 200/s", Latency{P50: ratio * 10, P99: 5})
		reports = append(reports, r)
	}
	got := merge(reports)
	if got.Ratio != 0.2 || got.Runs != 3 || got.Lost != 3 {
		t.Errorf("got ratio %g, runs %d, lost %d; want 0.2, 3, 3", got.Ratio, got.Runs, got.Lost)
	}
	if f := got.Figures[0]; f.Value != 0.2 || f.Low != 0.1 || f.High != 0.3 {
		t.Errorf("ratio: got %+v", f)
	}
	var b strings.Builder
	if err := Markdown(&b, Machine{CPU: "Abacus", Cores: 2}, []Report{got}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Abacus, 2 cores", "| `burst` | ratio | 0.20 | 0.10 – 0.30 | 3 |", "|  | at 200/s: p50 | 2 ms |", "lost, duplicated | 3, 0"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, b.String())
		}
	}
	if reports[0].Figures[0].Value != 0.3 {
		t.Error("merging changed a report")
	}
}

func TestFiguresAreShownToThreeDigits(t *testing.T) {
	for _, test := range []struct {
		value float64
		unit  string
		want  string
	}{
		{0.1849, "", "0.18"}, {5123.4, PerSecond, "5,123/s"}, {1.336, Milliseconds, "1.34 ms"}, {63 << 20, Bytes, "63 MiB"},
		{217.3, Bytes, "217 B"}, {0.94, Times, "0.94 ×"}, {12.34, Percent, "12.3 %"}, {0.0456, Milliseconds, "0.046 ms"},
		{1234567, PerSecond, "1,234,567/s"}, {0, "", "0"},
	} {
		if got := Format(test.value, test.unit); got != test.want {
			t.Errorf("%g %q: got %q, want %q", test.value, test.unit, got, test.want)
		}
	}
}

func TestThePictureIsWellFormedWhateverIsInIt(t *testing.T) {
	full := Report{Scenario: "burst", Timeline: []Segment{
		{Name: rawName, Start: 1, End: 2, Points: []Point{{At: 1.5, PerSecond: 60000, P50: 0.9, P99: 4}}},
		{Name: "a < b & c", Start: 2, End: 4, Points: []Point{{At: 2.5, PerSecond: 5000, P50: 11, P99: 40}, {At: 3}, {At: 3.5, P50: 1, P99: 3000}}},
	}}
	for name, r := range map[string]Report{"full": full, "empty": {}, "a phase without points": {Timeline: []Segment{{Name: "x"}}}} {
		var b strings.Builder
		if err := SVG(&b, Machine{CPU: "Abacus", Cores: 2}, r); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") {
			t.Errorf("%s: a coordinate is no number:\n%s", name, b.String())
		}
		for d := xml.NewDecoder(strings.NewReader(b.String())); ; {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s: %v in\n%s", name, err, b.String())
			}
		}
	}
	var b strings.Builder
	_ = SVG(&b, Machine{}, full)
	for _, want := range []string{"a &lt; b &amp; c", "raw POST", palette[0], palette[1]} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in the picture", want)
		}
	}
}

func TestEveryScenarioCanBeChosen(t *testing.T) {
	all := Scenarios()
	for _, s := range all {
		found, err := Find(s.Name)
		if err != nil || len(found) != 1 || found[0].Name != s.Name || s.About == "" || s.measure == nil {
			t.Errorf("scenario %q: found %d, %v", s.Name, len(found), err)
		}
	}
	if found, err := Find("all"); err != nil || len(found) != len(all) {
		t.Errorf("all: %d of %d, %v", len(found), len(all), err)
	}
	if found, err := Find("slow, failing"); err != nil || len(found) != 2 {
		t.Errorf("two: got %d, %v", len(found), err)
	}
	if _, err := Find("slow,bogus"); err == nil || !strings.Contains(err.Error(), `"bogus"`) || !strings.Contains(err.Error(), "burst") {
		t.Errorf("bogus: got %v, want its name and those that there are", err)
	}
}
