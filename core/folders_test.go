package core_test

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/core/config"
	"github.com/postrider/postrider/sdk/host"
)

// pluginFolders are all folders that hold a plugin.
func pluginFolders(t *testing.T) (folders []string) {
	t.Helper()
	for _, pattern := range []string{"../plugins/*", "../examples/notifier-*", "../examples/resolver-*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		folders = append(folders, found...)
	}
	folders = slices.DeleteFunc(folders, func(f string) bool {
		info, err := os.Stat(f)
		return err != nil || !info.IsDir() || slices.Contains([]string{"internal", "testdata"}, filepath.Base(f))
	})
	if len(folders) < 3 {
		t.Fatalf("only %v were found", folders)
	}
	return folders
}

// there reports whether a folder has a file that fits one of the patterns.
func there(folder string, patterns ...string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		found, err := filepath.Glob(filepath.Join(folder, pattern))
		return err == nil && len(found) > 0
	})
}

func TestEveryPluginsFolderHasCodeTestReadmeAndSample(t *testing.T) {
	for _, folder := range pluginFolders(t) {
		for what, patterns := range map[string][]string{
			"code": {"main.go", "package.json"}, "a test": {"*_test.go"}, "a README": {"README.md"}, "a sample configuration": {"postrider.yaml"},
		} {
			if !there(folder, patterns...) {
				t.Errorf("%s has no %s", folder, strings.TrimPrefix(what, "a "))
			}
		}
	}
}

func TestEveryPluginsReadmeAndSampleAgreeWithWhatItSaysOfItself(t *testing.T) {
	bin := t.TempDir()
	for _, folder := range pluginFolders(t) {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			path := filepath.Join(bin, filepath.Base(folder))
			if there(folder, "package.json") {
				path = script(t, folder)
			} else if out, err := exec.Command("go", "build", "-o", path, folder).CombinedOutput(); err != nil {
				t.Fatalf("build: %v\n%s", err, out)
			}
			p, err := host.Launch(t.Context(), host.Config{Path: path, Env: []string{"PATH=" + os.Getenv("PATH")}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				p.Kill()
				<-p.Done()
			})
			checkFolder(t, folder, p.Description())
		})
	}
}

// script returns what a folder's package.json names as its program. Where Node.js, or what the program stands on, is not installed, the test fails;
// where that is allowed, it is skipped.
func script(t *testing.T, folder string) string {
	t.Helper()
	_, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat(filepath.Join(folder, "node_modules"))
	}
	switch {
	case err == nil:
	case os.Getenv("SKIP_SERVICES") == "1":
		t.Skipf("not run, as SKIP_SERVICES=1 allows: %v", err)
	default:
		t.Fatalf("%v: `make test` installs it where it may; else install Node.js and run npm ci in %s, or set SKIP_SERVICES=1 to leave it out", err, folder)
	}
	content, err := os.ReadFile(filepath.Join(folder, "package.json"))
	if err != nil {
		t.Fatal(err)
	}
	var program struct{ Bin string }
	if err := json.Unmarshal(content, &program); err != nil || program.Bin == "" {
		t.Fatalf("package.json names no bin (%v)", err)
	}
	path, err := filepath.Abs(filepath.Join(folder, program.Bin))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func checkFolder(t *testing.T, folder string, d host.Description) {
	readme, err := os.ReadFile(filepath.Join(folder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	settings, err := os.ReadFile(filepath.Join(folder, "settings.json"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	sample, err := config.Load(filepath.Join(folder, "postrider.yaml"), nil, nil)
	if err != nil {
		t.Fatalf("the sample: %v", err)
	}
	for _, problem := range disagreements(d, string(readme), sample, settings) {
		t.Error(problem)
	}
}

// disagreements returns a sentence for each thing that the files of a plugin's folder say otherwise than the plugin.
func disagreements(d host.Description, readme string, sample config.Config, settings []byte) (found []string) {
	say := func(s string) { found = append(found, s) }
	if !strings.HasPrefix(readme, "# "+d.Name+": ") {
		say("the README doesn't begin with \"# " + d.Name + ": \", which is what the plugin calls itself")
	}
	known := make(map[string]bool)
	for what, raw := range map[string]json.RawMessage{"configuration": d.ConfigSchema, "settings": d.SettingsSchema} {
		for key := range propertiesOf(raw, known) {
			if !regexp.MustCompile("`" + regexp.QuoteMeta(key) + "[`.:]|(?m)^\\s*" + regexp.QuoteMeta(key) + ":").MatchString(readme) {
				say("the README says nothing of the key " + key + " of the " + what)
			}
		}
	}
	for _, key := range documentedKeys(readme) {
		for part := range strings.SplitSeq(key, ".") {
			if !known[part] {
				say("the README has a key " + key + ", which the plugin doesn't take")
			}
		}
	}
	names := 0
	check := func(where string, schema, document json.RawMessage) {
		names++
		if len(document) == 0 {
			return
		}
		s, err := host.ParseSchema(schema)
		if err != nil || s == nil {
			say("the sample configures " + where + ", and the plugin takes nothing")
		} else if err := s.Check(document, "key"); err != nil {
			say("the sample's " + where + ": " + err.Error())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(sample.Plugins)) {
		if name != d.Name {
			say("the sample configures plugins." + name + ", which is another")
			continue
		}
		check("plugins."+name, d.ConfigSchema, sample.Plugins[name].Config)
	}
	for _, name := range slices.Sorted(maps.Keys(sample.Notifiers)) {
		if sample.Notifiers[name].Plugin == d.Name {
			check("notifiers."+name, d.ConfigSchema, sample.Notifiers[name].Config)
		}
	}
	if settings != nil {
		check("settings.json", d.SettingsSchema, settings)
	}
	if names == 0 {
		say("the sample doesn't name the plugin " + d.Name)
	}
	return found
}

// propertiesOf returns the keys of a schema's object, and notes those of all objects in it.
func propertiesOf(raw json.RawMessage, known map[string]bool) map[string]json.RawMessage {
	var schema struct {
		Properties           map[string]json.RawMessage
		Items                json.RawMessage
		AdditionalProperties json.RawMessage
	}
	if json.Unmarshal(raw, &schema) != nil {
		return nil // none, or one that is just true or false
	}
	for key, property := range schema.Properties {
		known[key] = true
		propertiesOf(property, known)
	}
	propertiesOf(schema.Items, known)
	propertiesOf(schema.AdditionalProperties, known)
	return schema.Properties
}

var (
	keyTable = regexp.MustCompile(`(?m)^\| key \|.*\n\|[-|]+\n((?:\|.*\n)+)`)
	inCode   = regexp.MustCompile("`([^`]+)`")
)

// documentedKeys are those of the README's tables of keys: what stands in code in their first column.
func documentedKeys(readme string) (keys []string) {
	for _, table := range keyTable.FindAllStringSubmatch(readme, -1) {
		for row := range strings.Lines(table[1]) {
			first := strings.Split(row, "|")[1]
			for _, key := range inCode.FindAllStringSubmatch(first, -1) {
				keys = append(keys, key[1])
			}
		}
	}
	return keys
}

func TestADisagreementIsFound(t *testing.T) {
	d := host.Description{
		Name: "mail", Role: host.RoleNotifier, SettingsSchema: json.RawMessage(`{"type":"object","properties":{"cc":{"type":"string"}},"additionalProperties":false}`),
		ConfigSchema: json.RawMessage(`{"type":"object","properties":{"server":{"type":"object","properties":{"port":{"type":"integer"}}}},"additionalProperties":false}`),
	}
	good := "# mail: deliver by mail\n\n| key | |\n|---|---|\n| `server.port` | where |\n| `cc` | to whom as well |\n"
	sample := func(document string) config.Config {
		return config.Config{Notifiers: map[string]config.Notifier{"default": {Plugin: "mail", Config: json.RawMessage(document)}}}
	}
	for _, test := range []struct {
		name, readme string
		sample       config.Config
		settings     string
		want         string
	}{
		{"all is well", good, sample(`{"server":{"port":25}}`), `{"cc":"a"}`, ""},
		{"another name", strings.Replace(good, "# mail", "# post", 1), sample(`{}`), `{}`, "calls itself"},
		{"a key without a word", strings.Replace(good, "`cc`", "copies", 1), sample(`{}`), `{}`, "nothing of the key cc of the settings"},
		{"a key that isn't there", good + "| `bcc` | |\n", sample(`{}`), `{}`, "a key bcc, which the plugin doesn't take"},
		{"a sample that is refused", good, sample(`{"server":{"port":"25"}}`), `{}`, `notifiers.default: key "server.port" is a string`},
		{"settings that are refused", good, sample(`{}`), `{"to":"a"}`, `settings.json: there is no key "to"`},
		{"a sample of another", good, config.Config{Plugins: map[string]config.Plugin{"post": {}}}, "", "plugins.post, which is another"},
		{"a sample of nothing", good, config.Config{}, "", "doesn't name the plugin mail"},
	} {
		var settings []byte
		if test.settings != "" {
			settings = []byte(test.settings)
		}
		got := strings.Join(disagreements(d, test.readme, test.sample, settings), "; ")
		if test.want == "" && got != "" || !strings.Contains(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}
