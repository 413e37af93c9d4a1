package garbage

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

func TestGarbageIsFourTimesWhatLivesUntilThatIsTooMuch(t *testing.T) {
	for living, want := range map[uint64]int{0: most, 4 << 20: most, 16 << 20: most, 32 << 20: 200, 64 << 20: least, 1 << 30: least} {
		if got := percent(living); got != want {
			t.Errorf("%d MiB live: GOGC %d, want %d", living>>20, got, want)
		}
	}
}

func TestGOGCFollowsWhatLives(t *testing.T) {
	before := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	t.Setenv("GOGC", "50")
	Bound()
	awaitGOGC(t, 100)
	t.Setenv("GOGC", "")
	Bound()
	awaitGOGC(t, most)
	much := make([]byte, 128<<20)
	awaitGOGC(t, least)
	runtime.KeepAlive(much)
	much = nil
	awaitGOGC(t, most)
}

// awaitGOGC collects until GOGC is want: what follows a collection runs beside it.
func awaitGOGC(t *testing.T, want uint64) {
	t.Helper()
	sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); runtime.Gosched() {
		runtime.GC()
		if metrics.Read(sample); sample[0].Value.Uint64() == want {
			return
		}
	}
	t.Fatalf("GOGC is %d, want %d", sample[0].Value.Uint64(), want)
}
