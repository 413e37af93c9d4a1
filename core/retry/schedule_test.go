package retry_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postrider/postrider/core/retry"
)

const second = time.Second

// delays lists what a schedule without jitter waits.
func delays(s retry.Schedule) []time.Duration {
	var all []time.Duration
	for n := 1; ; n++ {
		d, ok := s.Delay(n)
		if !ok {
			return all
		}
		all = append(all, d)
	}
}

func TestEachKindOfScheduleWaitsAsWritten(t *testing.T) {
	for _, test := range []struct {
		name, raw string
		want      []time.Duration
	}{
		{"quadratic", `{"schedule":"quadratic","max_retries":3}`, []time.Duration{second, 4 * second, 9 * second}},
		{"quadratic by default has five", `{"schedule":"quadratic"}`, []time.Duration{second, 4 * second, 9 * second, 16 * second, 25 * second}},
		{"no retries", `{"schedule":"quadratic","max_retries":0}`, nil},
		{"exponential doubles up to its maximum", `{"schedule":"exponential","first":"5s","max":"30s","max_retries":5}`,
			[]time.Duration{5 * second, 10 * second, 20 * second, 30 * second, 30 * second}},
		{"exponential with a factor", `{"schedule":"exponential","first":"1s","factor":1.5,"max_retries":3}`,
			[]time.Duration{second, 1500 * time.Millisecond, 2250 * time.Millisecond}},
		{"bare list", ` ["5s", "5m", "30m"]`, []time.Duration{5 * second, 5 * time.Minute, 30 * time.Minute}},
		{"list in an object", `{"schedule": ["0s","1h"]}`, []time.Duration{0, time.Hour}},
		{"empty list", `[]`, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := retry.Parse(json.RawMessage(test.raw))
			if err != nil {
				t.Fatal(err)
			}
			if got := delays(s); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
			var want time.Duration
			for _, d := range test.want {
				want += d
			}
			if got := s.Span(); got != want {
				t.Errorf("span: got %v, want %v", got, want)
			}
		})
	}
}

func TestTheDefaultIsThatOfTheReferenceSystem(t *testing.T) {
	if got, want := delays(retry.Default()), []time.Duration{second, 4 * second, 9 * second, 16 * second, 25 * second}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, want := retry.Default().Span(), 55*second; got != want {
		t.Errorf("span: got %v, want %v", got, want)
	}
}

func TestABadScheduleIsRefusedByTheNameOfItsKey(t *testing.T) {
	for _, test := range []struct{ raw, want string }{
		{``, "a retry schedule is an object"},
		{`null`, "a retry schedule is an object"},
		{`"quadratic"`, "a retry schedule is an object"},
		{`{"max_retries":5}`, "schedule: say which"},
		{`{"schedule":5}`, "schedule: say which"},
		{`{"schedule":"cubic"}`, `schedule: there is no "cubic"`},
		{`{"schedule":"quadratic","retries":5}`, "retries: a schedule that is quadratic has no such key; beside schedule, it takes max_retries, jitter"},
		{`{"schedule":"quadratic","Max_Retries":5}`, "Max_Retries: "},
		{`{"schedule":"quadratic","first":"5s"}`, "first: a schedule that is quadratic has no such key"},
		{`{"schedule":["5s"],"max_retries":5}`, "max_retries: a schedule that is a list has no such key"},
		{`{"schedule":"quadratic","max_retries":-1}`, "max_retries: -1 is out of bounds"},
		{`{"schedule":"quadratic","max_retries":1001}`, "max_retries: 1001 is out of bounds"},
		{`{"schedule":"quadratic","max_retries":2.5}`, "max_retries: it is number 2.5 here, but must be a whole number"},
		{`{"schedule":"quadratic","max_retries":"5"}`, "max_retries: it is string here, but must be a whole number"},
		{`{"schedule":"quadratic","jitter":1.1}`, "jitter: 1.1 is out of bounds"},
		{`{"schedule":"quadratic","jitter":"0.1"}`, "jitter: it is string here, but must be a number"},
		{`{"schedule":"exponential"}`, "first: an exponential schedule must say its first delay"},
		{`{"schedule":"exponential","first":"0s"}`, "first: a delay of zero never grows"},
		{`{"schedule":"exponential","first":5}`, `first: 5 is not a delay: write it with its unit`},
		{`{"schedule":"exponential","first":"5"}`, `first: "5" is not a delay`},
		{`{"schedule":"exponential","first":"1m","max":"5s"}`, "max: 5s is less than the first delay, 1m0s"},
		{`{"schedule":"exponential","first":"5s","factor":0.5}`, "factor: 0.5 is out of bounds"},
		{`["5s","-1s"]`, `schedule: delay 2: "-1s" is out of bounds`},
		{`["721h"]`, `schedule: delay 1: "721h" is out of bounds: a delay is from 0s to 720h`},
		{`["5s"`, "schedule: the list is not JSON"},
		{`[` + strings.Repeat(`"1s",`, 1000) + `"1s"]`, "schedule: a list of 1001 delays is too long"},
	} {
		t.Run(test.raw[:min(len(test.raw), 60)], func(t *testing.T) {
			_, err := retry.Parse(json.RawMessage(test.raw))
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got error %v, want one that starts with %q", err, test.want)
			}
		})
	}
}

// anySchedule draws a schedule as an operator could write it, extremes included.
func anySchedule(t *rapid.T) retry.Schedule {
	delay := rapid.Custom(func(t *rapid.T) string {
		return time.Duration(rapid.Int64Range(1, int64(retry.MaxDelay)).Draw(t, "delay")).String()
	})
	retries := rapid.IntRange(0, retry.MaxRetries)
	written := map[string]any{}
	switch rapid.SampledFrom([]string{"quadratic", "exponential", "list"}).Draw(t, "kind") {
	case "quadratic":
		written["schedule"], written["max_retries"] = "quadratic", retries.Draw(t, "retries")
	case "exponential":
		written["schedule"], written["max_retries"] = "exponential", retries.Draw(t, "retries")
		written["first"], written["factor"] = delay.Draw(t, "first"), rapid.Float64Range(1, 100).Draw(t, "factor")
		written["max"] = retry.MaxDelay.String()
	case "list":
		written["schedule"] = rapid.SliceOfN(delay, 0, 40).Draw(t, "list")
	}
	if rapid.Bool().Draw(t, "with jitter") {
		written["jitter"] = rapid.Float64Range(0, 1).Draw(t, "jitter")
	}
	raw, err := json.Marshal(written)
	if err != nil {
		t.Fatal(err)
	}
	s, err := retry.Parse(raw)
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return s
}

func TestEveryScheduleKeepsItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anySchedule(t)
		for n := 1; n <= s.Retries(); n++ {
			if d, ok := s.Delay(n); !ok || d < 0 || d > 2*retry.MaxDelay {
				t.Fatalf("retry %d of %d: got %v, %v", n, s.Retries(), d, ok)
			}
		}
		for _, n := range []int{-1, 0, s.Retries() + 1} {
			if d, ok := s.Delay(n); ok || d != 0 {
				t.Fatalf("retry %d of %d: got %v, %v, want none", n, s.Retries(), d, ok)
			}
		}
		if span := s.Span(); span < 0 || span > retry.MaxRetries*retry.MaxDelay {
			t.Fatalf("span %v is out of bounds", span)
		}
	})
}

func TestAScheduleSurvivesBeingWrittenAndRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anySchedule(t)
		first, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var again retry.Schedule
		if err := json.Unmarshal(first, &again); err != nil {
			t.Fatalf("%s: %v", first, err)
		}
		second, err := json.Marshal(again)
		if err != nil {
			t.Fatal(err)
		}
		if string(first) != string(second) || again.Span() != s.Span() || again.Retries() != s.Retries() {
			t.Fatalf("written %s, read and written again %s", first, second)
		}
	})
}

func TestJitterOnlyEverLengthensAndByAtMostItsFraction(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plain := time.Duration(rapid.Int64Range(0, int64(retry.MaxDelay)).Draw(t, "delay"))
		fraction := rapid.Float64Range(0, 1).Draw(t, "jitter")
		raw, err := json.Marshal(map[string]any{"schedule": []string{plain.String()}, "jitter": fraction})
		if err != nil {
			t.Fatal(err)
		}
		s, err := retry.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		longest := plain + time.Duration(fraction*float64(plain))
		for range 20 {
			if d, _ := s.Delay(1); d < plain || d > longest {
				t.Fatalf("got %v, want %v to %v", d, plain, longest)
			}
		}
	})
}

func TestJitterSpreads(t *testing.T) {
	s, err := retry.Parse(json.RawMessage(`{"schedule":"quadratic","jitter":0.5}`))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[time.Duration]bool{}
	for range 100 {
		d, _ := s.Delay(5)
		seen[d] = true
	}
	if len(seen) < 50 {
		t.Errorf("100 draws gave %d different delays, want nearly 100", len(seen))
	}
}

func TestTheZeroScheduleNeverRetries(t *testing.T) {
	var zero retry.Schedule
	if d, ok := zero.Delay(1); ok || zero.Span() != 0 {
		t.Errorf("got %v, %v, span %v", d, ok, zero.Span())
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{`{"schedule":"quadratic","max_retries":5,"jitter":0.1}`, `["5s","5m"]`, `{"schedule":["1s"],"jitter":1}`,
		`{"schedule":"exponential","first":"5s","factor":2,"max":"1h","max_retries":1000}`, `null`, `{"schedule":null}`, `[null]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := retry.Parse(raw)
		if err != nil {
			return
		}
		if _, err := json.Marshal(s); err != nil {
			t.Fatal(err)
		}
		if span := s.Span(); span < 0 || s.Retries() > retry.MaxRetries {
			t.Fatalf("span %v, retries %d", span, s.Retries())
		}
	})
}

func TestTheDelaysOfAScheduleAreListedOnce(t *testing.T) {
	for _, test := range []struct {
		schedule string
		want     []time.Duration
	}{
		{`{"schedule":"quadratic","max_retries":3}`, []time.Duration{time.Second, 4 * time.Second, 9 * time.Second}},
		{`["5m","5s","5m"]`, []time.Duration{5 * time.Second, 5 * time.Minute}},
		{`{"schedule":"exponential","first":"1s","factor":2,"max":"3s","max_retries":9}`, []time.Duration{time.Second, 2 * time.Second, 3 * time.Second}},
		{`{"schedule":"quadratic","max_retries":3,"jitter":0.5}`, nil},
	} {
		schedule, err := retry.Parse(json.RawMessage(test.schedule))
		if err != nil {
			t.Fatal(err)
		}
		if got := schedule.Delays(); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.schedule, got, test.want)
		}
	}
}
