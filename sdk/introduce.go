package sdk

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// introduce prints what the plugin is, for somebody who started it in a shell.
func (p *Plugin) introduce(w io.Writer) {
	file := filepath.Base(os.Args[0])
	fmt.Fprintf(w, "%s %s: a %s plugin for Postrider.\n\n", p.name, p.version, p.role())
	fmt.Fprintf(w, "The daemon starts it; it does nothing by itself. Copy the file %s into the daemon's plugin directory\n", file)
	fmt.Fprintf(w, "(plugin_dir in postrider.yaml), start the daemon, and see `postrider plugin list`.\n")
	if p.configuresServices() {
		fmt.Fprintf(w, "\nWhich services it offers, its configuration says.\n")
	}
	if len(p.services) > 0 {
		fmt.Fprintf(w, "\nServices it offers, with the JSON Schema of their arguments:\n")
		for _, s := range p.services {
			fmt.Fprintf(w, "\n  %s\n", s)
			if s.description != "" {
				fmt.Fprintf(w, "      %s\n", s.description)
			}
			fmt.Fprintf(w, "      %s\n", s.arguments.JSON())
		}
	}
	if !p.resolver {
		fmt.Fprintf(w, "\nA subscriber whose `metadata` is %q is notified by it.\n", p.name)
		if p.settings != nil {
			fmt.Fprintf(w, "\nJSON Schema of a subscriber's settings:\n\n  %s\n", p.settings.JSON())
		}
	}
	if p.configuration != nil {
		fmt.Fprintf(w, "\nJSON Schema of its configuration (plugins.%s.config in postrider.yaml):\n\n  %s\n", p.name, p.configuration.schema.JSON())
	}
}
