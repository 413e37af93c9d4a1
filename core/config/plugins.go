package config

import (
	"encoding/json"
	"errors"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/strictyaml"
)

// builtinNotifier is the plugin behind the notifier "default", where the configuration names no other.
const builtinNotifier = "http"

func parsePlugins(in input) (map[string]Plugin, error) {
	plugins := map[string]Plugin{}
	err := eachNamed(in, func(field strictyaml.Field) error {
		plugin, err := parsePlugin(in, field)
		plugins[field.Key] = plugin
		return err
	})
	return plugins, err
}

func parsePlugin(in input, field strictyaml.Field) (p Plugin, err error) {
	keys, err := field.Value.Keys("plugin "+field.Key, "config", "user", "memory", "files")
	if err != nil {
		return p, err
	}
	var errs [4]error
	p.Config, errs[0] = parsePluginConfig(keys["config"])
	p.written = in.written(keys["config"], "plugins."+field.Key+".config", p.Config)
	if user := keys["user"]; !user.IsNull() {
		p.User, errs[1] = user.Text()
	}
	if memory := keys["memory"]; !memory.IsNull() {
		p.Memory, errs[2] = parseSize(16<<20, 1<<40)(input{memory, in.dir})
	}
	if files := keys["files"]; !files.IsNull() {
		p.Files, errs[3] = parseCount(fewestFiles, 1<<20)(input{files, in.dir})
	}
	return p, errors.Join(errs[:]...)
}

// fewestFiles is what a plugin that talks to the daemon and to one receiver gets along with.
const fewestFiles = 32

func parseNotifiers(in input) (map[string]Notifier, error) {
	notifiers := map[string]Notifier{core.DefaultNotifier: {Plugin: builtinNotifier}}
	err := eachNamed(in, func(field strictyaml.Field) error {
		keys, err := field.Value.Keys("notifier "+field.Key, "plugin", "config")
		if err != nil {
			return err
		}
		if keys["plugin"].IsNull() {
			return field.At.Errorf("notifier %q must say its plugin, as {plugin: http}", field.Key)
		}
		plugin, err := keys["plugin"].Text()
		if err != nil {
			return err
		}
		config, err := parsePluginConfig(keys["config"])
		notifiers[field.Key] = Notifier{
			Plugin: plugin, Config: config, written: in.written(keys["config"], "notifiers."+field.Key+".config", config),
		}
		return err
	})
	return notifiers, err
}

// eachNamed hands over what stands under each name of a mapping, and collects what is wrong.
func eachNamed(in input, read func(strictyaml.Field) error) error {
	fields, err := in.Fields()
	errs := []error{err}
	for _, field := range fields {
		if field.Key == "" {
			errs = append(errs, field.At.Errorf("a name must not be empty"))
			continue
		}
		errs = append(errs, read(field))
	}
	return errors.Join(errs...)
}

// parsePluginConfig returns the JSON object of a plugin's own configuration, which only the plugin can judge; nil where nothing is written.
func parsePluginConfig(v strictyaml.Value) (json.RawMessage, error) {
	if v.IsNull() {
		return nil, nil
	}
	if _, err := v.Fields(); err != nil {
		return nil, err
	}
	return v.JSON()
}
