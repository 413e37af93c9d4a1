package sdktest

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/conformance"
	"github.com/postrider/postrider/sdk/host"
)

// Call is one call of a service.
type Call struct {
	Class     string
	Method    string
	Arguments string // a JSON object
}

func (c Call) checked() conformance.Call {
	return conformance.Call{Class: c.Class, Method: c.Method, Arguments: json.RawMessage(c.Arguments)}
}

// ResolverCheck is what [CheckResolver] needs to know.
type ResolverCheck struct {
	// Start starts the plugin, in one of this package's ways.
	Start func(t testing.TB) *Plugin

	// Configuration is one that the plugin accepts, a JSON object; "": none.
	Configuration string

	// Calls must succeed: one at least, better one for every service.
	Calls []Call

	// Slow is a call that takes over 10 seconds unless it is cancelled; nil: none is known, and what becomes of one is not looked at.
	Slow *Call
}

// CheckResolver checks what every resolver must do: describe itself; refuse, by name, arguments, services and configuration keys that are unknown,
// missing or of another type; answer many calls at once; end calls that are cancelled or out of time; survive what is malformed or large. The checks are those of
// `postrider plugin test`: see package [conformance].
func CheckResolver(t *testing.T, c ResolverCheck) {
	t.Helper()
	if len(c.Calls) == 0 {
		t.Fatal("CheckResolver needs a call that succeeds")
	}
	s := conformance.Subject{Configuration: json.RawMessage(c.Configuration)}
	for _, call := range c.Calls {
		s.Calls = append(s.Calls, call.checked())
	}
	if c.Slow != nil {
		slow := c.Slow.checked()
		s.Slow = &slow
	}
	check(t, host.RoleResolver, c.Start, s)
}

// NotifierCheck is what [CheckNotifier] needs to know.
type NotifierCheck struct {
	// Start starts the plugin, in one of this package's ways.
	Start func(t testing.TB) *Plugin

	// Configuration is one that the plugin accepts, a JSON object; "": none.
	Configuration string

	// Delivery must be delivered. What it leaves out, [Plugin.Notify] fills in; without a URL, it goes to a receiver of the checks.
	Delivery sdk.Delivery
}

// CheckNotifier checks what every notifier must do: describe itself; refuse configuration keys and settings that it doesn't know, by
// name; deliver in every envelope, and many at once; end attempts that are cancelled or out of time; hold nobody up for a receiver that doesn't answer; keep out of
// the operator's network; survive what is malformed or large. The checks are those of `postrider plugin test`: see package [conformance].
func CheckNotifier(t *testing.T, c NotifierCheck) {
	t.Helper()
	check(t, host.RoleNotifier, c.Start, conformance.Subject{Configuration: json.RawMessage(c.Configuration), Delivery: c.Delivery})
}

func check(t *testing.T, role string, start func(testing.TB) *Plugin, s conformance.Subject) {
	t.Helper()
	if got := start(t).Description().Role; got != role {
		t.Fatalf("it is a %s, and was to be checked as a %s", got, role)
	}
	for _, c := range conformance.Checks(role) {
		t.Run(c.Name, func(t *testing.T) {
			s.Start = func(context.Context) (*conformance.Plugin, error) { return start(t).plugin, nil }
			report(t, c, c.Run(t.Context(), s))
		})
	}
}

// report fails the test for what a check found wrong. What is skipped is only noted: an author can't always do something about it.
func report(t testing.TB, c conformance.Check, r conformance.Result) {
	t.Helper()
	for _, note := range r.Notes {
		t.Log(note)
	}
	for _, problem := range r.Problems {
		t.Error(problem)
	}
	if r.Verdict == conformance.Failed {
		t.Errorf("the rule: %s\nwhat to do: %s", c.Rule, c.Advice)
	}
}
