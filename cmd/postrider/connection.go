package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
	"github.com/postrider/postrider/core/config"
	"github.com/postrider/postrider/core/daemon"
)

// connection says which daemon a client command talks to.
type connection struct {
	url, token      string
	dataDir, config string
}

func connectionFlags(c *cobra.Command) *connection {
	var to connection
	c.Flags().StringVar(&to.url, "url", "", "the daemon's `URL` (or POSTRIDER_URL; default: the daemon of the data directory)")
	c.Flags().StringVar(&to.token, "token", "", "its API `token` (or POSTRIDER_TOKEN; default: the data directory's)")
	c.Flags().StringVar(&to.dataDir, "data-dir", "", "the local daemon's data `directory` (default: the configuration's)")
	c.Flags().StringVar(&to.config, "config", "", "the local daemon's configuration `file` (default: postrider.yaml, if there is one)")
	return &to
}

// connect returns a client of the daemon that is meant: the named one, else the one of the local data directory. The local admin token is
// offered to this machine alone, never to a daemon that --url names elsewhere.
func (a *app) connect(to *connection) (*client.Client, error) {
	address, token := to.url, to.token
	if address == "" {
		address = a.env("POSTRIDER_URL")
	}
	if token == "" {
		token = a.env("POSTRIDER_TOKEN")
	}
	if address != "" && (token != "" || !isLocal(address)) {
		return client.New(client.Config{URL: address, Token: token})
	}

	dir, err := a.dataDir(to)
	if err != nil {
		return nil, err
	}
	start := "postrider serve"
	if to.config != "" {
		start += " --config " + to.config
	}
	if to.dataDir != "" {
		start += " --data-dir " + to.dataDir
	}
	if address == "" {
		if address, err = readAddress(dir, start); err != nil {
			return nil, err
		}
	}
	if token == "" {
		content, err := os.ReadFile(filepath.Join(dir, daemon.TokenFile))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read the admin token of the data directory %s: %w; run this as the daemon's user, or give --token", dir, err)
		}
		token = strings.TrimSpace(string(content))
	}
	return client.New(client.Config{URL: address, Token: token, Start: start})
}

// get reads what one route of the daemon answers.
func get[T any](ctx context.Context, a *app, to *connection, path ...string) (answer T, err error) {
	daemon, err := a.connect(to)
	if err != nil {
		return answer, err
	}
	err = daemon.Call(ctx, client.Request{Method: http.MethodGet, Path: path}, &answer)
	return answer, err
}

func (a *app) dataDir(to *connection) (string, error) {
	c, err := a.configuration(to.config, map[string]string{"data_dir": to.dataDir})
	if err != nil {
		return "", err
	}
	return c.DataDir, nil
}

// configuration reads the configuration of the daemon from the file that --config names ("": from postrider.yaml, if there is one), from the environment,
// and from the other flags, by the path of the setting. An empty flag is none.
func (a *app) configuration(file string, flags map[string]string) (config.Config, error) {
	if _, err := os.Stat(file); file != "" && errors.Is(err, fs.ErrNotExist) {
		return config.Config{}, fmt.Errorf("there is no configuration file %s: correct --config, or leave it out to use %s or else the defaults",
			file, config.DefaultFile)
	}
	for key, value := range flags {
		if value == "" {
			delete(flags, key)
		}
	}
	return config.Load(file, a.environ, flags)
}

func readAddress(dir, start string) (string, error) {
	content, err := os.ReadFile(filepath.Join(dir, daemon.AddressFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("no daemon is running on the data directory %s: start one with `%s`, or name another daemon by --url", dir, start)
	}
	if err != nil {
		return "", fmt.Errorf("read where the daemon of %s listens: %w", dir, err)
	}
	host, port, err := net.SplitHostPort(strings.TrimSpace(string(content)))
	if err != nil {
		return "", fmt.Errorf("%s does not hold host:port: restart the daemon, or give --url", filepath.Join(dir, daemon.AddressFile))
	}
	if ip, err := netip.ParseAddr(host); host == "" || (err == nil && ip.IsUnspecified()) {
		host = "127.0.0.1" // it listens on every address, this one among them
		if ip.Is6() {
			host = "::1"
		}
	}
	return "http://" + net.JoinHostPort(host, port), nil
}

// isLocal reports whether a URL leads to this machine's loopback.
func isLocal(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	if u.Hostname() == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err == nil && ip.IsLoopback()
}
