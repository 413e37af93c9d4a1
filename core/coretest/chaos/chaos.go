// Package chaos collects what the crash suites found, so that `make chaos` prints it as one table.
package chaos

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// Row is the outcome of one suite. Its figures come from those who published and received, not from the daemon.
type Row struct {
	Faults     string        // what was injected, with counts: "daemon killed 10 times"
	Accepted   int           // events that the publisher was told are accepted
	Lost       int           // accepted, and neither delivered, dead-lettered nor still scheduled
	Duplicated int           // receipts beyond the first of a delivery that were no retry of a failed attempt
	Burnt      int           // attempts that failed through no fault of the receiver; negative: does not apply
	Recovery   time.Duration // from the end of the last fault until work went on; 0: not measured
}

// TableFile is the environment variable that names the file to which rows are added.
const TableFile = "POSTRIDER_CHAOS_TABLE"

// Report logs the row, adds it to the table, and fails the test where anything was lost.
func Report(t testing.TB, r Row) {
	t.Helper()
	burnt, recovery := "–", "–"
	if r.Burnt >= 0 {
		burnt = fmt.Sprint(r.Burnt)
	}
	if r.Recovery > 0 {
		recovery = r.Recovery.Round(10 * time.Millisecond).String()
	}
	t.Logf("%s: %d events accepted, %d lost, %d duplicated, %s attempts burnt, recovered in %s", r.Faults, r.Accepted, r.Lost, r.Duplicated, burnt, recovery)
	if r.Lost != 0 {
		t.Errorf("%d of %d accepted events are lost", r.Lost, r.Accepted)
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
	cells := []string{r.Faults, fmt.Sprint(r.Accepted), fmt.Sprint(r.Lost), fmt.Sprint(r.Duplicated), burnt, recovery}
	if _, err := fmt.Fprintf(file, "| %s |\n", strings.Join(cells, " | ")); err != nil {
		t.Fatal(err)
	}
}
