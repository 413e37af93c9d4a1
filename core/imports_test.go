package core_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/postrider/postrider"

// sourceFile is one Go file of the module, as far as the rules look at it.
type sourceFile struct {
	path    string // from the top, with slashes
	imports []string
}

func (f sourceFile) dir() string  { return path.Dir(f.path) }
func (f sourceFile) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

// within reports whether a folder is top or lies below it.
func within(dir, top string) bool { return dir == top || strings.HasPrefix(dir, top+"/") }

// mayImport says which folders of this module each part of it may import beside itself. The longest match decides; what has no entry may import
// anything. "core" is the domain package alone, every other folder stands for those below it too. Tests keep to it, but for the suites of coretest and
// testsMayImport.
var mayImport = map[string][]string{
	"proto":           {},
	"sdk":             {"proto"},
	"plugins":         {"sdk"},
	"examples":        {"sdk"},
	"core/crew":       {},
	"core/retry":      {},
	"core/spelling":   {},
	"core/strictyaml": {"core/spelling"},
	"core/config":     {"core", "core/retry", "core/spelling", "core/strictyaml"},
	"core/eventjson":  {"core"},
	"core/definition": {"core", "core/spelling", "core/strictyaml"},
	"core/dispatch":   {"core", "core/crew", "core/retry"},
	"core/bolt":       {"core", "core/crew"},
	"core/pluginhost": {"core", "core/spelling", "sdk"},
	"core/httpapi":    {"core", "core/eventjson", "core/retry", "core/spelling"},
	"core/rabbitmq":   {"core", "core/crew", "core/eventjson"},
	"core/coretest":   {"core"},
}

// testsMayImport says what else the tests of a folder may import: a queue without a store of its own is tested with the embedded one.
var testsMayImport = map[string][]string{
	"core/rabbitmq": {"core/bolt"},
}

// standardOnly lists the folders that import the standard library alone.
var standardOnly = []string{"core", "core/crew", "core/eventjson", "core/retry", "core/spelling"}

// reserved says which folders alone may import a library.
var reserved = map[string][]string{
	"github.com/hashicorp/go-plugin": {"sdk", "sdk/host"},
	"github.com/rabbitmq/amqp091-go": {"core/rabbitmq"},
	"go.etcd.io/bbolt":               {"core/bolt"},
}

// violations returns a sentence for each import that the layout of the project forbids.
func violations(files []sourceFile) []string {
	var found []string
	for _, file := range files {
		for _, imported := range file.imports {
			if why := forbidden(file, imported); why != "" {
				found = append(found, fmt.Sprintf("%s imports %s: %s", file.path, imported, why))
			}
		}
	}
	return found
}

// forbidden says why a file must not import something, or "".
func forbidden(file sourceFile, imported string) string {
	dir := file.dir()
	if local, ok := strings.CutPrefix(imported, module+"/"); ok {
		if dir == "core" && !file.isTest() {
			return "core imports the standard library only"
		}
		if file.isTest() && (within(local, "core/coretest") || slices.Contains(testsMayImport[dir], local)) {
			return ""
		}
		return forbiddenLocal(dir, local)
	}
	if file.isTest() {
		return ""
	}
	if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") && slices.Contains(standardOnly, dir) {
		return dir + " imports the standard library only"
	}
	for library, folders := range reserved {
		if within(imported, library) && !slices.Contains(folders, dir) {
			return fmt.Sprintf("only %s may", strings.Join(folders, " and "))
		}
	}
	forTests := func(folder string) bool { return strings.HasSuffix(folder, "test") }
	if within(imported, "testing") && !slices.ContainsFunc(strings.Split(dir, "/"), forTests) {
		return "testing belongs into tests, and into packages whose name ends in test, or that lie below one"
	}
	return ""
}

func forbiddenLocal(dir, local string) string {
	part := ""
	for candidate := range mayImport {
		if within(dir, candidate) && len(candidate) > len(part) {
			part = candidate
		}
	}
	if part == "" || within(local, part) {
		return ""
	}
	allowed := mayImport[part]
	if slices.ContainsFunc(allowed, func(top string) bool { return local == top || top != "core" && within(local, top) }) {
		return ""
	}
	return fmt.Sprintf("of this module, %s may import %s only", part, strings.Join(append([]string{"itself"}, allowed...), " and "))
}

// allowedTop is all that may be seen at the top level, beside dot files.
var allowedTop = []string{"core", "plugins", "sdk", "proto", "cmd", "examples", "go.mod", "go.sum", "Makefile", "README.md", "LICENSE"}

// strangers returns the top-level names among paths that don't belong there.
func strangers(paths []string) []string {
	var found []string
	for _, p := range paths {
		top, _, _ := strings.Cut(p, "/")
		if !strings.HasPrefix(top, ".") && !slices.Contains(allowedTop, top) && !slices.Contains(found, top) {
			found = append(found, top)
		}
	}
	return found
}

func TestEveryPackageKeepsToTheImportRules(t *testing.T) {
	var files []sourceFile
	for _, top := range allowedTop {
		root := filepath.Join("..", top)
		if info, err := os.Stat(root); err != nil || !info.IsDir() {
			continue
		}
		files = append(files, sourceFiles(t, root)...)
	}
	if len(files) == 0 {
		t.Fatal("no Go file was found: the rules look at nothing")
	}
	for _, violation := range violations(files) {
		t.Error(violation)
	}
}

// sourceFiles parses the imports of all Go files below a folder, whatever they are built for.
func sourceFiles(t *testing.T, root string) []sourceFile {
	var files []sourceFile
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(name) != ".go" {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel("..", name)
		if err != nil {
			return err
		}
		file := sourceFile{path: filepath.ToSlash(relative)}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			file.imports = append(file.imports, imported)
		}
		files = append(files, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestTheTopLevelHoldsNothingElse(t *testing.T) {
	// What is committed, not what lies around: whoever tries the daemon in a clone may leave files of their own.
	out, err := exec.Command("git", "-c", "safe.directory=*", "-C", "..", "ls-files").Output()
	if err != nil {
		t.Skipf("not a git clone, or no git here: %v", err)
	}
	for _, name := range strangers(strings.Fields(string(out))) {
		t.Errorf("%s stands at the top level, where only these belong: %s", name, strings.Join(allowedTop, ", "))
	}
}

func TestTheRulesCatchWhatTheyForbid(t *testing.T) {
	for _, test := range []struct {
		file, imported string
		want           string // "": allowed
	}{
		{"sdk/serve.go", module + "/core", "of this module, sdk may import itself and proto only"},
		{"sdk/serve_test.go", module + "/core/bolt", "of this module, sdk may import itself and proto only"},
		{"sdk/sdktest/run.go", module + "/sdk/host", ""},
		{"sdk/host/launch.go", module + "/proto/pluginv1", ""},
		{"plugins/notifier-http/main.go", module + "/core/retry", "of this module, plugins may import itself and sdk only"},
		{"plugins/notifier-http/main.go", module + "/plugins/internal/post", ""},
		{"examples/resolver-orders/main.go", module + "/core", "of this module, examples may import itself and sdk only"},
		{"proto/pluginv1/a.go", module + "/sdk", "of this module, proto may import itself only"},
		{"core/queue.go", "go.yaml.in/yaml/v3", "core imports the standard library only"},
		{"core/retry/schedule.go", "golang.org/x/time/rate", "core/retry imports the standard library only"},
		{"core/retry/schedule.go", module + "/core", "of this module, core/retry may import itself only"},
		{"core/retry/schedule_test.go", "pgregory.net/rapid", ""},
		{"core/queue.go", "encoding/json", ""},
		{"core/bolt/queue.go", module + "/core", ""},
		{"core/bolt/queue.go", module + "/core/dispatch", "of this module, core/bolt may import itself and core and core/crew only"},
		{"core/bolt/queue.go", module + "/core/coretest", "of this module, core/bolt may import itself and core and core/crew only"},
		{"core/bolt/queue_test.go", module + "/core/coretest", ""},
		{"core/rabbitmq/queue_test.go", module + "/core/bolt", ""},
		{"core/rabbitmq/queue.go", module + "/core/bolt", "of this module, core/rabbitmq may import itself and core and core/crew and core/eventjson only"},
		{"core/pluginhost/host.go", module + "/sdk/host", ""},
		{"core/queue.go", module + "/core/retry", "core imports the standard library only"},
		{"core/queue_test.go", module + "/core/bolt", ""},
		{"core/pluginhost/host.go", "github.com/hashicorp/go-plugin", "only sdk and sdk/host may"},
		{"sdk/sdktest/run.go", "github.com/hashicorp/go-plugin/runner", "only sdk and sdk/host may"},
		{"sdk/host/launch.go", "github.com/hashicorp/go-plugin", ""},
		{"core/dispatch/engine.go", "go.etcd.io/bbolt", "only core/bolt may"},
		{"core/bolt/db.go", "go.etcd.io/bbolt", ""},
		{"core/bolt/db.go", "github.com/rabbitmq/amqp091-go", "only core/rabbitmq may"},
		{"core/daemon/daemon.go", "testing", "testing belongs into tests"},
		{"cmd/postrider/main.go", "testing/fstest", "testing belongs into tests"},
		{"core/coretest/queue.go", "testing", ""},
		{"core/coretest/chaos/chaos.go", "testing", ""},
		{"sdk/sdktest/run.go", "testing", ""},
		{"core/daemon/daemon_test.go", "testing", ""},
	} {
		got := violations([]sourceFile{{path: test.file, imports: []string{test.imported}}})
		switch {
		case test.want == "" && len(got) > 0:
			t.Errorf("got %q, want it allowed", got)
		case test.want != "" && (len(got) != 1 || !strings.Contains(got[0], test.file+" imports "+test.imported+": "+test.want)):
			t.Errorf("%s imports %s: got %q, want %q", test.file, test.imported, got, test.want)
		}
	}
}

func TestAStrangerAtTheTopLevelIsCaught(t *testing.T) {
	got := strangers([]string{"core/doc.go", ".ci/run", ".gitignore", "go.mod", "docs/a.md", "docs/b.md", "vendor.go"})
	if want := []string{"docs", "vendor.go"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
