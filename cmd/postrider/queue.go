package main

import (
	"github.com/spf13/cobra"

	"github.com/postrider/postrider/core/httpapi"
)

func (a *app) queue() *cobra.Command {
	c := &cobra.Command{Use: "queue", Aliases: []string{"queues"}, Short: "Look at what waits"}
	c.AddCommand(a.queueDepths(), a.queueTopology(), a.queuePurgeDelays())
	return c
}

func (a *app) queueDepths() *cobra.Command {
	c := &cobra.Command{
		Use: "depths", Short: "Say how much waits in each queue", Args: takes(),
		Long: "Say how much waits in each queue: READY as soon as there is room, DUE at a later time. The figures may lag behind by what is in flight.",
	}
	to, asJSON := connectionFlags(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		page, err := get[httpapi.Page[httpapi.Depth]](c.Context(), a, to, "v1", "queues")
		if err != nil {
			return err
		}
		if *asJSON {
			return a.printJSON(page)
		}
		t := table{header: []string{"QUEUE", "READY", "DUE"}}
		for _, d := range page.Items {
			t.add(d.Queue, thousands(d.Ready), thousands(d.Due))
		}
		a.print(t)
		return nil
	}
	return c
}
