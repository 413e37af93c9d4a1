package main

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
	"github.com/postrider/postrider/core/httpapi"
)

func (a *app) delivery() *cobra.Command {
	c := &cobra.Command{
		Use: "delivery", Aliases: []string{"deliveries"}, Short: "Look at deliveries, and replay them",
		Example: `  postrider delivery list --state scheduled
  postrider delivery show dlv_01K…
  postrider delivery replay dlv_01K…`,
	}
	c.AddCommand(a.deliveryList(), a.deliveryShow(), a.deliveryReplay())
	return c
}

func (a *app) deliveryList() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List deliveries, the newest first", Args: takes()}
	to, asJSON := connectionFlags(c), jsonFlag(c)
	event := c.Flags().String("event", "", "only those of this `event`, by name")
	eventID := c.Flags().String("event-id", "", "only those of the event with this `id`")
	subscriber := c.Flags().Int64("subscriber", 0, "only those to the subscriber with this `number`")
	state := c.Flags().String("state", "", "only those that are pending, scheduled, delivered or dead")
	limit := c.Flags().Uint("limit", defaultLimit, "show at most `N`; 0 shows all")
	c.RunE = func(c *cobra.Command, _ []string) error {
		daemon, err := a.connect(to)
		if err != nil {
			return err
		}
		query := filters(map[string]string{"event": *event, "event_id": *eventID, "state": *state}, *subscriber)
		page, err := client.List[httpapi.Delivery](c.Context(), daemon, client.Request{Path: []string{"v1", "deliveries"}, Query: query}, int(*limit))
		if err != nil {
			return err
		}
		if err := checkEvent(c.Context(), daemon, *event, len(page.Items)); err != nil {
			return err
		}
		if *asJSON {
			return a.printJSON(page)
		}
		if len(page.Items) == 0 {
			a.sayf("No deliveries.")
			return nil
		}
		a.print(deliveryTable(page.Items))
		a.more(page.Next, len(page.Items))
		return nil
	}
	return c
}

func deliveryTable(deliveries []httpapi.Delivery) table {
	t := table{header: []string{"DELIVERY", "EVENT", "SUBSCRIBER", "STATE", "ATTEMPTS", "LAST ATTEMPT", ""}}
	for _, d := range deliveries {
		attempts, at, how := "0", "", ""
		if d.Last != nil {
			attempts, at, how = strconv.Itoa(d.Last.Number), moment(d.Last.Started), answered(*d.Last)
		}
		t.add(d.ID, d.Event, strconv.FormatInt(d.SubscriberID, 10), d.State, attempts, at, how)
	}
	return t
}

// answered says in a few words how an attempt went.
func answered(attempt httpapi.Attempt) string {
	switch {
	case attempt.Outcome == "delivered" && attempt.StatusCode != 0:
		return strconv.Itoa(attempt.StatusCode)
	case attempt.Outcome == "delivered":
		return ""
	case attempt.Reason != "":
		return attempt.Reason
	case attempt.StatusCode != 0:
		return "answered " + strconv.Itoa(attempt.StatusCode)
	}
	return attempt.Outcome
}

func (a *app) deliveryShow() *cobra.Command {
	c := &cobra.Command{Use: "show ID", Short: "Show one delivery with all its attempts", Args: takes("ID")}
	to, asJSON := connectionFlags(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		d, err := get[httpapi.Delivery](c.Context(), a, to, "v1", "deliveries", args[0])
		if err != nil {
			return err
		}
		if *asJSON {
			return a.printJSON(d)
		}
		var f facts
		f.add("delivery", d.ID)
		f.add("event", d.Event)
		f.add("event id", d.EventID)
		f.add("subscriber", strconv.FormatInt(d.SubscriberID, 10))
		f.add("state", d.State)
		if d.Last != nil && d.Last.Due != nil && d.State == "scheduled" {
			f.add("next attempt", moment(*d.Last.Due))
		}
		a.printFacts(f)
		a.printAttempts(d.Attempts)
		return nil
	}
	return c
}

func (a *app) printAttempts(attempts []httpapi.Attempt) {
	if len(attempts) == 0 {
		return
	}
	a.sayf("")
	t := table{header: []string{"#", "STARTED", "TOOK", "OUTCOME", "STATUS", "REASON", "ANSWER"}}
	for _, at := range attempts {
		status := ""
		if at.StatusCode != 0 {
			status = strconv.Itoa(at.StatusCode)
		}
		t.add(strconv.Itoa(at.Number), at.Started.Local().Format("2006-01-02 15:04:05.000"), milliseconds(at.DurationMS), at.Outcome, status,
			at.Reason, excerpt(at.Excerpt))
	}
	t.dropEmpty()
	a.print(t)
}

const excerptWidth = 60

func excerpt(s string) string {
	if runes := []rune(s); len(runes) > excerptWidth {
		return string(runes[:excerptWidth]) + "…"
	}
	return s
}

func (a *app) deliveryReplay() *cobra.Command {
	c := &cobra.Command{
		Use: "replay ID…", Short: "Put deliveries back to work",
		Long: `Put deliveries back to work, delivered ones too: their attempts are numbered on, with a new budget, and receivers see the same
webhook-id again. For all the dead ones of a kind there is dead-letter replay.`,
		Args: takes("ID…"),
	}
	to, asJSON := connectionFlags(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		daemon, err := a.connect(to)
		if err != nil {
			return err
		}
		all := httpapi.Replayed{Replayed: []string{}}
		for _, id := range args {
			var one httpapi.Replayed
			r := client.Request{Method: http.MethodPost, Path: []string{"v1", "deliveries", id, "replay"}}
			if err := daemon.Call(c.Context(), r, &one); err != nil {
				all.Failed = append(all.Failed, httpapi.FailedReplay{ID: id, Message: err.Error()})
				continue
			}
			all.Replayed = append(all.Replayed, one.Replayed...)
			all.Failed = append(all.Failed, one.Failed...)
		}
		return a.printReplayed(all, *asJSON)
	}
	return c
}

// printReplayed prints what was put back to work, and returns an error where some was not.
func (a *app) printReplayed(r httpapi.Replayed, asJSON bool) error {
	if asJSON {
		if err := a.printJSON(r); err != nil {
			return err
		}
	} else if len(r.Replayed) == 1 {
		a.sayf("%s is back at work.", printable(r.Replayed[0]))
	} else if len(r.Replayed) > 1 {
		a.sayf("%s are back at work.", thousands(len(r.Replayed)))
	} else if len(r.Failed) == 0 {
		a.sayf("There was nothing to replay.")
	}
	switch len(r.Failed) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%s was not replayed: %s", r.Failed[0].ID, r.Failed[0].Message)
	}
	for _, f := range r.Failed {
		fmt.Fprintf(a.stderr, "%s was not replayed: %s\n", oneLine(f.ID), oneLine(f.Message))
	}
	return fmt.Errorf("%d were not replayed", len(r.Failed))
}
