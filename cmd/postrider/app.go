package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// The exit statuses.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2 // the command line itself is wrong: nothing was done
)

// app is all of the world that a command may touch.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string // as os.Environ
	executable     string   // the path of this program: plugins/ lies beside it, and bench and demo start it as their daemon
	terminal       bool     // stdout is a terminal
	progress       bool     // stderr is a terminal: progress may rewrite its line
}

// env returns the value of an environment variable, "" where it is not set.
func (a *app) env(name string) string {
	value := ""
	for _, entry := range a.environ {
		if v, ok := strings.CutPrefix(entry, name+"="); ok {
			value = v
		}
	}
	return value
}

// colours reports whether stdout takes them (https://no-color.org).
func (a *app) colours() bool { return a.terminal && a.env("NO_COLOR") == "" && a.env("TERM") != "dumb" }

// usageError is a command line that can't be understood, as against one that can't be done.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// run executes the command line and returns the exit status. Cancelling ctx asks the command to finish: no failure for those that run until
// then.
func run(ctx context.Context, a *app, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		fmt.Fprintln(a.stderr, "postrider: interrupted")
		return exitError
	}
	fmt.Fprintf(a.stderr, "postrider: %s\n", printable(err.Error()))
	if usage := (usageError{}); errors.As(err, &usage) {
		fmt.Fprintf(a.stderr, "`%s --help` shows how it is used.\n", command.CommandPath())
		return exitUsage
	}
	return exitError
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "postrider",
		Short: "Postrider delivers webhooks",
		Long: `Postrider delivers webhooks: it takes thin events, fetches their payload from a resolver plugin, and hands it to a
notifier plugin once for every subscriber, retrying and finally dead-lettering what can't be delivered.

Commands that talk to a daemon find the one of the local data directory by themselves; --url and --token (or
POSTRIDER_URL and POSTRIDER_TOKEN) name another one.`,
		Example: `  postrider demo                       see it work
  postrider serve                      run the daemon
  postrider publish sales.order.created --args '{"id":1}'`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(flagError)
	root.AddGroup(
		&cobra.Group{ID: "daemon", Title: "The daemon:"},
		&cobra.Group{ID: "work", Title: "What it works on:"},
		&cobra.Group{ID: "try", Title: "Trying it out:"},
		&cobra.Group{ID: "other", Title: "And:"},
	)
	root.SetUsageTemplate(usageTemplate)
	grouped := func(id string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = id
		}
		root.AddCommand(commands...)
	}
	grouped("daemon", a.serve(), a.webhook(), a.service(), a.plugin(), a.queue(), a.db())
	grouped("work", a.publish(), a.subscriber(), a.event(), a.delivery(), a.deadLetter())
	grouped("try", a.demo(), a.listen(), a.bench())
	grouped("other", a.version())
	root.SetHelpCommandGroupID("other")
	root.SetCompletionCommandGroupID("other")
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	branches(root)
	return root
}

// branches makes a command that only holds others show its help when called alone, and refuse what it doesn't hold.
func branches(command *cobra.Command) {
	for _, c := range command.Commands() {
		branches(c)
	}
	if !command.HasSubCommands() || command.Runnable() {
		return
	}
	command.Args = func(*cobra.Command, []string) error { return nil }
	command.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		where := ""
		if c.HasParent() {
			where = " of " + nameOf(c)
		}
		c.SuggestionsMinimumDistance = 2 // letters that may differ
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			return usagef("there is no command %q%s; did you mean %s?", args[0], where, strings.Join(near, " or "))
		}
		return usagef("there is no command %q%s", args[0], where)
	}
}

// nameOf returns what a user calls a command, as "dead-letter replay".
func nameOf(c *cobra.Command) string { return strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" ") }

// takes checks the number of arguments: what names them in the order of the usage line, as "EVENT" and "URL". A last name that ends
// in "…" takes one or more, one in brackets none or more.
func takes(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		least, most := len(names), len(names)
		if least > 0 {
			last := names[least-1]
			if strings.HasSuffix(last, "…") || strings.HasSuffix(last, "…]") {
				most = -1
			}
			if strings.HasPrefix(last, "[") {
				least--
			}
		}
		if len(args) < least {
			return usagef("%s wants %s: %s is missing", nameOf(c), strings.Join(names, " "), names[len(args)])
		}
		if most >= 0 && len(args) > most {
			return usagef("%s does not know what to do with %q: it takes %s", nameOf(c), args[most], describe(names))
		}
		return nil
	}
}

func describe(names []string) string {
	if len(names) == 0 {
		return "no arguments"
	}
	return strings.Join(names, " ")
}
