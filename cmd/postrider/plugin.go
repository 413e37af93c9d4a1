package main

import (
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/core/httpapi"
)

func (a *app) plugin() *cobra.Command {
	c := &cobra.Command{Use: "plugin", Aliases: []string{"plugins"}, Short: "Look at the daemon's plugins"}
	c.AddCommand(a.pluginList())
	return c
}

func (a *app) pluginList() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List the plugin processes and how they are", Args: takes()}
	to, asJSON := connectionFlags(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		page, err := get[httpapi.Page[httpapi.Plugin]](c.Context(), a, to, "v1", "plugins")
		if err != nil {
			return err
		}
		if *asJSON {
			return a.printJSON(page)
		}
		if len(page.Items) == 0 {
			a.sayf("No plugins: the daemon's plugin directory holds none.")
			return nil
		}
		t := table{header: []string{"NAME", "ROLE", "VERSION", "STATE", "PID", "IN FLIGHT", "RESTARTS", "FILE", ""}}
		for _, p := range page.Items {
			name, pid := p.Name, ""
			if p.Notifier != "" && p.Notifier != p.Name {
				name += " (" + p.Notifier + ")"
			}
			if p.PID != 0 {
				pid = strconv.Itoa(p.PID)
			}
			t.add(name, p.Role, p.Version, p.State, pid, strconv.Itoa(p.InFlight), strconv.Itoa(p.Restarts), filepath.Base(p.File), p.Reason)
		}
		a.print(t)
		return nil
	}
	return c
}
