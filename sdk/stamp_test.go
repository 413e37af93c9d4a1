package sdk

import (
	"testing"
	"time"
)

func TestAStampIsRFC3339InUTCToTheMillisecond(t *testing.T) {
	const layout = `"2006-01-02T15:04:05.000Z07:00"`
	cet := time.FixedZone("CET", 3600)
	for _, at := range []time.Time{
		{},
		time.UnixMilli(0), time.UnixMilli(-1), time.UnixMilli(1_764_269_573_099), time.UnixMilli(1_764_269_573_120),
		time.Date(2026, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
		time.Date(2026, 1, 1, 0, 30, 0, 7_000_000, cet),
		time.Date(9999, 12, 31, 23, 59, 59, 1_000_000, time.UTC), time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		if got, want := string(stamp([]byte("x"), at)), "x"+at.UTC().Format(layout); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
