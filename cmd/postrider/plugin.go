package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
	"github.com/postrider/postrider/core/httpapi"
	"github.com/postrider/postrider/core/spelling"
)

func (a *app) plugin() *cobra.Command {
	c := &cobra.Command{Use: "plugin", Aliases: []string{"plugins"}, Short: "Look at the daemon's plugins and trust them; write, inspect and test one"}
	c.AddCommand(a.pluginList(), a.pluginShow(), a.pluginReload(), a.pluginTrust(), a.pluginNew(), a.pluginInspect(), a.pluginTest())
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
		t := table{header: []string{"NAME", "ROLE", "VERSION", "STATE", "PID", "IN FLIGHT", "P99", "ERRORS", "RESTARTS", "MEMORY", "FILE", ""}}
		for _, p := range page.Items {
			pid := ""
			if p.PID != 0 {
				pid = strconv.Itoa(p.PID)
			}
			most, memory := "", ""
			if p.Latency != nil {
				most = milliseconds(p.Latency.P99)
			}
			if p.Memory > 0 {
				memory = size(p.Memory)
			}
			t.add(pluginName(p), p.Role, p.Version, p.State, pid, strconv.Itoa(p.InFlight), most, thousands(int(p.Errors)), strconv.Itoa(p.Restarts), memory,
				filepath.Base(p.File), pluginRemark(p))
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

func (a *app) pluginShow() *cobra.Command {
	c := &cobra.Command{
		Use:   "show NAME",
		Short: "Show how the processes of one plugin are",
		Long: `Show how each process of one plugin is: its state, its work, how long that takes, and what it keeps of memory. Latencies are
those of the last minute or two. Errors are those of the plugin itself; what a receiver answers is none.`,
		Args: takes("NAME"),
	}
	to, asJSON := connectionFlags(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		page, err := get[httpapi.Page[httpapi.Plugin]](c.Context(), a, to, "v1", "plugins")
		if err != nil {
			return err
		}
		var names []string
		processes := slices.DeleteFunc(slices.Clone(page.Items), func(p httpapi.Plugin) bool {
			names = append(names, p.Name)
			return p.Name != args[0]
		})
		if len(processes) == 0 {
			return fmt.Errorf("the daemon has no plugin %q%s; `postrider plugin list` shows them", args[0], spelling.DidYouMean(args[0], names))
		}
		if *asJSON {
			return a.printJSON(httpapi.Page[httpapi.Plugin]{Items: processes})
		}
		for i, p := range processes {
			if i > 0 {
				a.sayf("")
			}
			a.printFacts(pluginFacts(p))
		}
		return nil
	}
	return c
}

func pluginFacts(p httpapi.Plugin) (f facts) {
	f.add("plugin", pluginName(p))
	f.add("role", p.Role)
	f.add("version", p.Version)
	f.add("file", p.File)
	f.add("state", p.State)
	f.add("reason", p.Reason)
	f.add("update", p.Update)
	if p.PID != 0 {
		f.add("process", strconv.Itoa(p.PID))
	}
	if p.Since != nil {
		f.add("running since", moment(*p.Since))
	}
	f.add("restarts", strconv.Itoa(p.Restarts))
	f.add("in flight", strconv.Itoa(p.InFlight))
	f.add("requests", thousands(int(p.Requests)))
	f.add("errors", thousands(int(p.Errors)))
	if p.Latency != nil {
		f.add("latency", fmt.Sprintf("half within %s, 99 of 100 within %s", milliseconds(p.Latency.P50), milliseconds(p.Latency.P99)))
	}
	if p.Memory > 0 {
		f.add("memory", size(p.Memory))
	}
	return f
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
