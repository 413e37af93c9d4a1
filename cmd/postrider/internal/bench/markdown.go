package bench

import (
	"fmt"
	"io"
	"strings"
)

// Markdown writes the headlines of reports as one table, with the machine that they are of.
func Markdown(w io.Writer, m Machine, reports []Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured by `postrider bench` on %s.\n", m)
	b.WriteString("Publishers, receiver, daemon and plugins share that machine; every acceptance is on disk. ")
	b.WriteString("Of several runs: the median, and from the lowest to the highest.\n\n")
	b.WriteString("| scenario | what | figure | spread | runs |\n|---|---|--:|--:|--:|\n")
	for _, r := range reports {
		scenario := "`" + r.Scenario + "`"
		for _, f := range r.Figures {
			if !f.Headline {
				continue
			}
			spread := ""
			if r.Runs > 1 {
				spread = Format(f.Low, f.Unit) + " – " + Format(f.High, f.Unit)
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %d |\n", scenario, f.Name, Format(f.Value, f.Unit), spread, r.Runs)
			scenario = ""
		}
		if r.Lost > 0 || r.Duplicated > 0 {
			fmt.Fprintf(&b, "| %s | lost, duplicated | %d, %d | | %d |\n", scenario, r.Lost, r.Duplicated, r.Runs)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Format shows a figure to about three digits.
func Format(value float64, unit string) string {
	switch unit {
	case PerSecond:
		return grouped(int64(value+0.5)) + "/s"
	case Bytes:
		if value >= 10<<20 {
			return fmt.Sprintf("%.0f MiB", value/(1<<20))
		}
		return grouped(int64(value+0.5)) + " B"
	case Percent:
		return fmt.Sprintf("%.1f %%", value)
	case "":
		return digitsOf(value)
	}
	return digitsOf(value) + " " + unit
}

// digitsOf shows three digits, and no more behind the point than there is use for.
func digitsOf(value float64) string {
	switch {
	case value >= 100 || value == float64(int64(value)):
		return grouped(int64(value + 0.5))
	case value >= 10:
		return fmt.Sprintf("%.1f", value)
	case value >= 0.1:
		return fmt.Sprintf("%.2f", value)
	}
	return fmt.Sprintf("%.3f", value)
}

// grouped writes a number as 12,345.
func grouped(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
