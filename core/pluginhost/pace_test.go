package pluginhost

import (
	"testing"
	"time"
)

func TestRestartsComeAfter100MillisecondsDoublingTo30Seconds(t *testing.T) {
	p := pace{longest: 30 * time.Second}
	want := []time.Duration{100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000}
	for i, w := range want {
		if got := p.failed(0); got != w*time.Millisecond {
			t.Errorf("delay after failure %d: got %v, want %v", i+1, got, w*time.Millisecond)
		}
	}
	for range 1000 {
		p.failed(0)
	}
	if got := p.failed(0); got != p.longest {
		t.Errorf("delay after many failures: got %v, want %v", got, p.longest)
	}
}

func TestTenFailuresWithoutAHealthyMinuteAreACrashLoop(t *testing.T) {
	p := pace{longest: 30 * time.Second}
	for i := range 9 {
		if p.failed(59 * time.Second); p.broken() {
			t.Fatalf("broken after %d failures", i+1)
		}
	}
	if p.failed(59 * time.Second); !p.broken() {
		t.Error("not broken after 10 failures")
	}
	if got := p.failed(time.Minute); got != firstDelay || p.broken() {
		t.Errorf("after a healthy minute: got delay %v, broken %t, want %v, false", got, p.broken(), firstDelay)
	}
}

func TestAPluginThatDoesItsWorkBetweenCrashesIsStartedAgainAtOnce(t *testing.T) {
	p := pace{longest: 30 * time.Second}
	for range 20 {
		p.worked(productive)
		if got := p.failed(time.Second); got != firstDelay || p.broken() {
			t.Fatalf("got delay %v, broken %t, want %v, false", got, p.broken(), firstDelay)
		}
	}
	p.worked(productive - 1)
	if got := p.failed(time.Second); got != 2*firstDelay {
		t.Errorf("after hardly any work: got delay %v, want %v", got, 2*firstDelay)
	}
}

func TestAFileThatIsNoPluginIsRunEverMoreRarely(t *testing.T) {
	p := pace{longest: 30 * time.Second}
	for i, want := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 10 * time.Minute, 10 * time.Minute} {
		p.failed(0)
		if got := p.stranger(); got != want {
			t.Errorf("delay after failure %d: got %v, want %v", i+1, got, want)
		}
	}
}
