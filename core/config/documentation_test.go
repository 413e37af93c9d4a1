package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/core/config"
)

func readme(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestTheREADMEListsEverySettingAsItIs(t *testing.T) {
	text := readme(t)
	for _, s := range config.Settings() {
		defaultTo := ""
		if s.Default != "" {
			defaultTo = "`" + s.Default + "`"
		}
		row := strings.ReplaceAll(fmt.Sprintf("| `%s` | %s | %s |\n", s.Path, defaultTo, s.Usage), "|  |", "| |")
		if !strings.Contains(text, row) {
			t.Errorf("README.md lacks the row\n%s", row)
		}
	}
}

func TestTheSampleOfTheREADMEIsOneThatWorks(t *testing.T) {
	const file = "testdata/postrider.yaml"
	sample, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(readme(t), "```yaml\n"+string(sample)+"```\n") {
		t.Errorf("README.md doesn't show %s as it is", file)
	}
	c, err := config.Load(file, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(c.Notifiers["patient"].Config), `{"timeout":"25s"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestEverySampleBesideAPluginCanBeLoaded(t *testing.T) {
	files, err := filepath.Glob("../../*/*/postrider.yaml") // plugins/ and examples/
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Error("no sample was found: this test looks at nothing")
	}
	for _, file := range files {
		if _, err := config.Load(file, nil, nil); err != nil {
			t.Error(err)
		}
	}
}
