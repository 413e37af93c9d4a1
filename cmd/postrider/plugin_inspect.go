package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/fields"
	"github.com/postrider/postrider/core/pluginhost"
	"github.com/postrider/postrider/sdk/host"
)

func (a *app) pluginInspect() *cobra.Command {
	c := &cobra.Command{
		Use:   "inspect PATH",
		Short: "Show what a plugin offers and takes",
		Long: `Show what the plugin in a file says of itself: its services and their arguments, its configuration, and the settings that a subscriber
may have. No daemon is needed: the plugin is started for a moment.

With --config, it also gets the configuration that the file gives it: services may follow from that.`,
		Example: `  postrider plugin inspect /usr/lib/postrider/plugins/notifier-http
  postrider plugin inspect ./orders --markdown > orders.md`,
		Args: takes("PATH"),
	}
	asJSON := jsonFlag(c)
	asMarkdown := c.Flags().Bool("markdown", false, "print Markdown instead of text")
	file := c.Flags().String("config", "", "the configuration `file` of a daemon (default: none)")
	c.RunE = func(c *cobra.Command, args []string) error {
		if *asJSON && *asMarkdown {
			return usagef("--json and --markdown: choose one")
		}
		i, err := a.inspectPlugin(c.Context(), args[0], *file)
		if err != nil {
			return err
		}
		if *asJSON {
			return a.printJSON(i)
		}
		sections, err := i.sections()
		if err != nil {
			return err
		}
		if *asMarkdown {
			a.printMarkdown(i, sections)
		} else {
			a.printInspection(i, sections)
		}
		return nil
	}
	return c
}

// inspection is what a plugin says of itself, as --json prints it.
type inspection struct {
	File          string             `json:"file"`
	Name          string             `json:"name"`
	Version       string             `json:"version"`
	Role          string             `json:"role"` // resolver or notifier
	MaxInFlight   int                `json:"max_in_flight"`
	Services      []inspectedService `json:"services"`                // of a resolver
	Configuration json.RawMessage    `json:"configuration,omitempty"` // JSON Schema; left out: it takes none
	Settings      json.RawMessage    `json:"settings,omitempty"`      // JSON Schema of a subscriber's settings; left out: it takes none
}

type inspectedService struct {
	Class       string          `json:"class"`
	Method      string          `json:"method"`
	Description string          `json:"description,omitempty"`
	Arguments   json.RawMessage `json:"arguments"` // JSON Schema
}

// inspectPlugin starts the plugin in a file for a moment. With a configuration file, it is configured.
func (a *app) inspectPlugin(ctx context.Context, path, file string) (inspection, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return inspection{}, err
	}
	p, err := host.Launch(ctx, host.Config{Path: path, Env: pluginhost.Environment()})
	if err != nil {
		return inspection{}, err
	}
	defer func() {
		p.Kill()
		<-p.Done()
	}()
	d := p.Description()
	if file != "" {
		settings, err := a.configuration(file, nil)
		if err != nil {
			return inspection{}, err
		}
		configuration, err := configurationOf(settings, d.Name, "")
		if err != nil {
			return inspection{}, err
		}
		if err := p.Configure(ctx, configuration, settings.Egress.Allow); err != nil {
			return inspection{}, err
		}
		d = p.Description()
	}
	i := inspection{
		File: path, Name: d.Name, Version: d.Version, Role: d.Role, MaxInFlight: d.MaxInFlight, Services: []inspectedService{},
		Configuration: d.ConfigSchema, Settings: d.SettingsSchema,
	}
	for _, s := range d.Services {
		i.Services = append(i.Services, inspectedService(s))
	}
	return i, nil
}

// section is one table of an inspection, with what stands above it.
type section struct {
	title  string
	about  string // a sentence or two
	noun   string // what the fields are
	none   string // what to say where there are none, in place of about
	fields []fields.Field
}

// sections returns what is to be shown, services first.
func (i inspection) sections() ([]section, error) {
	var sections []section
	add := func(s section, schema json.RawMessage) error {
		var err error
		if s.fields, err = fields.List(schema); err != nil {
			return fmt.Errorf("the schema of the %s of %s is %w", strings.ToLower(s.title), i.Name, err)
		}
		sections = append(sections, s)
		return nil
	}
	for _, s := range i.Services {
		about := strings.TrimSpace(s.Description)
		if about == "" {
			about = "It has no description."
		}
		if err := add(section{title: "Service " + s.Class + "::" + s.Method, about: about, noun: "argument", none: about + " It takes no arguments."}, s.Arguments); err != nil {
			return nil, err
		}
	}
	where := "plugins." + i.Name + ".config"
	if i.Role == host.RoleNotifier {
		where += ", or notifiers.<name>.config for a name of your own,"
	}
	if err := add(section{title: "Configuration", about: where + " in postrider.yaml.", noun: "key", none: "It takes no configuration."}, i.Configuration); err != nil {
		return nil, err
	}
	if i.Role == host.RoleNotifier {
		err := add(section{title: "Settings", about: "What a subscriber may be created with, as settings.", noun: "setting", none: "It takes no settings."}, i.Settings)
		if err != nil {
			return nil, err
		}
	}
	return sections, nil
}

func (a *app) printInspection(i inspection, sections []section) {
	var f facts
	f.add("name", i.Name)
	f.add("version", i.Version)
	f.add("role", i.Role)
	f.add("in flight", "up to "+thousands(i.MaxInFlight))
	f.add("file", i.File)
	a.printFacts(f)
	for _, s := range sections {
		a.sayf("\n%s", a.bold(printable(s.title)))
		if len(s.fields) == 0 {
			a.sayf("%s", printable(s.none))
			continue
		}
		a.sayf("%s", printable(s.about))
		t := table{header: []string{strings.ToUpper(s.noun), "TYPE", "REQUIRED", "DEFAULT", "MEANING"}}
		for _, field := range s.fields {
			t.add(field.Path, field.Type, required(field), field.Default, field.Description)
		}
		t.dropEmpty()
		a.print(t)
	}
}

func required(f fields.Field) string {
	if f.Required {
		return "yes"
	}
	return ""
}

func (a *app) printMarkdown(i inspection, sections []section) {
	a.sayf("# %s\n\nA %s plugin for Postrider, version %s. It takes up to %s at a time.", markdown(i.Name), i.Role, markdown(i.Version),
		count(i.MaxInFlight, "request"))
	for _, s := range sections {
		a.sayf("\n## %s\n", markdown(s.title))
		if len(s.fields) == 0 {
			a.sayf("%s", markdown(s.none))
			continue
		}
		a.sayf("%s\n\n| %s | type | required | default | meaning |\n|---|---|---|---|---|", markdown(s.about), s.noun)
		for _, f := range s.fields {
			a.sayf("| %s | %s | %s | %s | %s |", code(f.Path), markdown(f.Type), required(f), code(f.Default), markdown(f.Description))
		}
	}
}

// markdown makes text mean itself in Markdown, in one line and inside of a table.
func markdown(s string) string {
	return markdownEscapes.Replace(oneLine(s))
}

var markdownEscapes = strings.NewReplacer(`\`, `\\`, "`", "\\`", "|", `\|`, "*", `\*`, "_", `\_`, "<", `\<`, ">", `\>`, "[", `\[`, "]", `\]`, "#", `\#`)

// code is text in Markdown's type of a program's; "" stays that. A table needs its bars escaped even there.
func code(s string) string {
	if s = oneLine(s); s == "" {
		return ""
	}
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	if len(fence) > 1 {
		s = " " + s + " "
	}
	return fence + strings.ReplaceAll(s, "|", `\|`) + fence
}
