package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// versionInfo is what a build says about itself. `go install …@v1.2.3` and a build from a clone both leave it in the binary.
type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func (a *app) version() *cobra.Command {
	c := &cobra.Command{Use: "version", Short: "Say which Postrider this is", Args: takes()}
	asJSON := jsonFlag(c)
	c.RunE = func(*cobra.Command, []string) error {
		info := readVersion()
		if *asJSON {
			return a.printJSON(info)
		}
		line := "postrider " + info.Version
		if info.Revision != "" {
			line += " (" + info.Revision + ")"
		}
		a.sayf("%s, %s, %s", line, info.Go, info.Platform)
		return nil
	}
	return c
}

func readVersion() versionInfo {
	info := versionInfo{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return info
	}
	if build.Main.Version != "" {
		info.Version = build.Main.Version
	}
	for _, s := range build.Settings {
		switch {
		case s.Key == "vcs.revision":
			info.Revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			info.Revision += ", with changes"
		}
	}
	return info
}
