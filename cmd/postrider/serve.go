package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/postrider/postrider/core/daemon"
	"github.com/postrider/postrider/sdk/host"
)

func (a *app) serve() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon",
		Long: `Run the daemon until SIGINT or SIGTERM; then finish what is being worked on, and end. A second signal ends it at once: what
was accepted is on disk, and goes on at the next start. SIGHUP reloads the plugins, as ` + "`postrider plugin reload`" + ` does.

Flags win over POSTRIDER_* variables (POSTRIDER_DATA_DIR), those over the configuration file, that over the defaults.`,
		Example: `  postrider serve
  postrider serve --config /etc/postrider/postrider.yaml
  postrider serve --data-dir /var/lib/postrider --listen 0.0.0.0:8075`,
		Args: takes(),
	}
	file := c.Flags().String("config", "", "the configuration `file` (default: postrider.yaml, if there is one)")
	listen := c.Flags().String("listen", "", "the `host:port` of the API (default 127.0.0.1:8075)")
	dataDir := c.Flags().String("data-dir", "", "the `directory` of the database, the admin token and the plugins' sockets (default: data)")
	plugins := c.Flags().String("plugin-dir", "", "the `directory` in which every executable file is a plugin (default: plugins, beside the executable)")
	level := c.Flags().String("log-level", "", "`level` of the log: trace, debug, info, warn, error or off (default: info)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		settings, err := a.configuration(*file, map[string]string{
			"listen": *listen, "data_dir": *dataDir, "plugin_dir": *plugins, "log.level": *level,
		})
		if err != nil {
			return err
		}
		if err := settings.FillSecrets(a.environ); err != nil {
			return err
		}
		logger := hclog.New(&hclog.LoggerOptions{
			Name: "postrider", Output: a.stderr, Level: hclog.LevelFromString(settings.Log.Level), JSONFormat: settings.Log.Format == "json",
		})
		host.BoundGarbage()
		d, err := daemon.New(settings, logger)
		if err != nil {
			return err
		}
		ended := make(chan struct{})
		var reloads sync.WaitGroup
		reloads.Go(func() { reloadOnHangup(c.Context(), d, ended, logger) })
		err = d.Run(c.Context())
		close(ended)
		reloads.Wait()
		return err
	}
	return c
}

// reloadOnHangup reloads the plugins at each SIGHUP, from when they are started until the daemon has ended.
func reloadOnHangup(ctx context.Context, d *daemon.Daemon, ended <-chan struct{}, log hclog.Logger) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	for {
		select {
		case <-ended:
			return
		case <-hangups:
		}
		select {
		case <-ended:
			return
		case <-d.Ready():
		}
		if err := d.ReloadPlugins(ctx); err != nil {
			log.Error("the plugins were not reloaded", "reason", err)
		}
	}
}
