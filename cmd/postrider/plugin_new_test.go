package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// inModule runs go in a module of its own, without the network: what it needs is what this module needs.
func inModule(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "GOFLAGS=-mod=mod -buildvcs=false", "GOPROXY=off", "GOSUMDB=off", "GOWORK=off")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestANewPluginBuildsAndPassesItsTestsAndTheChecks(t *testing.T) {
	clone, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for role, files := range map[string]string{
		"resolver": "README.md go.mod main.go main_test.go postrider.yaml webhooks.yaml",
		"notifier": "README.md go.mod main.go main_test.go postrider.yaml",
	} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			top := shortTempDir(t)
			r := process(t, top, "plugin", "new", role, "my-plugin", "--replace", clone)
			if r.status != exitOK {
				t.Fatalf("exit status %d: %s", r.status, r.stderr)
			}
			contains(t, r.stdout, "A "+role+" in my-plugin:", "postrider plugin test ./my-plugin")
			dir := filepath.Join(top, "my-plugin")
			for name := range strings.FieldsSeq(files) {
				contains(t, r.stdout, "  "+name+"\n")
				if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
					t.Error(err)
				}
			}
			if unformatted := inModule(t, dir, "gofmt", "-l", "."); unformatted != "" {
				t.Errorf("not formatted: %s", unformatted)
			}
			inModule(t, dir, "go", "build", "-o", "my-plugin")
			inModule(t, dir, "go", "vet", "./...")
			contains(t, inModule(t, dir, "go", "test", "./..."), "ok  \tmy-plugin")

			args := []string{"plugin", "test", "./my-plugin"} // in its directory: with the configuration of its sample
			if role == "resolver" {
				args = append(args, "--call", `my-plugin::get {"id": 1}`)
			}
			if r := process(t, dir, args...); r.status != exitOK {
				t.Errorf("plugin test: exit status %d\n%s%s", r.status, r.stdout, r.stderr)
			}
			if role == "resolver" {
				plugins := filepath.Join(top, "plugins")
				if err := os.Mkdir(plugins, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename(filepath.Join(dir, "my-plugin"), filepath.Join(plugins, "my-plugin")); err != nil {
					t.Fatal(err)
				}
				contains(t, process(t, dir, "webhook", "check", "--plugin-dir", plugins).stdout, "my-plugin.item.saved", "ok (my-plugin)")
			}
		})
	}
}

func TestANewPluginFindsTheSDKWhereItCan(t *testing.T) {
	clone, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	made := func(term terminal, args ...string) (newPlugin, string) {
		t.Helper()
		var p newPlugin
		if err := json.Unmarshal([]byte(term.mustRun(append([]string{"plugin", "new", "notifier", "--json"}, args...)...)), &p); err != nil {
			t.Fatal(err)
		}
		module, err := os.ReadFile(filepath.Join(p.Dir, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		return p, string(module)
	}
	p, module := made(terminal{t: t}, "lost", "--dir", "here/lost")
	if p.Dir != "here/lost" || p.Replace != "" {
		t.Errorf("got %+v", p)
	}
	contains(t, module, "module lost\n", "\n// replace github.com/postrider/postrider => /path/to/postrider\n")
	contains(t, terminal{t: t}.mustRun("plugin", "new", "notifier", "lost"), "go mod edit -replace github.com/postrider/postrider=/path/to/postrider")

	p, module = made(terminal{t: t, executable: filepath.Join(clone, "bin", "postrider")}, "found")
	if p.Replace != clone {
		t.Errorf("got %+v, want the clone %s", p, clone)
	}
	contains(t, module, "\nreplace github.com/postrider/postrider => "+clone+"\n")
}

func TestPluginNewRefusesWhatCannotBe(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), []byte("years of work"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for want, args := range map[string][]string{
		`a plugin is a resolver or a notifier, not a "sender"`:       {"sender", "mail"},
		`the name "e mail" must consist of letters, digits`:          {"notifier", "e mail"},
		`the name "../mail" must consist of letters, digits`:         {"notifier", "../mail"},
		"plugin new wants resolver|notifier NAME: NAME is missing":   {"notifier"},
		dir + " is not empty: name another directory by --dir":       {"notifier", "mail", "--dir", dir},
		"--replace " + dir + ": there is no go.mod of github.com/po": {"notifier", "mail", "--replace", dir},
	} {
		r := terminal{t: t}.run(append([]string{"plugin", "new"}, args...)...)
		if r.status == exitOK {
			t.Errorf("%q succeeded", args)
		}
		contains(t, r.stderr, want)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the directory that was not empty holds %v, %v", entries, err)
	}
	if entries, err := os.ReadDir("."); err != nil || len(entries) != 0 {
		t.Errorf("the refused left %v, %v", entries, err)
	}
}
