package conformance

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/postrider/postrider/sdk/host"
)

var describes = Check{
	Name: "describes itself",
	Rule: "Describe answers the plugin's name, version, role and max_in_flight, and JSON Schemas of objects; always the same. A resolver offers one service or more, " +
		"in Describe or in the answer to Configure.",
	Advice: "Answer Describe with constants. Print nothing before the handshake line: everything that a plugin says before it is connected belongs on " +
		"standard error.",
	run: func(ctx context.Context, t *trial) error {
		first, err := t.start(ctx)
		if err != nil {
			return err
		}
		d := first.Process.Description()
		if strings.TrimSpace(d.Version) == "" {
			t.problem("it has no version")
		}
		t.object("the configuration", d.ConfigSchema)
		t.object("the settings", d.SettingsSchema)
		second, err := t.start(ctx)
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(d, second.Process.Description()) {
			t.problem("it describes itself differently when it is started again")
		}
		if d.Role == host.RoleNotifier {
			return nil
		}
		if err := t.configure(ctx, second); err != nil {
			return err
		}
		t.offers(second.Process.Description().Services)
		return nil
	},
}

// offers wants services, those that follow from the configuration included.
func (t *trial) offers(services []host.Service) {
	if len(services) == 0 {
		t.problem("it is a resolver and offers no service, even with its configuration")
	}
	offered := make(map[string]bool)
	for _, s := range services {
		name := s.Class + "::" + s.Method
		if offered[name] {
			t.problem("it offers %s twice", name)
		}
		offered[name] = true
		t.object(name, s.Arguments)
	}
	for _, call := range t.subject.Calls {
		if !offered[call.service()] {
			t.problem("it doesn't describe %s, which it is called with here", call.service())
		}
	}
}

// object wants the schema of an object, or none.
func (t *trial) object(of string, raw []byte) {
	if len(raw) > 0 && parse(raw).Type != "object" {
		t.problem(`the schema of %s is not that of an object: it must say {"type":"object", …}`, of)
	}
}

var refusesEarlyWork = Check{
	Name:   "refuses work before it is configured",
	Rule:   "A request that comes before Configure has accepted a configuration is answered with a failure.",
	Advice: "Keep a flag that Configure sets, and answer requests with a failure until then.",
	run: func(ctx context.Context, t *trial) error {
		p, err := t.start(ctx)
		if err != nil {
			return err
		}
		q, _, err := t.work(p)
		if err != nil {
			return err
		}
		a, err := p.answer(ctx, q)
		if err != nil {
			return err
		}
		if a.failure == nil {
			t.problem("it worked without a configuration, and answered %v", a)
		}
		return t.configure(ctx, p)
	},
}

var refusesBadConfiguration = Check{
	Name: "refuses a bad configuration",
	Rule: "Configure refuses, in a sentence that names the key, a configuration that isn't JSON, is no object, or has a key that is unknown, missing or of another " +
		"type; and takes a good one after that. Without a schema, every key is unknown.",
	Advice: "Check the configuration against the schema that you describe, and answer ConfigureResponse with a refusal: neither an error of the call nor the end of the " +
		"process.",
	run: func(ctx context.Context, t *trial) error {
		p, err := t.start(ctx)
		if err != nil {
			return err
		}
		for _, b := range misfits(p.Process.Description().ConfigSchema, t.subject.Configuration) {
			err := p.Process.Configure(ctx, b.document, loopback)
			var refusal *host.ConfigurationError
			switch {
			case err == nil:
				t.problem("it accepts the configuration %s", b.document)
				return nil // what is accepted can't be configured again
			case !errors.As(err, &refusal):
				return fmt.Errorf("the configuration %s: %w", b.document, err)
			case !strings.Contains(refusal.What, b.member):
				t.problem("it refuses the configuration %s without naming %q: %s", b.document, b.member, refusal.What)
			}
		}
		if err := t.configure(ctx, p); err != nil {
			t.problem("after others that it refused, a good configuration: %v", err)
		}
		return nil
	},
}

var isWell = Check{
	Name:   "is well",
	Rule:   "Check answers within 5 seconds, with a problem only if the plugin can't work.",
	Advice: "Answer Check without waiting for requests under way. A plugin that doesn't answer counts as stuck, and is killed.",
	run: func(ctx context.Context, t *trial) error {
		p, err := t.ready(ctx)
		if err != nil {
			return err
		}
		return t.well(ctx, p)
	},
}

func (t *trial) well(ctx context.Context, p *Plugin) error {
	ctx, cancel := context.WithTimeout(ctx, p.prompt())
	defer cancel()
	if err := p.Process.Health(ctx); err != nil {
		return p.brokenBy(fmt.Errorf("Check: %w", err))
	}
	return nil
}

// brokenBy adds how the process ended where that is the cause.
func (p *Plugin) brokenBy(err error) error {
	if errors.Is(err, host.ErrCrashed) {
		return p.broken(err)
	}
	return err
}

var endsWhenAsked = Check{
	Name:   "ends when it is asked to",
	Rule:   "SIGTERM ends the process within a second. The daemon sends it once every request is answered, and SIGKILL after that second.",
	Advice: "Don't catch SIGTERM, or exit in its handler. Don't wait there for connections to close: the daemon keeps its own open.",
	run: func(ctx context.Context, t *trial) error {
		p, err := t.ready(ctx)
		if err != nil {
			return err
		}
		if p.Process.PID() == 0 {
			return skipf("it runs inside of the test's process")
		}
		begin := time.Now()
		if err := p.Process.Close(ctx); err != nil {
			return err
		}
		if took := time.Since(begin); took >= stopGrace {
			t.problem("it was still there %v after SIGTERM, and had to be killed", stopGrace)
		}
		return nil
	},
}

// refused reports whether a failure says that trying again changes nothing, and names the member at fault.
func (a answer) refused(member string) bool {
	return a.failure != nil && permanent(a.failure.GetKind()) && strings.Contains(a.failure.GetMessage(), member)
}
