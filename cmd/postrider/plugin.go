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
	c := &cobra.Command{Use: "plugin", Aliases: []string{"plugins"}, Short: "Look at the daemon's plugins and trust them; write, inspect and test one"}
	c.AddCommand(a.pluginList(), a.pluginReload(), a.pluginTrust(), a.pluginNew(), a.pluginInspect(), a.pluginTest())
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
			pid := ""
			if p.PID != 0 {
				pid = strconv.Itoa(p.PID)
			}
			t.add(pluginName(p), p.Role, p.Version, p.State, pid, strconv.Itoa(p.InFlight), strconv.Itoa(p.Restarts), filepath.Base(p.File), pluginRemark(p))
		}
		a.print(t)
		return nil
	}
	return c
}

// pluginName tells the processes of one plugin apart.
func pluginName(p httpapi.Plugin) string {
	if p.Notifier != "" && p.Notifier != p.Name {
		return p.Name + " (" + p.Notifier + ")"
	}
	return p.Name
}

// pluginRemark says what an operator should know beside the state.
func pluginRemark(p httpapi.Plugin) string {
	if p.Update == "" {
		return p.Reason
	}
	remark := "its file is not used, and the version before it runs: " + p.Update
	if p.Reason != "" {
		remark = p.Reason + "; " + remark
	}
	return remark
}

func (a *app) pluginReload() *cobra.Command {
	c := &cobra.Command{
		Use:   "reload",
		Short: "Take over what has changed in the plugin directory",
		Long: `Take over what has changed in the daemon's plugin directory, and say what became of each file. The daemon does so by
itself, a second or two after a file has stopped changing; this does it at once. A new version is started beside the one that
runs, and takes its place when it is well; one that isn't is refused, and nothing changes.`,
		Args: takes(),
	}
	to, asJSON := connectionFlags(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		daemon, err := a.connect(to)
		if err != nil {
			return err
		}
		var page httpapi.Page[httpapi.PluginChange]
		if err := daemon.Call(c.Context(), client.Request{Method: http.MethodPost, Path: []string{"v1", "plugins", "reload"}}, &page); err != nil {
			return err
		}
		if *asJSON {
			return a.printJSON(page)
		}
		if len(page.Items) == 0 {
			a.sayf("Nothing has changed.")
			return nil
		}
		t := table{header: []string{"FILE", "NAME", "CHANGE", ""}}
		for _, change := range page.Items {
			t.add(filepath.Base(change.File), change.Name, change.Change, change.Reason)
		}
		a.print(t)
		return nil
	}
	return c
}
