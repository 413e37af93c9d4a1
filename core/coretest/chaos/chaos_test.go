package chaos_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/core/coretest/chaos"
)

// verdict is a test that is judged, and notes how.
type verdict struct {
	testing.TB
	errors  []string
	skipped bool
}

func (*verdict) Helper()                       {}
func (*verdict) Logf(string, ...any)           {}
func (v *verdict) Error(args ...any)           { v.errors = append(v.errors, fmt.Sprint(args...)) }
func (v *verdict) Errorf(f string, a ...any)   { v.errors = append(v.errors, fmt.Sprintf(f, a...)) }
func (v *verdict) Fatalf(f string, a ...any)   { v.Errorf(f, a...) }
func (v *verdict) Skipf(f string, args ...any) { v.skipped = true }

func TestARowFailsItsSuiteWhereEventsAreLostOrDuplicatesUnexplained(t *testing.T) {
	good := chaos.Row{Faults: "power cut", Accepted: 10, Duplicated: 3, Bound: 3, Burnt: chaos.NotMeasured, Recovery: time.Second}
	for name, c := range map[string]struct {
		change  func(*chaos.Row)
		failure string
		row     string
	}{
		"all is well":         {func(*chaos.Row) {}, "", "| power cut | 10 | 0 | 3 | 3 | – | 1s |"},
		"one is lost":         {func(r *chaos.Row) { r.Lost = 1 }, "1 of 10 accepted events are lost", "| power cut | 10 | 1 | 3 | 3 | – | 1s |"},
		"lost is not known":   {func(r *chaos.Row) { r.Lost = chaos.NotMeasured }, "– of 10", "| power cut | 10 | – | 3 | 3 | – | 1s |"},
		"too many duplicates": {func(r *chaos.Row) { r.Duplicated = 4 }, "4 receipts are duplicates, and the faults explain 3", "| power cut | 10 | 0 | 4 | 3 | – | 1s |"},
		"without a bound":     {func(r *chaos.Row) { r.Bound = chaos.NotMeasured }, "the faults explain 0", "| power cut | 10 | 0 | 3 | – | – | 1s |"},
		"nothing received":    {func(r *chaos.Row) { r.Duplicated = chaos.NotMeasured }, "", "| power cut | 10 | 0 | – | – | – | 1s |"},
		"forgotten recovery":  {func(r *chaos.Row) { r.Recovery = 0 }, "not measured", "| power cut | 10 | 0 | 3 | 3 | – | 0s |"},
	} {
		t.Run(name, func(t *testing.T) {
			table := filepath.Join(t.TempDir(), "table")
			t.Setenv(chaos.TableFile, table)
			row, v := good, &verdict{TB: t}
			c.change(&row)
			chaos.Report(v, row)
			if said := strings.Join(v.errors, "\n"); !strings.Contains(said, c.failure) || (c.failure == "") != (said == "") {
				t.Errorf("the suite says %q, want %q", said, c.failure)
			}
			if got, err := os.ReadFile(table); err != nil || string(got) != c.row+"\n" {
				t.Errorf("the table has %q (%v), want %q", got, err, c.row)
			}
		})
	}
}

func TestASuiteThatMayNotInjectItsFaultsFailsUnlessItMayBeSkipped(t *testing.T) {
	for _, skip := range []string{"", "1"} {
		t.Setenv("SKIP_SERVICES", skip)
		v := &verdict{TB: t}
		chaos.Missing(v, errors.New("mounting takes root"))
		if failed := len(v.errors) > 0; failed == v.skipped || v.skipped != (skip == "1") {
			t.Errorf("with SKIP_SERVICES=%s: failed %t, skipped %t", skip, failed, v.skipped)
		}
	}
}
