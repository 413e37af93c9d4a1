package main

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/core/httpapi"
)

func (a *app) service() *cobra.Command {
	c := &cobra.Command{Use: "service", Aliases: []string{"services"}, Short: "Look at what the resolvers offer"}
	c.AddCommand(a.serviceList())
	return c
}

func (a *app) serviceList() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List the services that webhooks can name", Args: takes()}
	to, asJSON := connectionFlags(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		page, err := get[httpapi.Page[httpapi.OfferedService]](c.Context(), a, to, "v1", "services")
		if err != nil {
			return err
		}
		if *asJSON {
			return a.printJSON(page)
		}
		if len(page.Items) == 0 {
			a.sayf("No services: no resolver is in the daemon's plugin directory.")
			return nil
		}
		t := table{header: []string{"CLASS", "METHOD", "ARGUMENTS", "PLUGIN", "STATE"}}
		for _, s := range page.Items {
			state := "up"
			if !s.Up {
				state = "down"
			}
			t.add(s.Class, s.Method, argumentNames(s.Arguments), s.Plugin, state)
		}
		a.print(t)
		return nil
	}
	return c
}

// argumentNames returns the names in a JSON Schema of arguments, optional ones in brackets.
func argumentNames(schema json.RawMessage) string {
	var s struct {
		Properties map[string]json.RawMessage `json:"properties"`
		Required   []string                   `json:"required"`
	}
	if json.Unmarshal(schema, &s) != nil {
		return ""
	}
	var names []string
	for name := range s.Properties {
		if !slices.Contains(s.Required, name) {
			name = "[" + name + "]"
		}
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(strings.Trim(a, "["), strings.Trim(b, "[")) })
	return strings.Join(names, ", ")
}
