package conformance

import (
	"context"
	"fmt"

	"github.com/postrider/postrider/proto/pluginv1"
)

// calls returns the calls to make, and whether they must be answered with a payload: those that are known do, those made up needn't.
func (t *trial) calls(p *Plugin) (calls []Call, must bool) {
	if len(t.subject.Calls) > 0 {
		return t.subject.Calls, true
	}
	for _, s := range p.Process.Description().Services {
		arguments, err := sample(s.Arguments)
		if err != nil {
			t.note("%s::%s was left out: %v", s.Class, s.Method, err)
			continue
		}
		calls = append(calls, Call{Class: s.Class, Method: s.Method, Arguments: arguments})
	}
	return calls, false
}

var answersCalls = Check{
	Name:   "answers with a payload",
	Rule:   "A call is answered with JSON of up to 4 MiB, or with a failure that says in a sentence why there is none.",
	Advice: "Set either payload or failure. Use KIND_INVALID_ARGUMENTS and KIND_PERMANENT only for what trying again can't change.",
	run: func(ctx context.Context, t *trial) error {
		p, err := t.ready(ctx)
		if err != nil {
			return err
		}
		calls, must := t.calls(p)
		for _, call := range calls {
			a, err := p.answer(ctx, request{call: call})
			if err != nil {
				return fmt.Errorf("%s %s: %w", call.service(), call.Arguments, err)
			}
			switch wrong := a.wrong(); {
			case wrong != "":
				t.problem("its answer to %s %s %s", call.service(), call.Arguments, wrong)
			case a.failure != nil && must:
				t.problem("%s %s was answered with %v", call.service(), call.Arguments, a)
			case a.failure != nil:
				t.note("%s with the made-up arguments %s was answered with %v; name a call that succeeds to see a payload", call.service(), call.Arguments, a)
			}
		}
		if len(calls) == 0 {
			return skipf("no call is known")
		}
		return nil
	},
}

var refusesBadArguments = Check{
	Name: "refuses arguments that don't fit",
	Rule: "Arguments that aren't JSON, are no object, or have a member that is unknown, missing or of another type are answered with a failure of the kind " +
		"KIND_INVALID_ARGUMENTS that names the member.",
	Advice: "Check the arguments against the schema that you describe, before anything else.",
	run: func(ctx context.Context, t *trial) error {
		p, err := t.ready(ctx)
		if err != nil {
			return err
		}
		calls, _ := t.calls(p)
		for _, call := range calls {
			for _, s := range p.Process.Description().Services {
				if s.Class != call.Class || s.Method != call.Method {
					continue
				}
				for _, b := range misfits(s.Arguments, call.Arguments) {
					bad := call
					bad.Arguments = b.document
					a, err := p.answer(ctx, request{call: bad})
					if err != nil {
						return fmt.Errorf("%s %s: %w", call.service(), b.document, err)
					}
					if !a.refused(b.member) || a.failure.GetKind() != pluginv1.Failure_KIND_INVALID_ARGUMENTS {
						t.problem("%s %s was answered with %v; want KIND_INVALID_ARGUMENTS and a message that names %q", call.service(), b.document, a, b.member)
					}
				}
			}
		}
		if len(calls) == 0 {
			return skipf("no call is known")
		}
		return nil
	},
}

var refusesUnknownServices = Check{
	Name:   "refuses services that it doesn't offer",
	Rule:   "A call of a class or a method that the plugin doesn't describe is answered with a failure of the kind KIND_PERMANENT.",
	Advice: "Look the service up by class and method, both exactly, and refuse what isn't there.",
	run: func(ctx context.Context, t *trial) error {
		p, err := t.ready(ctx)
		if err != nil {
			return err
		}
		services := p.Process.Description().Services
		unknownCalls := []Call{{Class: unknown, Method: "get"}}
		if len(services) > 0 {
			unknownCalls = append(unknownCalls, Call{Class: services[0].Class, Method: unknown}, Call{Class: unknown, Method: services[0].Method})
		}
		for _, call := range unknownCalls {
			call.Arguments = []byte(`{}`)
			a, err := p.answer(ctx, request{call: call})
			if err != nil {
				return fmt.Errorf("%s: %w", call.service(), err)
			}
			if !a.refused("") {
				t.problem("%s was answered with %v; want a failure of the kind KIND_PERMANENT", call.service(), a)
			}
		}
		return nil
	},
}

// permanent reports whether trying again changes nothing.
func permanent(kind pluginv1.Failure_Kind) bool {
	return kind == pluginv1.Failure_KIND_PERMANENT || kind == pluginv1.Failure_KIND_INVALID_ARGUMENTS
}
