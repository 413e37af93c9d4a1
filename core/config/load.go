package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/postrider/postrider/core/spelling"
	"github.com/postrider/postrider/core/strictyaml"
)

// DefaultFile is what [Load] reads when no file is named, if the working directory has one.
const DefaultFile = "postrider.yaml"

// envPrefix begins every environment variable that configures the daemon.
const envPrefix = "POSTRIDER_"

// Load reads the configuration. file "" stands for [DefaultFile], which may be missing; a file that is named may not. env is what
// [os.Environ] returns, where an empty variable is as good as none; flags holds what was given on the command line, by the path of the setting
// ("queue.url" for --queue-url).
//
// Relative paths are relative to the directory of the file they stand in, or would stand in; those in variables and flags to the working directory.
func Load(file string, env []string, flags map[string]string) (Config, error) {
	file = find(file)
	home, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return Config{}, fmt.Errorf("find the directory of %s: %w", file, err)
	}
	work, err := os.Getwd()
	if err != nil {
		return Config{}, fmt.Errorf("find the working directory: %w", err)
	}
	b := &builder{}
	b.layDefaults(home)
	if file != "" {
		b.readFile(file, home)
	}
	b.readEnv(env, work)
	b.readFlags(flags, work)
	b.fail(b.config.Queue.check())
	if err := errors.Join(b.errs...); err != nil {
		return Config{}, err
	}
	return b.config, nil
}

// find returns the file to read, or "" for none.
func find(file string) string {
	if file != "" {
		return file
	}
	if !exists(DefaultFile) {
		return ""
	}
	return DefaultFile
}

// builder lays one source after the other over the configuration, and keeps every mistake it meets.
type builder struct {
	config Config
	errs   []error
}

func (b *builder) fail(err error) {
	if err != nil {
		b.errs = append(b.errs, err)
	}
}

// layDefaults fills in the configuration of a file in home that says nothing.
func (b *builder) layDefaults(home string) {
	for _, s := range settings {
		if s.Default != "" {
			b.applyText(s, "default of "+s.Path, s.Default, home)
		}
	}
	for _, name := range []string{"webhooks.yaml", "webhooks.xml"} {
		if file := filepath.Join(home, name); exists(file) {
			b.config.Webhooks = append(b.config.Webhooks, file)
		}
	}
	executable, err := os.Executable()
	if err == nil {
		executable, err = filepath.EvalSymlinks(executable) // a link in /usr/local/bin has no plugins beside it
	}
	if err != nil {
		b.fail(fmt.Errorf("find the directory of plugins beside the executable: %w; set plugin_dir", err))
		return
	}
	b.config.PluginDir = filepath.Join(filepath.Dir(executable), "plugins")
}

// exists reports whether there is a file, or something that keeps us from knowing: then reading it will say what.
func exists(file string) bool {
	_, err := os.Stat(file)
	return !errors.Is(err, fs.ErrNotExist)
}

func (b *builder) readFile(file, home string) {
	content, err := os.ReadFile(file)
	if err != nil {
		b.fail(fmt.Errorf("read configuration: %w", err))
		return
	}
	document, err := strictyaml.Parse(file, content)
	if err != nil {
		b.fail(err)
		return
	}
	b.readSection(document, "", home)
}

// readSection reads the keys of a mapping; prefix is the path to it, with its dot at the end.
func (b *builder) readSection(section strictyaml.Value, prefix, home string) {
	fields, err := section.Fields()
	b.fail(err)
	for _, field := range fields {
		path := prefix + field.Key
		if s, ok := settingAt(path); ok {
			if !field.Value.IsNull() { // as if it were not written
				b.fail(s.set(&b.config, input{field.Value, home}))
			}
			continue
		}
		if len(keysBelow(path+".")) > 0 {
			b.readSection(field.Value, path+".", home)
			continue
		}
		owner := "a configuration"
		if prefix != "" {
			owner = strings.TrimSuffix(prefix, ".")
		}
		b.fail(field.Unknown(owner, keysBelow(prefix)))
	}
}

func (b *builder) readEnv(env []string, work string) {
	values := map[string]string{}
	for _, entry := range env {
		if name, value, _ := strings.Cut(entry, "="); value != "" && strings.HasPrefix(name, envPrefix) && !foreign(name) {
			values[name] = value
		}
	}
	known := make([]string, len(settings))
	for i, s := range settings {
		known[i] = s.Env()
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		i := slices.Index(known, name)
		if i < 0 {
			b.fail(fmt.Errorf("environment variable %s: there is no such setting%s", name, spelling.DidYouMean(name, known)))
			continue
		}
		b.applyText(settings[i], "environment variable "+name, values[name], work)
	}
}

// foreign reports whether a variable with our prefix is none of the daemon's settings: either it is for client commands, or Kubernetes
// made it for a service that is called postrider.
func foreign(name string) bool {
	rest := strings.TrimPrefix(name, envPrefix)
	return rest == "URL" || rest == "TOKEN" || rest == "PORT" || strings.HasPrefix(rest, "PORT_") || strings.HasPrefix(rest, "SERVICE_")
}

func (b *builder) readFlags(flags map[string]string, work string) {
	for _, path := range slices.Sorted(maps.Keys(flags)) {
		s, ok := settingAt(path)
		if !ok {
			b.fail(fmt.Errorf("flag for %s: there is no such setting", path))
			continue
		}
		b.applyText(s, "flag --"+strings.NewReplacer(".", "-", "_", "-").Replace(path), flags[path], work)
	}
}

// applyText sets one setting from text outside of a file, where quoting is not YAML's.
func (b *builder) applyText(s setting, source, text, work string) {
	var v strictyaml.Value
	switch {
	case s.shape == plain:
		v = strictyaml.Text(source, text)
	case s.shape == list && !strings.HasPrefix(strings.TrimSpace(text), "["):
		var items []string
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, item)
			}
		}
		v = strictyaml.List(source, items)
	default:
		var err error
		if v, err = strictyaml.ParseInline(source, text); err != nil {
			b.fail(err)
			return
		}
	}
	b.fail(s.set(&b.config, input{v, work}))
}
