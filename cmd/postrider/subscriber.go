package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
	"github.com/postrider/postrider/core/httpapi"
)

func (a *app) subscriber() *cobra.Command {
	c := &cobra.Command{
		Use: "subscriber", Aliases: []string{"subscribers"},
		Short: "List and change who gets which event",
		Example: `  postrider subscriber add sales.order.created https://shop.example/hooks
  postrider subscriber list --event sales.order.created
  postrider subscriber disable 3`,
	}
	c.AddCommand(a.subscriberList(), a.subscriberShow(), a.subscriberAdd(), a.subscriberUpdate(),
		a.subscriberSwitch("enable", "Send it events again, and first what waited for it", true),
		a.subscriberSwitch("disable", "Hold back what waits for it, and leave it out of new events, until it is enabled again", false),
		a.subscriberRotateSecret(), a.subscriberDelete())
	return c
}

func subscriberPath(id int64) []string {
	return []string{"v1", "subscribers", strconv.FormatInt(id, 10)}
}

// subscriberIDs reads the numbers of subscribers.
func subscriberIDs(args []string) ([]int64, error) {
	ids := make([]int64, len(args))
	for i, arg := range args {
		id, err := strconv.ParseInt(arg, 10, 64)
		if err != nil || id < 1 {
			return nil, usagef("%q is no subscriber: they are numbered from 1; `postrider subscriber list` shows them", arg)
		}
		ids[i] = id
	}
	return ids, nil
}

func (a *app) subscriberList() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List the subscribers", Args: takes()}
	to, asJSON := connectionFlags(c), jsonFlag(c)
	event := c.Flags().String("event", "", "only those of this `event`")
	c.RunE = func(c *cobra.Command, _ []string) error {
		daemon, err := a.connect(to)
		if err != nil {
			return err
		}
		query := url.Values{}
		if *event != "" {
			query.Set("event", *event)
		}
		page, err := client.List[httpapi.Subscriber](c.Context(), daemon, client.Request{Path: []string{"v1", "subscribers"}, Query: query}, 0)
		if err != nil {
			return err
		}
		if err := checkEvent(c.Context(), daemon, *event, len(page.Items)); err != nil {
			return err
		}
		if *asJSON {
			return a.printJSON(page)
		}
		if len(page.Items) == 0 && *event != "" {
			a.sayf("No subscribers of %[1]s. Add one: postrider subscriber add %[1]s URL", *event)
			return nil
		}
		if len(page.Items) == 0 {
			a.sayf("No subscribers. Add one: postrider subscriber add EVENT URL")
			return nil
		}
		t := table{header: []string{"ID", "EVENT", "RECIPIENT", "NOTIFIER", "STATE"}}
		for _, s := range page.Items {
			t.add(strconv.FormatInt(s.ID, 10), s.Event, s.URL, s.Notifier, subscriberState(s))
		}
		a.print(t)
		return nil
	}
	return c
}

func subscriberState(s httpapi.Subscriber) string {
	switch {
	case s.Enabled && !s.PausedUntil.IsZero():
		return "enabled; its receiver fails, next attempt " + s.PausedUntil.Local().Format(time.TimeOnly)
	case s.Enabled:
		return "enabled"
	case s.DisabledReason != "":
		return "disabled: " + s.DisabledReason
	}
	return "disabled"
}

func (a *app) subscriberShow() *cobra.Command {
	c := &cobra.Command{Use: "show ID", Short: "Show one subscriber", Args: takes("ID")}
	to, asJSON := connectionFlags(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		ids, err := subscriberIDs(args)
		if err != nil {
			return err
		}
		return a.showSubscriber(c, to, *asJSON, client.Request{Method: http.MethodGet, Path: subscriberPath(ids[0])})
	}
	return c
}

// showSubscriber makes a call that answers a subscriber, and prints it.
func (a *app) showSubscriber(c *cobra.Command, to *connection, asJSON bool, r client.Request) error {
	daemon, err := a.connect(to)
	if err != nil {
		return err
	}
	var s httpapi.Subscriber
	if err := daemon.Call(c.Context(), r, &s); err != nil {
		return err
	}
	if asJSON {
		return a.printJSON(s)
	}
	var f facts
	f.add("subscriber", strconv.FormatInt(s.ID, 10))
	f.add("event", s.Event)
	f.add("recipient", s.URL)
	f.add("notifier", s.Notifier)
	f.add("state", subscriberState(s))
	f.add("envelope", s.Envelope)
	f.add("retry", string(s.Retry))
	f.add("settings", string(s.Settings))
	for _, earlier := range s.EarlierTokens {
		f.add("token before", "valid until "+moment(earlier.Expires))
	}
	f.add("created", moment(s.Created))
	if !s.Modified.Equal(s.Created) {
		f.add("modified", moment(s.Modified))
	}
	a.printFacts(f)
	return nil
}

// subscriberOptions are the flags that say what a subscriber is like.
type subscriberOptions struct {
	notifier, settings, retry, envelope string
	token                               *tokenOptions
}

func subscriberFlags(c *cobra.Command) *subscriberOptions {
	o := subscriberOptions{token: tokenFlags(c)}
	c.Flags().StringVar(&o.notifier, "notifier", "", "the `name` of the notifier that delivers")
	c.Flags().StringVar(&o.settings, "settings", "", "settings for the notifier, as `JSON`; null takes them away")
	c.Flags().StringVar(&o.retry, "retry", "", "a retry schedule of its own, as `JSON`: [\"5s\",\"5m\"]; null takes it away")
	c.Flags().StringVar(&o.envelope, "envelope", "", "what surrounds the payload: standard, cloudevents or raw; \"\" is the daemon's choice")
	return &o
}

// fields returns what the flags say, and nothing of what they don't.
func (o *subscriberOptions) fields(a *app, c *cobra.Command) (httpapi.SubscriberFields, error) {
	var f httpapi.SubscriberFields
	changed := c.Flags().Changed
	if changed("notifier") {
		f.Notifier = &o.notifier
	}
	token, given, err := o.token.read(a, c)
	if err != nil {
		return f, err
	}
	if given {
		f.Token = &token
	}
	if changed("envelope") {
		f.Envelope = &o.envelope
	}
	for _, flag := range []struct {
		name, value string
		field       *json.RawMessage
	}{{"settings", o.settings, &f.Settings}, {"retry", o.retry, &f.Retry}} {
		if !changed(flag.name) {
			continue
		}
		if err := checkJSON([]byte(flag.value)); err != nil {
			return f, fmt.Errorf("--%s is not JSON: %w", flag.name, err)
		}
		*flag.field = json.RawMessage(flag.value)
	}
	return f, nil
}

func (a *app) subscriberAdd() *cobra.Command {
	c := &cobra.Command{
		Use:   "add EVENT URL",
		Short: "Subscribe a recipient to an event",
		Example: `  postrider subscriber add sales.order.created https://shop.example/hooks
  postrider subscriber add stock.item.changed https://erp.example/in --retry '["5s","5m","1h"]' --envelope cloudevents
  postrider subscriber add sales.order.created https://shop.example/hooks --notifier console`,
		Args: takes("EVENT", "URL"),
	}
	to, asJSON, options := connectionFlags(c), jsonFlag(c), subscriberFlags(c)
	c.Flags().Lookup("notifier").Usage += " (default: default)"
	disabled := c.Flags().Bool("disabled", false, "add it disabled: it is left out of events until it is enabled")
	c.RunE = func(c *cobra.Command, args []string) error {
		f, err := options.fields(a, c)
		if err != nil {
			return err
		}
		f.Event, f.URL = &args[0], &args[1]
		if *disabled {
			enabled := false
			f.Enabled = &enabled
		}
		return a.showSubscriber(c, to, *asJSON, client.Request{Method: http.MethodPost, Path: []string{"v1", "subscribers"}, Body: f})
	}
	return c
}

func (a *app) subscriberUpdate() *cobra.Command {
	c := &cobra.Command{
		Use:   "update ID",
		Short: "Change what is given, and leave the rest alone",
		Example: `  postrider subscriber update 3 --recipient https://shop.example/new
  postrider subscriber update 3 --retry null`,
		Args: takes("ID"),
	}
	to, asJSON, options := connectionFlags(c), jsonFlag(c), subscriberFlags(c)
	event := c.Flags().String("event", "", "the `event` that it wants")
	recipient := c.Flags().String("recipient", "", "the recipient's `URL`")
	c.RunE = func(c *cobra.Command, args []string) error {
		ids, err := subscriberIDs(args)
		if err != nil {
			return err
		}
		f, err := options.fields(a, c)
		if err != nil {
			return err
		}
		if c.Flags().Changed("event") {
			f.Event = event
		}
		if c.Flags().Changed("recipient") {
			f.URL = recipient
		}
		if f.Event == nil && f.URL == nil && f.Token == nil && f.Notifier == nil && f.Envelope == nil && f.Settings == nil && f.Retry == nil {
			return usagef("nothing to change: say what, as in --recipient https://shop.example/new")
		}
		return a.showSubscriber(c, to, *asJSON, client.Request{Method: http.MethodPatch, Path: subscriberPath(ids[0]), Body: f})
	}
	return c
}

// subscriberSwitch is enable and disable.
func (a *app) subscriberSwitch(verb, short string, enabled bool) *cobra.Command {
	c := &cobra.Command{Use: verb + " ID…", Short: short, Args: takes("ID…")}
	to, asJSON := connectionFlags(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		ids, err := subscriberIDs(args)
		if err != nil {
			return err
		}
		daemon, err := a.connect(to)
		if err != nil {
			return err
		}
		changed := make([]httpapi.Subscriber, len(ids))
		for i, id := range ids {
			r := client.Request{Method: http.MethodPatch, Path: subscriberPath(id), Body: httpapi.SubscriberFields{Enabled: &enabled}}
			if err := daemon.Call(c.Context(), r, &changed[i]); err != nil {
				return err
			}
			if !*asJSON {
				a.sayf("Subscriber %d is %sd.", id, verb)
			}
		}
		if *asJSON {
			return a.printJSON(changed)
		}
		return nil
	}
	return c
}

func (a *app) subscriberDelete() *cobra.Command {
	c := &cobra.Command{
		Use: "delete ID…", Short: "Remove subscribers for good",
		Long: "Remove subscribers for good. What still waits for them is not delivered any more; `disable` only holds it back.",
		Args: takes("ID…"),
	}
	to, asJSON := connectionFlags(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		ids, err := subscriberIDs(args)
		if err != nil {
			return err
		}
		daemon, err := a.connect(to)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := daemon.Call(c.Context(), client.Request{Method: http.MethodDelete, Path: subscriberPath(id)}, nil); err != nil {
				return err
			}
			if !*asJSON {
				a.sayf("Subscriber %d is gone.", id)
			}
		}
		if *asJSON {
			return a.printJSON(map[string][]int64{"deleted": ids})
		}
		return nil
	}
	return c
}
