package main

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/skeleton"
	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/host"
)

func (a *app) pluginNew() *cobra.Command {
	c := &cobra.Command{
		Use:   "new resolver|notifier NAME",
		Short: "Write the beginning of a plugin, in Go",
		Long: `Write the beginning of a plugin: a Go module with a program that works, its tests, a README and a sample configuration. Change it
into what you want.`,
		Example: `  postrider plugin new resolver customers
  postrider plugin new notifier mail --dir ~/plugins/mail --replace ~/postrider`,
		Args: takes("resolver|notifier", "NAME"),
	}
	dir := c.Flags().String("dir", "", "the `directory` to write to (default: one of the plugin's name)")
	clone := c.Flags().String("replace", "", "your clone of Postrider, a `directory`, which the module takes the SDK from (default: the one that this program lies in, if it does)")
	asJSON := jsonFlag(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		p := skeleton.Plugin{Role: args[0], Name: args[1]}
		if err := checkNewPlugin(p); err != nil {
			return err
		}
		if *dir == "" {
			*dir = p.Name
		}
		if err := a.findSDK(&p, *clone); err != nil {
			return err
		}
		files, err := skeleton.Write(*dir, p)
		if err != nil {
			return err
		}
		if *asJSON {
			return a.printJSON(newPlugin{Dir: *dir, Role: p.Role, Name: p.Name, Replace: p.Clone, Files: files})
		}
		a.sayf("A %s in %s:", p.Role, printable(*dir))
		for _, file := range files {
			a.sayf("  %s", file)
		}
		a.sayf("\nNext:\n  cd %s", printable(*dir))
		if p.Clone == "" {
			a.sayf("  go mod edit -replace %s=/path/to/postrider   # your clone: the SDK is not published yet", skeleton.Module)
		}
		a.sayf("  go mod tidy\n  go test ./...\n  go build\n  postrider plugin test ./%s", p.Name)
		return nil
	}
	return c
}

// newPlugin is what --json prints.
type newPlugin struct {
	Dir     string   `json:"dir"`
	Role    string   `json:"role"`
	Name    string   `json:"name"`
	Replace string   `json:"replace,omitempty"` // the clone that the SDK comes from
	Files   []string `json:"files"`
}

// checkNewPlugin refuses what no plugin is called.
func checkNewPlugin(p skeleton.Plugin) error {
	if p.Role != host.RoleResolver && p.Role != host.RoleNotifier {
		return usagef("a plugin is a resolver or a notifier, not a %q", p.Role)
	}
	nothing := func(context.Context, sdk.Delivery) (sdk.Outcome, error) { return sdk.Delivered(), nil }
	if _, err := sdk.NewNotifier(p.Name, "0.1.0", sdk.NotifierFunc(nothing)); err != nil {
		return usageError{err}
	}
	return nil
}

// release is a version of a module that go can get.
var release = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+$`)

// findSDK says where the plugin's module takes the SDK from: the given clone, or the one that this program lies in, or this program's own version.
func (a *app) findSDK(p *skeleton.Plugin, clone string) error {
	p.Version = "v0.0.0"
	if clone != "" {
		absolute, err := filepath.Abs(clone)
		if err != nil {
			return err
		}
		if !skeleton.IsClone(absolute) {
			return fmt.Errorf("--replace %s: there is no go.mod of %s in it; name the top directory of a clone", clone, skeleton.Module)
		}
		p.Clone = absolute
		return nil
	}
	if version := readVersion().Version; release.MatchString(version) {
		p.Version = version
		return nil
	}
	p.Clone = skeleton.FindClone(filepath.Dir(a.executable))
	return nil
}
