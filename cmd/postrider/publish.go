package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
	"github.com/postrider/postrider/core/httpapi"
)

func (a *app) publish() *cobra.Command {
	c := &cobra.Command{
		Use:   "publish [EVENT]",
		Short: "Publish an event",
		Long: `Publish an event: its name, and the named arguments of the service that makes its payload. When the command returns,
the daemon has the event on disk.

Give --id to be able to repeat a publish without harm: the daemon takes an id once. A file of events, each
{"id","event","arguments"}, goes out as one batch, all or nothing: leave EVENT out.`,
		Example: `  postrider publish sales.order.created --args '{"id":1}'
  postrider publish stock.item.changed --file item.json --id stock-4711
  generate-events | postrider publish --file -`,
		Args: takes("[EVENT]"),
	}
	to, asJSON := connectionFlags(c), jsonFlag(c)
	arguments := c.Flags().String("args", "", "the arguments, a `JSON` object (default {})")
	id := c.Flags().String("id", "", "the event's `id` (default: the daemon makes one)")
	file := c.Flags().String("file", "", "read the arguments, or without EVENT whole events, from a `file`; - is standard input")
	c.MarkFlagsMutuallyExclusive("args", "file")
	c.RunE = func(c *cobra.Command, args []string) error {
		switch {
		case len(args) == 0 && *file == "":
			return usagef("%s wants an EVENT, as in `postrider publish sales.order.created`", nameOf(c))
		case len(args) == 0 && *id != "":
			return usagef("--id belongs to one EVENT; events that come whole from a file carry their own")
		case len(args) == 0:
			return a.publishFile(c.Context(), to, *file, *asJSON)
		}
		content := []byte("{}")
		if c.Flags().Changed("args") {
			content = []byte(*arguments)
		}
		if *file != "" {
			var err error
			if content, err = a.readFile(*file); err != nil {
				return err
			}
		}
		if err := checkJSON(content); err != nil { // here, where the shell's quoting is still in sight
			return fmt.Errorf("the arguments are not JSON: %w; quote them for the shell, as in --args '{\"id\":1}'", err)
		}
		var published httpapi.Published
		if err := a.post(c.Context(), to, httpapi.Event{ID: *id, Event: args[0], Arguments: content}, &published); err != nil {
			return err
		}
		if *asJSON {
			return a.printJSON(published)
		}
		a.sayf("Published %s as %s", printable(published.Event), printable(published.ID))
		return nil
	}
	return c
}

// publishFile publishes a file of events as one batch.
func (a *app) publishFile(ctx context.Context, to *connection, file string, asJSON bool) error {
	content, err := a.readFile(file)
	if err != nil {
		return err
	}
	events, err := batch(content)
	if err != nil {
		return fmt.Errorf("read events from %s: %w", file, err)
	}
	var published []httpapi.Published
	if err := a.post(ctx, to, events, &published); err != nil {
		return err
	}
	if asJSON {
		return a.printJSON(published)
	}
	for _, p := range published {
		a.sayf("%s  %s", printable(p.ID), printable(p.Event))
	}
	return nil
}

// post publishes an event, or an array of them, and reads what was published.
func (a *app) post(ctx context.Context, to *connection, events, published any) error {
	daemon, err := a.connect(to)
	if err != nil {
		return err
	}
	return daemon.Call(ctx, client.Request{Method: http.MethodPost, Path: []string{"v1", "events"}, Body: events}, published)
}

// batch reads an array of events, or any number of event objects one after the other.
func batch(content []byte) ([]json.RawMessage, error) {
	var events []json.RawMessage
	if bytes.HasPrefix(bytes.TrimSpace(content), []byte("[")) {
		err := json.Unmarshal(content, &events)
		return events, err
	}
	for d := json.NewDecoder(bytes.NewReader(content)); ; {
		var one json.RawMessage
		if err := d.Decode(&one); err == io.EOF {
			break
		} else if err != nil {
			return nil, fmt.Errorf("event %d: %w", len(events)+1, err)
		}
		events = append(events, one)
	}
	if len(events) == 0 {
		return nil, errors.New("there are none")
	}
	return events, nil
}
