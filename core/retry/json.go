package retry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// settings are the keys of a schedule that is written as an object. A pointer tells a key that is missing from one that is zero.
type settings struct {
	Schedule   json.RawMessage `json:"schedule"`
	First      json.RawMessage `json:"first,omitempty"`
	Factor     *float64        `json:"factor,omitempty"`
	Max        json.RawMessage `json:"max,omitempty"`
	MaxRetries *int            `json:"max_retries,omitempty"`
	Jitter     *float64        `json:"jitter,omitempty"`
}

// keysOf lists the keys that each way of writing a schedule takes, beside "schedule" itself.
var keysOf = map[string][]string{
	"quadratic":   {"max_retries", "jitter"},
	"exponential": {"first", "factor", "max", "max_retries", "jitter"},
	"a list":      {"jitter"},
}

// Parse reads a schedule as the package comment shows it. The error of a bad one names the key and says what to write instead; it is a
// sentence for the person who wrote the schedule.
//
// Defaults: 5 retries; factor 2; a maximum of 24 hours, or the first delay if that is longer; no jitter.
func Parse(raw json.RawMessage) (Schedule, error) {
	if trimmed := bytes.TrimSpace(raw); len(trimmed) > 0 && trimmed[0] == '[' {
		return parseList(trimmed, nil)
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(raw, &keys); err != nil || keys == nil {
		return Schedule{}, errors.New(`a retry schedule is an object, as {"schedule": "quadratic", "max_retries": 5}, ` +
			`or a list of delays, as ["5s", "5m", "30m"]`)
	}
	name, err := scheduleName(keys["schedule"])
	if err != nil {
		return Schedule{}, err
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if known := keysOf[name]; key != "schedule" && !slices.Contains(known, key) {
			return Schedule{}, fmt.Errorf("%s: a schedule that is %s has no such key; beside schedule, it takes %s", key, name, strings.Join(known, ", "))
		}
	}
	var s settings
	if err := json.Unmarshal(raw, &s); err != nil {
		var mistyped *json.UnmarshalTypeError
		if !errors.As(err, &mistyped) {
			return Schedule{}, fmt.Errorf("retry schedule: %w", err)
		}
		want := "a number, as 0.1"
		if mistyped.Field == "max_retries" {
			want = "a whole number, as 5"
		}
		return Schedule{}, fmt.Errorf("%s: it is %s here, but must be %s", mistyped.Field, mistyped.Value, want)
	}
	switch name {
	case "quadratic":
		return parseQuadratic(s)
	case "exponential":
		return parseExponential(s)
	default:
		return parseList(s.Schedule, s.Jitter)
	}
}

// scheduleName returns the word under "schedule", or "a list".
func scheduleName(raw json.RawMessage) (string, error) {
	const choice = `it is "quadratic", "exponential", or a list of delays, as ["5s", "5m", "30m"]`
	if len(raw) > 0 && raw[0] == '[' {
		return "a list", nil
	}
	var name string
	if raw == nil || json.Unmarshal(raw, &name) != nil {
		return "", errors.New("schedule: say which: " + choice)
	}
	if name != "quadratic" && name != "exponential" {
		return "", fmt.Errorf("schedule: there is no %q: %s", name, choice)
	}
	return name, nil
}

func parseQuadratic(s settings) (Schedule, error) {
	retries, err := parseRetries(s.MaxRetries)
	if err != nil {
		return Schedule{}, err
	}
	jitter, err := parseJitter(s.Jitter)
	if err != nil {
		return Schedule{}, err
	}
	return Schedule{kind: quadratic, retries: retries, jitter: jitter}, nil
}

func parseExponential(s settings) (Schedule, error) {
	out := Schedule{kind: exponential, factor: 2}
	var err error
	if out.retries, err = parseRetries(s.MaxRetries); err != nil {
		return Schedule{}, err
	}
	if out.jitter, err = parseJitter(s.Jitter); err != nil {
		return Schedule{}, err
	}
	if s.First == nil {
		return Schedule{}, errors.New(`first: an exponential schedule must say its first delay, as "5s"`)
	}
	if out.first, err = parseDelay("first", s.First); err != nil {
		return Schedule{}, err
	}
	if out.first == 0 {
		return Schedule{}, errors.New(`first: a delay of zero never grows: write a longer one, as "5s"`)
	}
	out.max = max(out.first, 24*time.Hour)
	if s.Max != nil {
		if out.max, err = parseDelay("max", s.Max); err != nil {
			return Schedule{}, err
		}
		if out.max < out.first {
			return Schedule{}, fmt.Errorf("max: %s is less than the first delay, %s", out.max, out.first)
		}
	}
	if s.Factor != nil {
		out.factor = *s.Factor
	}
	if out.factor < 1 || out.factor > 100 {
		return Schedule{}, fmt.Errorf("factor: %v is out of bounds: it must be from 1 to 100", out.factor)
	}
	return out, nil
}

func parseList(raw json.RawMessage, fraction *float64) (Schedule, error) {
	jitter, err := parseJitter(fraction)
	if err != nil {
		return Schedule{}, err
	}
	var entries []json.RawMessage
	if err := json.Unmarshal(raw, &entries); err != nil {
		return Schedule{}, fmt.Errorf("schedule: the list is not JSON: %w", err)
	}
	if len(entries) > MaxRetries {
		return Schedule{}, fmt.Errorf("schedule: a list of %d delays is too long: at most %d", len(entries), MaxRetries)
	}
	delays := make([]time.Duration, len(entries))
	for i, entry := range entries {
		if delays[i], err = parseDelay(fmt.Sprintf("schedule: delay %d", i+1), entry); err != nil {
			return Schedule{}, err
		}
	}
	return Schedule{kind: explicit, retries: len(delays), jitter: jitter, delays: delays}, nil
}

func parseRetries(n *int) (int, error) {
	if n == nil {
		return Default().retries, nil
	}
	if *n < 0 || *n > MaxRetries {
		return 0, fmt.Errorf("max_retries: %d is out of bounds: it must be from 0 to %d", *n, MaxRetries)
	}
	return *n, nil
}

func parseJitter(fraction *float64) (float64, error) {
	if fraction == nil {
		return 0, nil
	}
	if *fraction < 0 || *fraction > 1 {
		return 0, fmt.Errorf("jitter: %v is out of bounds: it is the part by which delays are lengthened at most, from 0 to 1", *fraction)
	}
	return *fraction, nil
}

func parseDelay(key string, raw json.RawMessage) (time.Duration, error) {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return 0, fmt.Errorf(`%s: %s is not a delay: write it with its unit in quotes, as "5s", "10m" or "2h"`, key, raw)
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf(`%s: %q is not a delay: write a number and its unit, as "5s", "10m" or "2h"`, key, text)
	}
	if d < 0 || d > MaxDelay {
		return 0, fmt.Errorf("%s: %q is out of bounds: a delay is from 0s to %.0fh (30 days)", key, text, MaxDelay.Hours())
	}
	return d, nil
}

// UnmarshalJSON is [Parse].
func (s *Schedule) UnmarshalJSON(raw []byte) error {
	parsed, err := Parse(raw)
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}

// MarshalJSON writes the schedule as the object that [Parse] reads, every key that applies written out.
func (s Schedule) MarshalJSON() ([]byte, error) {
	var out settings
	if s.jitter > 0 {
		out.Jitter = &s.jitter
	}
	switch s.kind {
	case explicit:
		texts := make([]string, len(s.delays))
		for i, d := range s.delays {
			texts[i] = d.String()
		}
		out.Schedule = quoted(texts)
	case exponential:
		out.Schedule, out.First, out.Max = quoted("exponential"), quoted(s.first.String()), quoted(s.max.String())
		out.Factor, out.MaxRetries = &s.factor, &s.retries
	default:
		out.Schedule, out.MaxRetries = quoted("quadratic"), &s.retries
	}
	return json.Marshal(out)
}

// quoted returns the JSON of strings.
func quoted[T string | []string](v T) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings always have a JSON form
	}
	return raw
}
