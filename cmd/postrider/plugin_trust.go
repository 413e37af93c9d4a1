package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/core/pluginhost"
)

// trustedPlugin is a line of the list of trusted plugins, as --json prints it.
type trustedPlugin struct {
	Name   string `json:"name"` // of the file
	SHA256 string `json:"sha256"`
}

func (a *app) pluginTrust() *cobra.Command {
	c := &cobra.Command{
		Use:   "trust [NAME…]",
		Short: "Let the plugins of these files run as they are now, and no others",
		Long: `Write the SHA-256 sums of plugin files into plugins.sum, in the plugin directory. Where there is such a list, the daemon runs no
file that is not in it, or that is not the same any more.

NAME is the name of a file in the plugin directory: what the list says of other files stays. Without one, the list is written
anew, with all files that are there. Removing plugins.sum lets every file run again.`,
		Example: `  postrider plugin trust
  postrider plugin trust notifier-http`,
		Args: takes("[NAME…]"),
	}
	file := c.Flags().String("config", "", "the daemon's configuration `file` (default: postrider.yaml, if there is one)")
	dir := c.Flags().String("plugin-dir", "", "the plugin `directory` (default: the configuration's)")
	asJSON := jsonFlag(c)
	c.RunE = func(_ *cobra.Command, names []string) error {
		settings, err := a.configuration(*file, map[string]string{"plugin_dir": *dir})
		if err != nil {
			return err
		}
		trusted, err := pluginhost.Trust(settings.PluginDir, names...)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no plugin directory %s: name the daemon's with --plugin-dir, or its configuration with --config", settings.PluginDir)
		}
		if err != nil {
			return err
		}
		if *asJSON {
			lines := make([]trustedPlugin, len(trusted))
			for i, one := range trusted {
				lines[i] = trustedPlugin{Name: one.Name, SHA256: one.Sum}
			}
			return a.printJSON(lines)
		}
		for _, one := range trusted {
			a.sayf("%s  %s", one.Sum, one.Name)
		}
		a.sayf("%s trusted in %s; a daemon that runs there takes note by itself.", plural(len(trusted), "file is", "files are"),
			filepath.Join(settings.PluginDir, pluginhost.SumsFile))
		return nil
	}
	return c
}
