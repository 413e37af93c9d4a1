package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/postrider/postrider/core/config"
	"github.com/postrider/postrider/core/pluginhost"
	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/conformance"
	"github.com/postrider/postrider/sdk/host"
)

// conformanceTest is one `postrider plugin test`.
type conformanceTest struct {
	app      *app
	path     string
	json     bool
	verbose  bool
	config   string
	notifier string
	calls    []string
	slow     string
	delivery sdk.Delivery
	settings string
}

func (a *app) pluginTest() *cobra.Command {
	c := &cobra.Command{
		Use:   "test PATH",
		Short: "Check that a built plugin does what every plugin must do",
		Long: `Check that a built plugin, in whatever language it is written, does what every plugin must do. No daemon is needed: each check starts
the plugin, as a daemon would, and speaks the real protocol with it. The exit status is 1 where a check failed.

The plugin gets the configuration that postrider.yaml gives it, if there is one. A notifier delivers to a receiver that belongs to the
checks, unless --recipient names another one. A resolver is called with arguments made up from its schemas, unless --call says how it is
called with success.`,
		Example: `  postrider plugin test ./bin/notifier-mail
  postrider plugin test ./orders --config postrider.yaml --call 'Orders::get {"id": 1}' --slow-call 'Orders::export {"year": 2026}'
  postrider plugin test ./slack --recipient https://hooks.slack.com/services/… --settings '{"text": "a test"}'`,
		Args: takes("PATH"),
	}
	t := &conformanceTest{app: a}
	f := c.Flags()
	f.StringVar(&t.config, "config", "", "the configuration `file` of a daemon (default: postrider.yaml, if there is one)")
	f.StringVar(&t.notifier, "notifier", "", "use the configuration of this `name` under notifiers")
	f.StringArrayVar(&t.calls, "call", nil, "a `call` that a resolver answers with a payload, as 'CLASS::METHOD {\"id\": 1}'; again for more")
	f.StringVar(&t.slow, "slow-call", "", "a `call` that takes over 10 s unless it is cancelled")
	f.StringVar(&t.delivery.URL, "recipient", "", "a `URL` that a notifier can deliver to")
	f.StringVar(&t.delivery.Token, "verification-token", "", "the `token` to deliver with")
	f.StringVar(&t.settings, "settings", "", "the subscriber's settings to deliver with, a `JSON` object")
	f.BoolVarP(&t.verbose, "verbose", "v", false, "show on standard error what the plugin logs and prints")
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		t.path, t.json = args[0], *asJSON
		return t.run(c.Context())
	}
	return c
}

// conformanceReport is what --json prints.
type conformanceReport struct {
	File    string        `json:"file"`
	Name    string        `json:"name"`
	Version string        `json:"version"`
	Role    string        `json:"role"`
	Passed  int           `json:"passed"`
	Failed  int           `json:"failed"`
	Skipped int           `json:"skipped"`
	Checks  []checkReport `json:"checks"`
}

type checkReport struct {
	Name     string   `json:"name"` // completes the sentence "the plugin …"
	Verdict  string   `json:"verdict"`
	Rule     string   `json:"rule"`
	Problems []string `json:"problems,omitempty"` // what the plugin did wrong
	Advice   string   `json:"advice,omitempty"`   // what to do; left out unless the check failed
	Notes    []string `json:"notes,omitempty"`    // why it was skipped, and what was left out
	TookMS   float64  `json:"took_ms"`
}

func (t *conformanceTest) run(ctx context.Context) error {
	path, err := filepath.Abs(t.path)
	if err != nil {
		return err
	}
	start := func(ctx context.Context) (*conformance.Plugin, error) {
		return conformance.Launch(ctx, host.Config{Path: path, Env: pluginhost.Environment(), Logger: t.app.pluginLogger(t.verbose)})
	}
	subject, d, err := t.meet(ctx, start)
	if err != nil {
		return err
	}
	report := conformanceReport{File: path, Name: d.Name, Version: d.Version, Role: d.Role, Checks: []checkReport{}}
	if !t.json {
		t.app.sayf("%s %s, a %s\n", t.app.bold(printable(d.Name)), printable(d.Version), d.Role)
	}
	for _, check := range conformance.Checks(d.Role) {
		r := check.Run(ctx, subject)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		report.add(check, r)
		if !t.json {
			t.app.showCheck(check, r)
		}
	}
	return t.conclude(report)
}

// meet starts the plugin for the first time, to learn what it is and whether it takes what the command line says.
func (t *conformanceTest) meet(ctx context.Context, start func(context.Context) (*conformance.Plugin, error)) (conformance.Subject, host.Description, error) {
	p, err := start(ctx)
	if err != nil {
		return conformance.Subject{}, host.Description{}, err
	}
	defer func() {
		p.Process.Kill()
		<-p.Process.Done()
	}()
	d := p.Process.Description()
	s, err := t.subject(d)
	if err != nil {
		return s, d, err
	}
	s.Start = start
	if err := p.Process.Configure(ctx, s.Configuration, s.EgressAllow); err != nil {
		return s, d, fmt.Errorf("%w; give it one that it takes: --config FILE, where plugins.%s.config says it", err, d.Name)
	}
	offered := p.Process.Description().Services
	for _, call := range s.Calls {
		if !slices.ContainsFunc(offered, func(o host.Service) bool { return o.Class == call.Class && o.Method == call.Method }) {
			return s, d, usagef("--call %s::%s: %s offers no such service; `postrider plugin inspect %s` shows what it offers", call.Class, call.Method, d.Name, t.path)
		}
	}
	return s, d, nil
}

func (t *conformanceTest) conclude(report conformanceReport) error {
	if t.json {
		if err := t.app.printJSON(report); err != nil {
			return err
		}
	} else {
		t.app.sayf("\n%d passed, %d failed, %d skipped.", report.Passed, report.Failed, report.Skipped)
	}
	if report.Failed > 0 {
		return fmt.Errorf("%s fails %s that every plugin must pass", report.Name, count(report.Failed, "check"))
	}
	return nil
}

func (r *conformanceReport) add(check conformance.Check, result conformance.Result) {
	one := checkReport{
		Name: check.Name, Verdict: string(result.Verdict), Rule: check.Rule, Problems: result.Problems, Notes: result.Notes,
		TookMS: float64(result.Took.Microseconds()) / 1000,
	}
	switch result.Verdict {
	case conformance.Passed:
		r.Passed++
	case conformance.Failed:
		one.Advice = check.Advice
		r.Failed++
	case conformance.Skipped:
		r.Skipped++
	}
	r.Checks = append(r.Checks, one)
}

// showCheck prints what came of a check: a line where all is well.
func (a *app) showCheck(check conformance.Check, r conformance.Result) {
	switch r.Verdict {
	case conformance.Passed:
		a.sayf("%s   %s", a.green("passed "), check.Name)
	case conformance.Skipped:
		a.sayf("%s   %s", a.dim("skipped"), check.Name)
	case conformance.Failed:
		a.sayf("%s   %s", a.red("FAILED "), check.Name)
	}
	for _, problem := range r.Problems {
		a.sayf("          - %s", oneLine(problem))
	}
	for _, note := range r.Notes {
		a.sayf("          %s", a.dim("("+oneLine(note)+")"))
	}
	if r.Verdict == conformance.Failed {
		a.sayf("          The rule: %s\n          What to do: %s", check.Rule, check.Advice)
	}
}

// subject gathers what the command line and the configuration say about the plugin.
func (t *conformanceTest) subject(d host.Description) (conformance.Subject, error) {
	s := conformance.Subject{Delivery: t.delivery}
	for _, flag := range []struct {
		given bool
		name  string
		role  string
	}{
		{len(t.calls) > 0, "call", host.RoleResolver}, {t.slow != "", "slow-call", host.RoleResolver},
		{t.delivery.URL != "", "recipient", host.RoleNotifier}, {t.settings != "", "settings", host.RoleNotifier},
		{t.delivery.Token != "", "verification-token", host.RoleNotifier}, {t.notifier != "", "notifier", host.RoleNotifier},
	} {
		if flag.given && flag.role != d.Role {
			return s, usagef("--%s is for a %s, and %s is a %s", flag.name, flag.role, d.Name, d.Role)
		}
	}
	if t.settings != "" {
		s.Delivery.Settings = json.RawMessage(t.settings)
		if err := checkJSON(s.Delivery.Settings); err != nil {
			return s, usagef("--settings is not JSON: %v", err)
		}
	}
	for _, text := range t.calls {
		call, err := parseCall("call", text)
		if err != nil {
			return s, err
		}
		s.Calls = append(s.Calls, call)
	}
	if t.slow != "" {
		call, err := parseCall("slow-call", t.slow)
		if err != nil {
			return s, err
		}
		s.Slow = &call
	}
	c, err := t.app.configuration(t.config, nil)
	if err != nil {
		return s, err
	}
	s.EgressAllow = c.Egress.Allow
	s.Configuration, err = configurationOf(c, d.Name, t.notifier)
	return s, err
}

// parseCall reads a call: CLASS::METHOD and the JSON of its arguments.
func parseCall(flag, text string) (conformance.Call, error) {
	service, arguments, found := strings.Cut(text, "{")
	class, method, named := strings.Cut(strings.TrimSpace(service), "::")
	call := conformance.Call{Class: class, Method: method, Arguments: json.RawMessage(`{}`)}
	if found {
		call.Arguments = json.RawMessage("{" + arguments)
	}
	if !named || class == "" || method == "" {
		return call, usagef(`--%s %q can't be read: it takes CLASS::METHOD and arguments, as 'Orders::get {"id": 1}'`, flag, text)
	}
	if err := checkJSON(call.Arguments); err != nil {
		return call, usagef("--%s %s: the arguments of %s::%s are not JSON: %v", flag, text, class, method, err)
	}
	return call, nil
}

// configurationOf returns what a daemon's configuration gives to the plugin: its own, or that of the notifier that is asked for, or else that of the only
// notifier over it.
func configurationOf(c config.Config, plugin, notifier string) (json.RawMessage, error) {
	if notifier != "" {
		n, ok := c.Notifiers[notifier]
		if !ok || n.Plugin != plugin {
			return nil, fmt.Errorf("the configuration has no notifier %q over the plugin %q: correct --notifier, or write notifiers.%s", notifier, plugin, notifier)
		}
		return n.Config, nil
	}
	if own := c.Plugins[plugin].Config; own != nil {
		return own, nil
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(c.Notifiers)) {
		if n := c.Notifiers[name]; n.Plugin == plugin && n.Config != nil {
			names = append(names, name)
		}
	}
	switch len(names) {
	case 0:
		return nil, nil
	case 1:
		return c.Notifiers[names[0]].Config, nil
	}
	return nil, fmt.Errorf("several notifiers configure the plugin %q: choose one by --notifier, of %s", plugin, strings.Join(names, ", "))
}

// pluginLogger shows what a plugin says on standard error, where that is asked for.
func (a *app) pluginLogger(verbose bool) hclog.Logger {
	if !verbose {
		return hclog.NewNullLogger()
	}
	return hclog.New(&hclog.LoggerOptions{Output: a.stderr, Level: hclog.Debug, DisableTime: true})
}
