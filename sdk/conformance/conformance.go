// Package conformance checks what every plugin must do, in whatever language it is written, by speaking the real protocol with it: the rules are those of
// proto/README.md. `postrider plugin test` runs the checks on a built binary, and package sdktest in the test of a plugin's author.
//
// Start reading at [Checks]. Each check starts a plugin of its own, so that what breaks one says nothing about the next. plugin.go and conversation.go are
// how a check sees, and sends, the very messages of a stream; the files checks_….go are the checks.
package conformance

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/host"
)

// Subject is the plugin to be checked, and what there is to know about it.
type Subject struct {
	// Start starts the plugin, by [Launch] or [Attach]. It is called at least once for each check, which ends what it started.
	Start func(ctx context.Context) (*Plugin, error)

	// Configuration is one that the plugin accepts, a JSON object; nil: none.
	Configuration json.RawMessage

	// EgressAllow is what the plugin may reach in the operator's network, beside the loopback addresses.
	EgressAllow []string

	// Calls must be answered with a payload. Where there are none, the checks make up arguments from the schemas of a resolver's services, and take a
	// failure for an answer too.
	Calls []Call

	// Patience is how long the plugin may take for anything in which it doesn't wait for somebody else; 0: 10 s.
	Patience time.Duration

	// Slow is a call that takes longer than Patience unless it is cancelled; nil: none is known, and what needs one is skipped.
	Slow *Call

	// Delivery must be delivered. What it leaves out is filled in; left out, its URL is that of a receiver which belongs to the checks.
	Delivery sdk.Delivery
}

// Call is a call of a resolver's service.
type Call struct {
	Class     string
	Method    string
	Arguments json.RawMessage // a JSON object
}

func (c Call) service() string { return c.Class + "::" + c.Method }

// Check is one rule, and how it is looked at.
type Check struct {
	Name   string // completes the sentence "the plugin …"
	Rule   string // what the protocol asks for
	Advice string // what to do in a plugin that breaks the rule
	run    func(context.Context, *trial) error
}

// Verdict is what came of a check.
type Verdict string

// The verdicts.
const (
	Passed  Verdict = "passed"
	Failed  Verdict = "failed"
	Skipped Verdict = "skipped"
)

// Result is what a check found.
type Result struct {
	Verdict  Verdict
	Problems []string // what the plugin did wrong
	Notes    []string // why it was skipped, and what was left out
	Took     time.Duration
}

// Checks lists what a resolver ([host.RoleResolver]), or a notifier, must pass.
func Checks(role string) []Check {
	first := []Check{describes, keepsStrangersOut, refusesEarlyWork, refusesBadConfiguration, isWell}
	last := []Check{answersMany, ignoresUnknowns, survivesHostility, takesLargeRequests, answersCancelled, keepsToDeadline, holdsNobodyUp, endsWhenAsked}
	own := []Check{answersCalls, refusesBadArguments, refusesUnknownServices}
	if role == host.RoleNotifier {
		own = []Check{delivers, refusesUnknownSettings, keepsOutOfTheNetwork}
	}
	return slices.Concat(first, own, last)
}

// timeout bounds one check. A plugin that is stuck is killed then, which ends whatever waits for it.
const timeout = time.Minute

// Run runs the check. It doesn't return before everything that it started has ended.
func (c Check) Run(ctx context.Context, s Subject) Result {
	begin := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("the check was not over after %v", timeout))
	defer cancel()
	s.Patience = cmp.Or(s.Patience, 10*time.Second)
	t := &trial{subject: s}
	err := c.run(ctx, t)
	t.end()
	r := Result{Verdict: Passed, Problems: t.problems, Notes: t.notes, Took: time.Since(begin)}
	why, skipped := asSkip(err)
	switch {
	case skipped:
		r.Notes = append(r.Notes, why.Error())
		r.Verdict = Skipped
	case err != nil && ctx.Err() != nil:
		r.Problems = append(r.Problems, fmt.Sprintf("%v: %v", context.Cause(ctx), err))
	case err != nil:
		r.Problems = append(r.Problems, err.Error())
	}
	if len(r.Problems) > 0 {
		r.Verdict = Failed
	}
	return r
}

// skipError is the error of a check that can't be made, and says why.
type skipError struct{ error }

func skipf(format string, args ...any) error { return skipError{fmt.Errorf(format, args...)} }

// asSkip returns the reason for which a part of a check can't be made, if err is one.
func asSkip(err error) (why error, skipped bool) {
	var skip skipError
	skipped = errors.As(err, &skip)
	return skip.error, skipped
}

// trial is one run of a check.
type trial struct {
	subject  Subject
	plugins  []*Plugin
	receiver *receiver // nil until it is asked for
	problems []string
	notes    []string
}

// problem records that the plugin broke the rule. The check goes on.
func (t *trial) problem(format string, args ...any) {
	t.problems = append(t.problems, fmt.Sprintf(format, args...))
}

func (t *trial) note(format string, args ...any) {
	note := fmt.Sprintf(format, args...)
	if !slices.Contains(t.notes, note) {
		t.notes = append(t.notes, note)
	}
}

// start starts the plugin.
func (t *trial) start(ctx context.Context) (*Plugin, error) {
	p, err := t.subject.Start(ctx)
	if err != nil {
		return nil, fmt.Errorf("it can't be started: %w", err)
	}
	p.patience = t.subject.Patience
	t.plugins = append(t.plugins, p)
	context.AfterFunc(ctx, p.Process.Kill)
	return p, nil
}

// ready starts the plugin and configures it.
func (t *trial) ready(ctx context.Context) (*Plugin, error) {
	p, err := t.start(ctx)
	if err != nil {
		return nil, err
	}
	if err := t.configure(ctx, p); err != nil {
		return nil, fmt.Errorf("%w (give the checks a configuration that it takes)", err)
	}
	return p, nil
}

// loopback is where the receivers of checks and tests are.
var loopback = []string{"127.0.0.0/8", "::1"}

func (t *trial) configure(ctx context.Context, p *Plugin) error {
	return p.Process.Configure(ctx, t.subject.Configuration, slices.Concat(loopback, t.subject.EgressAllow))
}

// end ends what the check started, and records what no plugin may do in any check.
func (t *trial) end() {
	for _, p := range t.plugins {
		t.problems = append(t.problems, p.conversation.strays()...)
		select {
		case <-p.Process.Done():
			if err := p.Process.Err(); err != nil {
				t.problem("its process ended: %v", err)
			}
		default:
		}
		p.Process.Kill()
		<-p.Process.Done()
	}
	if t.receiver != nil {
		t.receiver.close()
	}
}
