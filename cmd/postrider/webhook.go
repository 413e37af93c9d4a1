package main

import (
	"fmt"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/postrider/postrider/core/daemon"
	"github.com/postrider/postrider/core/httpapi"
)

func (a *app) webhook() *cobra.Command {
	c := &cobra.Command{Use: "webhook", Aliases: []string{"webhooks"}, Short: "Look at the webhook definitions"}
	c.AddCommand(a.webhookList(), a.webhookCheck())
	return c
}

func (a *app) webhookList() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List the webhooks that the daemon knows", Args: takes()}
	to, asJSON := connectionFlags(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		page, err := get[httpapi.Page[httpapi.Webhook]](c.Context(), a, to, "v1", "webhooks")
		if err != nil {
			return err
		}
		if *asJSON {
			return a.printJSON(page)
		}
		a.printWebhooks(page.Items)
		return nil
	}
	return c
}

func (a *app) printWebhooks(webhooks []httpapi.Webhook) {
	if len(webhooks) == 0 {
		a.sayf("No webhooks are defined: write them into webhooks.yaml or webhooks.xml, and name the file under `webhooks` in postrider.yaml.")
		return
	}
	t := table{header: []string{"EVENT", "SERVICE", "PAYLOAD", "STATE", "DEFINED IN"}}
	for _, w := range webhooks {
		service, state := "(the arguments are the payload)", w.State
		if w.Service != nil {
			service = w.Service.Class + "::" + w.Service.Method
		}
		switch w.State {
		case httpapi.WebhookOK:
			if w.Plugin != "" {
				state += " (" + w.Plugin + ")"
			}
		case httpapi.WebhookDown:
			state = "down: " + w.Plugin + " is not running"
		case httpapi.WebhookUnoffered:
			state = "no resolver offers it"
		}
		t.add(w.Name, service, w.Payload, state, w.Source)
	}
	a.print(t)
}

func (a *app) webhookCheck() *cobra.Command {
	c := &cobra.Command{
		Use:   "check",
		Short: "Check the definitions of a configuration, without a daemon",
		Long: `Check the webhook definitions of a configuration without a daemon: read the files, start the plugins for a moment, and match
each service against what the resolvers offer. The exit status is 1 where a webhook could not work.`,
		Example: `  postrider webhook check
  postrider webhook check --config /etc/postrider/postrider.yaml`,
		Args: takes(),
	}
	asJSON := jsonFlag(c)
	file := c.Flags().String("config", "", "the configuration `file` (default: postrider.yaml, if there is one)")
	plugins := c.Flags().String("plugin-dir", "", "the plugins' `directory` (default: the configuration's)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		settings, err := a.configuration(*file, map[string]string{"plugin_dir": *plugins})
		if err != nil {
			return err
		}
		if err := settings.FillSecrets(a.environ); err != nil {
			return err
		}
		logger := hclog.New(&hclog.LoggerOptions{Output: a.stderr, Level: hclog.Warn, DisableTime: true})
		webhooks, err := daemon.CheckWebhooks(c.Context(), settings, logger)
		if err != nil {
			return err
		}
		if *asJSON {
			if webhooks == nil {
				webhooks = []httpapi.Webhook{}
			}
			err = a.printJSON(httpapi.Page[httpapi.Webhook]{Items: webhooks})
		} else {
			a.printWebhooks(webhooks)
		}
		if err != nil {
			return err
		}
		broken := 0
		for _, w := range webhooks {
			if w.State != httpapi.WebhookOK {
				broken++
			}
		}
		if broken > 0 {
			return fmt.Errorf("%s could not work: events of it would wait until a resolver in %s offers the service",
				count(broken, "webhook"), settings.PluginDir)
		}
		return nil
	}
	return c
}
