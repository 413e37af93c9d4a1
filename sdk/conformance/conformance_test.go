package conformance_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postrider/postrider/sdk/conformance"
	"github.com/postrider/postrider/sdk/host"
)

// subject is the built plugin of testdata/subject.
var subject string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "conformance")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	subject = filepath.Join(dir, "subject")
	if out, err := exec.Command("go", "build", "-o", subject, "./testdata/subject").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the test's plugin: %v\n%s", err, out)
		return 1
	}
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// named returns what is to be checked of the subject that breaks a rule: it is what its file is called.
func named(t *testing.T, name string) conformance.Subject {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.Link(subject, path); err != nil {
		t.Fatal(err)
	}
	s := conformance.Subject{
		Start: func(ctx context.Context) (*conformance.Plugin, error) {
			return conformance.Launch(ctx, host.Config{Path: path})
		},
		Configuration: []byte(`{"greeting":"hello"}`),
	}
	if strings.HasPrefix(name, host.RoleResolver) {
		s.Calls = []conformance.Call{{Class: "Subject", Method: "get", Arguments: []byte(`{"id":1}`)}}
		s.Slow = &conformance.Call{Class: "Subject", Method: "wait", Arguments: []byte(`{}`)}
	}
	return s
}

func TestAPluginThatKeepsAllRulesPassesEveryCheck(t *testing.T) {
	for _, role := range []string{host.RoleResolver, host.RoleNotifier} {
		for _, check := range conformance.Checks(role) {
			t.Run(role+" "+check.Name, func(t *testing.T) {
				t.Parallel()
				if r := check.Run(t.Context(), named(t, role)); r.Verdict != conformance.Passed || len(r.Notes) > 0 {
					t.Errorf("got %s: %q, %q", r.Verdict, r.Problems, r.Notes)
				}
			})
		}
	}
}

func TestEachCheckFailsAPluginThatBreaksItsRule(t *testing.T) {
	faults := []struct {
		subject, check string
		want           string // in what is found wrong
	}{
		{"resolver-noisy", "describes itself", `prints "starting up" where a Postrider plugin prints its handshake`},
		{"resolver-unversioned", "describes itself", "it has no version"},
		{"notifier-fickle", "describes itself", "differently when it is started again"},
		{"notifier-schemaless", "describes itself", "the schema of the configuration is not that of an object"},
		{"resolver-doubled", "describes itself", "it offers Subject::get twice"},
		{"resolver-idle", "describes itself", "offers no service"},
		{"notifier-open", "lets nobody but the daemon in", "it answers a client without a certificate"},
		{"resolver-eager", "refuses work before it is configured", "it worked without a configuration"},
		{"notifier-eager", "refuses work before it is configured", "it worked without a configuration"},
		{"resolver-gullible", "refuses a bad configuration", "it accepts the configuration []"},
		{"resolver-nameless", "refuses a bad configuration", `without naming "postrider_unknown"`},
		{"notifier-abrupt", "refuses a bad configuration", "Configure: rpc error"},
		{"notifier-offended", "refuses a bad configuration", "a good configuration: plugin subject refuses"},
		{"resolver-ill", "is well", "out of sorts"},
		{"resolver-garbled", "answers with a payload", "not valid JSON"},
		{"resolver-speechless", "answers with a payload", "a failure without a message"},
		{"notifier-garbled", "delivers in every envelope", "an outcome without a status"},
		{"notifier-speechless", "delivers in every envelope", "gives no reason"},
		{"resolver-careless", "refuses arguments that don't fit", `want KIND_INVALID_ARGUMENTS and a message that names "id"`},
		{"resolver-vague", "refuses arguments that don't fit", "KIND_UNSPECIFIED"},
		{"resolver-pretending", "refuses services that it doesn't offer", "want a failure of the kind KIND_PERMANENT"},
		{"notifier-careless", "refuses settings that it doesn't know", `that names "path"`},
		{"notifier-vague", "refuses settings that it doesn't know", "KIND_UNSPECIFIED"},
		{"notifier-roaming", "keeps out of the operator's network", "although egress_allow is empty"},
		{"resolver-stuttering", "answers many at once", "not the id of a request in flight"},
		{"notifier-stuttering", "answers many at once", "not the id of a request in flight"},
		{"notifier-rounding", "answers many at once", "it answered 9223372036854775808, which is not the id"},
		{"resolver-forgetful", "answers many at once", "16 requests at once, the 2. of them: there is no answer within"},
		{"resolver-strict", "ignores what it doesn't know", "a field of a later version got a failure"},
		{"notifier-nervous", "ignores what it doesn't know", "panic: cancelled 1, which isn't there"},
		{"resolver-fragile", "survives hostile requests", "exit status 3"},
		{"notifier-fragile", "survives hostile requests", "exit status 3"},
		{"resolver-small", "takes up to 4 MiB", "1 requests of 4 MiB in one message: there is no answer"},
		{"notifier-small", "takes up to 4 MiB", "1 requests of 4 MiB in one message: there is no answer"},
		{"resolver-deaf", "answers what is cancelled", "1 requests under way were cancelled: there is no answer within"},
		{"notifier-deaf", "answers what is cancelled", "1 requests under way were cancelled: there is no answer within"},
		{"notifier-sulking", "answers what is cancelled", "there is no answer within"},
		{"resolver-timeless", "keeps to its deadline", "there is no answer within"},
		{"notifier-timeless", "keeps to its deadline", "there is no answer within"},
		{"resolver-serial", "holds nobody up", "still under way: there is no answer within"},
		{"notifier-serial", "holds nobody up", "not all of them are under way"},
		{"resolver-immortal", "ends when it is asked to", "had to be killed"},
	}
	seen := make(map[string]bool)
	for _, f := range faults {
		role, _, _ := strings.Cut(f.subject, "-")
		seen[role+f.check] = true
		t.Run(f.subject+" "+f.check, func(t *testing.T) {
			t.Parallel()
			checks := conformance.Checks(role)
			i := slices.IndexFunc(checks, func(c conformance.Check) bool { return c.Name == f.check })
			if i < 0 {
				t.Fatalf("no check of a %s is called %q", role, f.check)
			}
			s := named(t, f.subject)
			if strings.Contains(f.want, "there is no answer") || strings.Contains(f.want, "under way") || strings.Contains(f.want, "which is not the id") {
				s.Patience = 2 * time.Second // it is used up
			}
			r := checks[i].Run(t.Context(), s)
			if r.Verdict != conformance.Failed || !strings.Contains(strings.Join(r.Problems, "\n"), f.want) {
				t.Errorf("got %s: %q\nwant %q", r.Verdict, r.Problems, f.want)
			}
		})
	}
	for _, role := range []string{host.RoleResolver, host.RoleNotifier} {
		for _, check := range conformance.Checks(role) {
			if !seen[host.RoleResolver+check.Name] && !seen[host.RoleNotifier+check.Name] {
				t.Errorf("no plugin breaks the rule of %q", check.Name)
			}
		}
	}
}
