package main

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
	"github.com/postrider/postrider/core/httpapi"
)

func (a *app) deadLetter() *cobra.Command {
	c := &cobra.Command{
		Use: "dead-letter", Aliases: []string{"dead-letters", "dlq"},
		Short: "Look at what could not be delivered; replay or purge it",
		Example: `  postrider dead-letter list --event sales.order.created
  postrider dead-letter show dlv_01K…
  postrider dead-letter replay --subscriber 3
  postrider dead-letter purge --all`,
	}
	c.AddCommand(a.deadLetterList(), a.deadLetterShow(), a.deadLetterReplay(), a.deadLetterPurge())
	return c
}

// selection is which dead letters a command is about.
type selection struct {
	kind, event string
	subscriber  int64
}

func selectionFlags(c *cobra.Command) *selection {
	var s selection
	c.Flags().StringVar(&s.kind, "kind", "", "only those of this kind: delivery or event (it could not be resolved or read)")
	c.Flags().StringVar(&s.event, "event", "", "only those of this `event`, by name")
	c.Flags().Int64Var(&s.subscriber, "subscriber", 0, "only those to the subscriber with this `number`")
	return &s
}

func (s selection) empty() bool { return s == selection{} }

// list reads the selected dead letters, at most limit of them, or all where it is 0.
func (s selection) list(ctx context.Context, daemon *client.Client, limit int) (httpapi.Page[httpapi.DeadLetter], error) {
	query := filters(map[string]string{"kind": s.kind, "event": s.event}, s.subscriber)
	return client.List[httpapi.DeadLetter](ctx, daemon, client.Request{Path: []string{"v1", "dead-letters"}, Query: query}, limit)
}

// checkSelected refuses a command line that says neither which dead letters, nor all, or that says both.
func checkSelected(c *cobra.Command, ids []string, s selection, all bool) error {
	switch {
	case len(ids) == 0 && s.empty() && !all:
		return usagef("%s wants to know which: name IDs, or select them by --kind, --event and --subscriber, or say --all", nameOf(c))
	case len(ids) > 0 && (all || !s.empty()):
		return usagef("%s takes IDs, or a selection, not both", nameOf(c))
	case all && !s.empty():
		return usagef("--all and a selection contradict each other: leave one out")
	}
	return nil
}

func (a *app) deadLetterList() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List dead letters, the newest first", Args: takes()}
	to, asJSON, which := connectionFlags(c), jsonFlag(c), selectionFlags(c)
	limit := c.Flags().Uint("limit", defaultLimit, "show at most `N`; 0 shows all")
	c.RunE = func(c *cobra.Command, _ []string) error {
		daemon, err := a.connect(to)
		if err != nil {
			return err
		}
		page, err := which.list(c.Context(), daemon, int(*limit))
		if err != nil {
			return err
		}
		if err := checkEvent(c.Context(), daemon, which.event, len(page.Items)); err != nil {
			return err
		}
		if *asJSON {
			return a.printJSON(page)
		}
		if len(page.Items) == 0 {
			a.sayf("No dead letters.")
			return nil
		}
		t := table{header: []string{"ID", "EVENT", "SUBSCRIBER", "ATTEMPTS", "DIED", "REASON"}}
		for _, d := range page.Items {
			t.add(d.ID, d.Event, deadSubscriber(d), strconv.Itoa(d.Last), moment(d.Died), d.Reason)
		}
		a.print(t)
		a.more(page.Next, len(page.Items))
		return nil
	}
	return c
}

func deadSubscriber(d httpapi.DeadLetter) string {
	if d.SubscriberID == 0 {
		return "all" // an event that could not be resolved reached nobody
	}
	return strconv.FormatInt(d.SubscriberID, 10)
}

func (a *app) deadLetterShow() *cobra.Command {
	c := &cobra.Command{Use: "show ID", Short: "Show one dead letter with all its attempts", Args: takes("ID")}
	to, asJSON := connectionFlags(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		d, err := get[httpapi.DeadLetter](c.Context(), a, to, "v1", "dead-letters", args[0])
		if err != nil {
			return err
		}
		if *asJSON {
			return a.printJSON(d)
		}
		var f facts
		f.add("dead letter", d.ID)
		f.add("kind", d.Kind)
		f.add("event", d.Event)
		f.add("event id", d.EventID)
		f.add("subscriber", deadSubscriber(d))
		f.add("died", moment(d.Died))
		f.add("reason", d.Reason)
		if d.Original != nil {
			f.add("message", strconv.Quote(string(d.Original))) // quoted: whatever it is, it must not reach the terminal as it is
		}
		a.printFacts(f)
		a.printAttempts(d.Attempts)
		return nil
	}
	return c
}

func (a *app) deadLetterReplay() *cobra.Command {
	c := &cobra.Command{
		Use: "replay [ID…]", Short: "Put dead letters back to work",
		Long: `Put dead letters back to work: named ones, selected ones, or all. Their attempts are numbered on, with a new budget, and receivers
see the same webhook-id.`,
		Example: `  postrider dead-letter replay dlv_01K…
  postrider dead-letter replay --event sales.order.created --subscriber 3
  postrider dead-letter replay --all`,
		Args: takes("[ID…]"),
	}
	to, asJSON, which := connectionFlags(c), jsonFlag(c), selectionFlags(c)
	all := c.Flags().Bool("all", false, "replay every dead letter there is")
	c.RunE = func(c *cobra.Command, ids []string) error {
		if err := checkSelected(c, ids, *which, *all); err != nil {
			return err
		}
		daemon, err := a.connect(to)
		if err != nil {
			return err
		}
		request := httpapi.ReplayDeadLetters{IDs: ids, Kind: which.kind, Event: which.event, SubscriberID: which.subscriber, All: *all}
		total := httpapi.Replayed{Replayed: []string{}}
		for {
			var some httpapi.Replayed
			r := client.Request{Method: http.MethodPost, Path: []string{"v1", "dead-letters", "replay"}, Body: request}
			if err := daemon.Call(c.Context(), r, &some); err != nil {
				return err
			}
			total.Replayed = append(total.Replayed, some.Replayed...)
			total.Failed = append(total.Failed, some.Failed...)
			if some.Next == "" {
				return a.printReplayed(total, *asJSON)
			}
			request.Cursor = some.Next
		}
	}
	return c
}

func (a *app) deadLetterPurge() *cobra.Command {
	c := &cobra.Command{
		Use: "purge [ID…]", Short: "Remove dead letters for good",
		Long: "Remove dead letters for good: named ones, selected ones, or all. They can't be replayed any more.",
		Example: `  postrider dead-letter purge dlv_01K…
  postrider dead-letter purge --subscriber 3`,
		Args: takes("[ID…]"),
	}
	to, asJSON, which := connectionFlags(c), jsonFlag(c), selectionFlags(c)
	all := c.Flags().Bool("all", false, "purge every dead letter there is")
	c.RunE = func(c *cobra.Command, ids []string) error {
		if err := checkSelected(c, ids, *which, *all); err != nil {
			return err
		}
		daemon, err := a.connect(to)
		if err != nil {
			return err
		}
		named := len(ids) > 0
		if !named {
			selected, err := which.list(c.Context(), daemon, 0)
			if err != nil {
				return err
			}
			for _, d := range selected.Items {
				ids = append(ids, d.ID)
			}
		}
		purged := []string{}
		for _, id := range ids {
			err := daemon.Call(c.Context(), client.Request{Method: http.MethodDelete, Path: []string{"v1", "dead-letters", id}}, nil)
			if !named && isNotFound(err) {
				continue // replayed or purged by somebody else since it was listed
			}
			if err != nil {
				return err
			}
			purged = append(purged, id)
		}
		if *asJSON {
			return a.printJSON(map[string][]string{"purged": purged})
		}
		switch len(purged) {
		case 0:
			a.sayf("There was nothing to purge.")
		case 1:
			a.sayf("1 dead letter is gone.")
		default:
			a.sayf("%s dead letters are gone.", thousands(len(purged)))
		}
		return nil
	}
	return c
}

func isNotFound(err error) bool {
	var p *httpapi.Problem
	return errors.As(err, &p) && p.Status == http.StatusNotFound
}
