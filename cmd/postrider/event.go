package main

import (
	"github.com/spf13/cobra"

	"github.com/postrider/postrider/core/httpapi"
)

func (a *app) event() *cobra.Command {
	c := &cobra.Command{Use: "event", Aliases: []string{"events"}, Short: "Look at what was published"}
	c.AddCommand(a.eventShow())
	return c
}

func (a *app) eventShow() *cobra.Command {
	c := &cobra.Command{Use: "show ID", Short: "Show one event, its payload, the failed attempts to get it, and its deliveries", Args: takes("ID")}
	to, asJSON := connectionFlags(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		e, err := get[httpapi.EventStatus](c.Context(), a, to, "v1", "events", args[0])
		if err != nil {
			return err
		}
		if *asJSON {
			return a.printJSON(e)
		}
		var f facts
		f.add("event", e.ID)
		f.add("name", e.Event)
		f.add("accepted", moment(e.Accepted))
		f.add("state", eventState(e))
		if last := lastAttempt(e); e.State == "accepted" && last.Due != nil {
			f.add("next attempt", moment(*last.Due))
		}
		f.add("arguments", string(e.Arguments))
		a.printFacts(f)
		if len(e.Payload) > 0 {
			a.sayf("\n%s\n%s", a.dim("payload"), pretty(e.Payload))
		}
		a.printAttempts(e.Attempts)
		if len(e.Deliveries) > 0 {
			a.sayf("")
			a.print(deliveryTable(e.Deliveries))
		}
		return nil
	}
	return c
}

// eventState explains the words of states that don't explain themselves.
func eventState(e httpapi.EventStatus) string {
	switch e.State {
	case "accepted":
		if n := len(e.Attempts); n > 0 {
			return "accepted: waits for its payload, which " + count(n, "attempt") + " did not get"
		}
		return "accepted: waits for its payload; `postrider webhook list` shows whether a resolver offers it"
	case "unwanted":
		return "unwanted: nobody subscribed to it"
	case "dead":
		return "dead: `postrider dead-letter show " + e.ID + "` says why"
	}
	return e.State
}

// lastAttempt returns the newest attempt to resolve the event, the zero one where there is none.
func lastAttempt(e httpapi.EventStatus) httpapi.Attempt {
	if len(e.Attempts) == 0 {
		return httpapi.Attempt{}
	}
	return e.Attempts[len(e.Attempts)-1]
}
