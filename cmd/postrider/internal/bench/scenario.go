package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Scenario is one thing to measure.
type Scenario struct {
	Name  string // what --scenario takes
	About string // what it measures, in one line
	Long  bool   // it takes minutes: in a run of all scenarios, once is enough
	Own   bool   // it needs a daemon of its own: to stop and start, or with plugins of its own

	measure func(context.Context, *lab) error // puts what it finds into the lab's report
}

// Scenarios returns all of them, the default first.
func Scenarios() []Scenario {
	return []Scenario{
		burst(), batches(), openLoop(), fanOut(), slowEndpoint(), failingEndpoint(), neighbours(), piledUp(), resolver(),
		retries(), coldStart(), idle(), manySubscribers(), backlog(),
	}
}

// Find returns the scenarios that names lists, separated by commas; "all" are all of them.
func Find(names string) ([]Scenario, error) {
	all := Scenarios()
	if names == "all" {
		return all, nil
	}
	var found []Scenario
	for name := range strings.SplitSeq(names, ",") {
		known := len(found)
		for _, s := range all {
			if s.Name == strings.TrimSpace(name) {
				found = append(found, s)
			}
		}
		if len(found) == known {
			return nil, fmt.Errorf("there is no scenario %q: it is all, or of %s", name, nameList(all))
		}
	}
	return found, nil
}

func nameList(scenarios []Scenario) string {
	var names []string
	for _, s := range scenarios {
		names = append(names, s.Name)
	}
	return strings.Join(names, ", ")
}

// run measures the scenario once.
func (s Scenario) run(ctx context.Context, with Settings) (_ Report, err error) {
	if s.Own && with.URL != "" {
		return Report{}, errors.New("it needs a daemon of its own, with plugins of its choice, to stop and to start: leave out --url")
	}
	l, err := newLab(s.Name, with)
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	if err := s.measure(ctx, l); err != nil {
		return l.report, err
	}
	return l.report, nil
}
