package dispatch

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/retry"
)

// attemptsOn returns how long after the event's publication each attempt was made at a receiver that always fails.
func attemptsOn(t *testing.T, s core.Subscriber, adjust func(*Config)) (at []time.Duration, m *memory) {
	t.Helper()
	m = newMemory(s)
	begin := time.Now()
	start(t, m, plugins{notify: func(context.Context, core.Notification) (core.Answer, error) {
		at = append(at, time.Since(begin))
		return failed()
	}}, adjust)
	publish(t, m, "evt_1", "stock.changed")
	pass(1000 * time.Hour)
	return at, m
}

func TestEveryKindOfScheduleComesDueToTheMillisecond(t *testing.T) {
	const s, m, h = time.Second, time.Minute, time.Hour
	for _, test := range []struct {
		name, raw string
		delays    []time.Duration
		jitter    float64
	}{
		{"exponential", `{"schedule":"exponential","first":"5s","factor":2,"max":"1h","max_retries":6}`,
			[]time.Duration{5 * s, 10 * s, 20 * s, 40 * s, 80 * s, 160 * s}, 0},
		{"exponential up to its maximum", `{"schedule":"exponential","first":"10m","factor":3,"max":"1h","max_retries":4}`,
			[]time.Duration{10 * m, 30 * m, h, h}, 0},
		{"exponential with a factor that is no whole number", `{"schedule":"exponential","first":"250ms","factor":1.5,"max_retries":3}`,
			[]time.Duration{250 * time.Millisecond, 375 * time.Millisecond, 562500 * time.Microsecond}, 0},
		{"a list", `["5s","5m","30m","2h","10h"]`, []time.Duration{5 * s, 5 * m, 30 * m, 2 * h, 10 * h}, 0},
		{"a list that is not in order", `["1h","1ms","3s"]`, []time.Duration{h, time.Millisecond, 3 * s}, 0},
		{"a list of nothing", `[]`, nil, 0},
		{"quadratic with jitter", `{"schedule":"quadratic","max_retries":5,"jitter":0.1}`, []time.Duration{s, 4 * s, 9 * s, 16 * s, 25 * s}, 0.1},
		{"exponential with jitter", `{"schedule":"exponential","first":"5s","factor":2,"max_retries":4,"jitter":1}`,
			[]time.Duration{5 * s, 10 * s, 20 * s, 40 * s}, 1},
		{"a list with jitter", `{"schedule":["5s","5m","30m"],"jitter":0.5}`, []time.Duration{5 * s, 5 * m, 30 * m}, 0.5},
	} {
		schedule, err := retry.Parse(json.RawMessage(test.raw))
		if err != nil {
			t.Fatal(err)
		}
		for name, on := range map[string]func(*testing.T) ([]time.Duration, *memory){
			"the daemon's": func(t *testing.T) ([]time.Duration, *memory) {
				return attemptsOn(t, subscriber(1, "stock.changed"), func(c *Config) { c.Retry = schedule })
			},
			"the subscriber's own": func(t *testing.T) ([]time.Duration, *memory) {
				own := subscriber(1, "stock.changed")
				own.Retry = json.RawMessage(test.raw)
				return attemptsOn(t, own, func(*Config) {})
			},
		} {
			t.Run(test.name+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					at, m := on(t)
					checkSchedule(t, at, test.delays, test.jitter)
					dead, ok := m.dead[string(core.DeliveryIDOf("evt_1", 1))]
					if !ok || dead.Last != len(test.delays)+1 {
						t.Errorf("dead letter: got %+v, %t, want one after %d attempts", dead, ok, len(test.delays)+1)
					}
				})
			})
		}
	}
}

// checkSchedule compares when attempts were made with the delays between them. Jitter lengthens each by up to its part, and is drawn anew each time.
func checkSchedule(t *testing.T, at, delays []time.Duration, jitter float64) {
	t.Helper()
	if len(at) != len(delays)+1 || at[0] != 0 {
		t.Fatalf("attempts at %v, want one at once and %d more", at, len(delays))
	}
	longer := 0
	for i, delay := range delays {
		got := at[i+1] - at[i]
		if longest := delay + time.Duration(jitter*float64(delay)); got < delay || got > longest {
			t.Errorf("retry %d after %v, want %v to %v", i+1, got, delay, longest)
		}
		if got > delay {
			longer++
		}
	}
	if jitter > 0 && longer == 0 {
		t.Error("jitter has lengthened no delay")
	}
}
