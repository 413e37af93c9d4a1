package main

import (
	"net/http"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
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
		page, err := everything[httpapi.Plugin](a, c, to, "plugins")
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

// everything reads a list that comes in one page.
func everything[T any](a *app, c *cobra.Command, to *connection, what string) (httpapi.Page[T], error) {
	var page httpapi.Page[T]
	daemon, err := a.connect(to)
	if err != nil {
		return page, err
	}
	err = daemon.Call(c.Context(), client.Request{Method: http.MethodGet, Path: []string{"v1", what}}, &page)
	return page, err
}
