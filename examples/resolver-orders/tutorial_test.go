package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/postrider/postrider/sdk/host"
	"github.com/postrider/postrider/sdk/sdktest"
)

// TestTheTutorialWorksLiterally does what the README says, up to a built plugin: the same commands in a shell, the same file.
func TestTheTutorialWorksLiterally(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	program := blocks(t, readme, "go")[0]
	if lines := strings.Count(program, "\n"); lines >= 40 {
		t.Errorf("the tutorial's program has %d lines, and promises fewer than 40", lines)
	}
	shell := blocks(t, readme, "sh")
	setUp, build := shell[0], shell[1]
	if !strings.Contains(setUp, "go mod init") || !strings.Contains(build, "go build") {
		t.Fatalf("the README's first two shell blocks are not those that make a module and build it:\n%s\n%s", setUp, build)
	}

	clone, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	where := regexp.MustCompile(`(?m)^export POSTRIDER=.*$`)
	if !where.MatchString(setUp) {
		t.Fatal("the README's first shell block doesn't say where the clone is")
	}
	setUp = where.ReplaceAllLiteralString(setUp, "export POSTRIDER='"+clone+"'")
	dir := t.TempDir()
	run(t, dir, setUp+"cat >main.go <<'END_OF_PROGRAM'\n"+program+"END_OF_PROGRAM\n"+build)

	const class, method = `Magento\Customer\Api\CustomerRepositoryInterface`, "getById"
	built := filepath.Join(dir, "customers", "customers")
	sdktest.CheckResolver(t, sdktest.ResolverCheck{
		Start: func(t testing.TB) *sdktest.Plugin { return sdktest.Launch(t, built) },
		Calls: []sdktest.Call{{Class: class, Method: method, Arguments: `{"customerId":1}`}},
	})
	p := sdktest.Launch(t, built)
	if name := p.Description().Name; name != "customers" {
		t.Errorf("the plugin is called %q, want customers", name)
	}
	got, err := p.Resolve(t.Context(), class, method, `{"customerId":1}`)
	if want := `{"id":1,"email":"alice@example.com"}`; err != nil || got != want {
		t.Errorf("got %s (%v), want %s", got, err, want)
	}
	if !strings.Contains(string(readme), `"data":`+got) {
		t.Errorf("the README shows another payload than %s", got)
	}
	var failed *host.PluginError
	if _, err := p.Resolve(t.Context(), class, method, `{"customerId":2}`); !errors.As(err, &failed) || failed.Permanent || !strings.Contains(err.Error(), "no customer 2") {
		t.Errorf("an unknown customer: got %v, want an error that is tried again", err)
	}
}

// blocks returns the README's fenced blocks of one language.
func blocks(t *testing.T, readme []byte, language string) []string {
	t.Helper()
	var found []string
	for _, match := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllSubmatch(readme, -1) {
		found = append(found, string(match[1]))
	}
	if len(found) == 0 {
		t.Fatalf("the README has no block of %s", language)
	}
	return found
}

// run runs the script in dir. It looks up no checksums: the modules are those that this repository's go.sum has vouched for.
func run(t *testing.T, dir, script string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "sh", "-eu", "-c", script)
	command.Dir = dir
	command.Env = append(os.Environ(), "GOSUMDB=off", "GOFLAGS=-buildvcs=false", "GOWORK=off")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s\n%s", err, script, output)
	}
}
