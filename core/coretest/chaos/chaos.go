// Package chaos collects what the crash suites found, so that `make chaos` prints it as one table.
package chaos

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// NotMeasured is the value of a figure that a suite has no way to know. It is shown as –, and never taken for 0.
const NotMeasured = -1

// Row is the outcome of one suite. Its figures come from those who published and received, not from the daemon.
type Row struct {
	Faults     string        // what was injected, with counts: "daemon killed 10 times"
	Accepted   int           // events that the publisher was told are accepted
	Lost       int           // accepted, and neither delivered, dead-lettered nor still scheduled
	Duplicated int           // receipts beyond the first of one attempt of one event
	Bound      int           // how many of those the faults explain
	Burnt      int           // attempts that failed through no fault of the receiver
	Recovery   time.Duration // the longest time from a fault until work went on
}

// Setting reads a number from the environment, so that `make chaos` can run at full length what is short in `make test`.
func Setting(t testing.TB, name string, short int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return short
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TableFile is the environment variable that names the file to which rows are added.
const TableFile = "POSTRIDER_CHAOS_TABLE"

// Report logs the row, adds it to the table, and fails the test where anything was lost, or more is duplicated than the faults explain.
func Report(t testing.TB, r Row) {
	t.Helper()
	cells := r.cells()
	t.Logf("%s: %s events accepted, %s lost, %s duplicated of at most %s, %s attempts burnt, recovered in %s",
		cells[0], cells[1], cells[2], cells[3], cells[4], cells[5], cells[6])
	if r.Lost != 0 { // who can't say so shows nothing
		t.Errorf("%s of %d accepted events are lost", figure(r.Lost), r.Accepted)
	}
	if r.Duplicated > r.Bound {
		t.Errorf("%d receipts are duplicates, and the faults explain %d", r.Duplicated, max(0, r.Bound))
	}
	if r.Recovery == 0 {
		t.Error("nothing recovers in no time: the row must say that recovery was not measured")
	}
	path := os.Getenv(TableFile)
	if path == "" {
		return
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := fmt.Fprintf(file, "| %s |\n", strings.Join(cells, " | ")); err != nil {
		t.Fatal(err)
	}
}

// cells are the columns of the table: its head is in the Makefile.
func (r Row) cells() []string {
	recovery := figure(NotMeasured)
	if r.Recovery >= 0 {
		recovery = r.Recovery.Round(time.Millisecond).String()
	}
	bound := r.Bound
	if r.Duplicated < 0 {
		bound = NotMeasured
	}
	return []string{r.Faults, figure(r.Accepted), figure(r.Lost), figure(r.Duplicated), figure(bound), figure(r.Burnt), recovery}
}

func figure(n int) string {
	if n < 0 {
		return "–"
	}
	return fmt.Sprint(n)
}
