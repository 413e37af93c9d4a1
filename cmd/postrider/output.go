package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// jsonFlag adds --json to a command that prints.
func jsonFlag(c *cobra.Command) *bool {
	return c.Flags().Bool("json", false, "print JSON instead of text")
}

// printJSON prints v, indented, as one document.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// sayf prints a line on stdout.
func (a *app) sayf(format string, args ...any) { fmt.Fprintf(a.stdout, format+"\n", args...) }

// table is rows of text in aligned columns.
type table struct {
	header []string
	rows   [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// dropEmpty takes away the columns in which no row has anything.
func (t *table) dropEmpty() {
	for i := len(t.header) - 1; i >= 0; i-- {
		if slices.ContainsFunc(t.rows, func(row []string) bool { return row[i] != "" }) {
			continue
		}
		t.header = slices.Delete(t.header, i, i+1)
		for r := range t.rows {
			t.rows[r] = slices.Delete(t.rows[r], i, i+1)
		}
	}
}

const columnGap = 3

// print writes the table, its header dimmed on a terminal. The last column is never padded.
func (a *app) print(t table) {
	widths := make([]int, len(t.header))
	for _, row := range append([][]string{t.header}, t.rows...) {
		for i := range row {
			row[i] = oneLine(row[i])
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	line := func(row []string) string {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+columnGap))
			}
		}
		return strings.TrimRight(b.String(), " ")
	}
	fmt.Fprintln(a.stdout, a.dim(line(t.header)))
	for _, row := range t.rows {
		fmt.Fprintln(a.stdout, line(row))
	}
}

// facts are names and values below each other.
type facts [][2]string

func (f *facts) add(name, value string) {
	if value != "" {
		*f = append(*f, [2]string{name, value})
	}
}

func (a *app) printFacts(f facts) {
	width := 0
	for _, fact := range f {
		width = max(width, utf8.RuneCountInString(fact[0]))
	}
	for _, fact := range f {
		gap := strings.Repeat(" ", width-utf8.RuneCountInString(fact[0])+columnGap)
		fmt.Fprintf(a.stdout, "%s%s%s\n", a.dim(fact[0]), gap, printable(fact[1]))
	}
}

// The colours, used sparingly: they repeat what the words say.
func (a *app) paint(code, s string) string {
	if !a.colours() || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
func (a *app) dim(s string) string   { return a.paint("2", s) }
func (a *app) bold(s string) string  { return a.paint("1", s) }
func (a *app) green(s string) string { return a.paint("32", s) }
func (a *app) red(s string) string   { return a.paint("31", s) }

// printable makes text that somebody else wrote harmless to a terminal: control characters other than newline and tab become visible
// escapes.
func printable(s string) string {
	clean := func(r rune) bool { return r == '\n' || r == '\t' || (!unicode.IsControl(r) && r != utf8.RuneError) }
	if strings.IndexFunc(s, func(r rune) bool { return !clean(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if clean(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}

// oneLine is printable text in one line.
func oneLine(s string) string {
	return printable(strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' || r == '\t' }), " "))
}

// pretty returns a body for people: JSON indented, anything else as it is.
func pretty(body []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, bytes.TrimSpace(body), "", "  ") != nil {
		return printable(string(body))
	}
	return printable(b.String())
}

// writeLine writes v as one line of JSON.
func writeLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// moment shows a time in the user's zone, to the second.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// count shows a number with its thing: "1 event", "2,000 events".
func count(n int, thing string) string { return plural(n, thing, thing+"s") }

// plural is count for things that take more than an s.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + many
}

// thousands groups the digits of a number: 12,345.
func thousands(n int) string {
	s := strconv.Itoa(n)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(s) - 3; i > start; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// milliseconds shows a duration to three digits.
func milliseconds(ms float64) string {
	switch {
	case ms < 1:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 10:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f s", (time.Duration(ms * float64(time.Millisecond))).Seconds())
}

// size shows bytes in binary units.
func size(bytes int64) string {
	switch {
	case bytes < 1<<10:
		return fmt.Sprintf("%d B", bytes)
	case bytes < 1<<20:
		return fmt.Sprintf("%.3g KiB", float64(bytes)/(1<<10))
	case bytes < 1<<30:
		return fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
}
