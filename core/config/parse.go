package config

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/retry"
	"github.com/postrider/postrider/core/spelling"
)

func parseListen(in input) (string, error) {
	text, err := in.Text()
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", in.Errorf("listen: %q is not an address: write host:port, as 127.0.0.1:8075, or :8075 for every network of this machine", text)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", in.Errorf("listen: %q is not a port: it is a number from 0 to 65535, where 0 picks one that is free", port)
	}
	return text, nil
}

func parsePath(in input) (string, error) {
	text, err := in.Text()
	switch {
	case err != nil:
		return "", err
	case text == "":
		return "", in.Errorf("a path must not be empty")
	case filepath.IsAbs(text):
		return filepath.Clean(text), nil
	}
	return filepath.Join(in.dir, text), nil
}

func parsePaths(in input) ([]string, error) { return parseEach(in, parsePath) }

// parseEach reads a list, and reports every entry that is wrong.
func parseEach[T any](in input, parse func(input) (T, error)) ([]T, error) {
	items, err := in.Items()
	if err != nil {
		return nil, err
	}
	var (
		all  []T
		errs []error
	)
	for _, item := range items {
		one, err := parse(input{item, in.dir})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, one)
	}
	return all, errors.Join(errs...)
}

// parseStoreURL reads where the store is.
func parseStoreURL(in input) (string, error) {
	u, text, err := parseURL("store.url", in)
	switch {
	case err != nil:
		return "", err
	case u.Scheme == "postgres" || u.Scheme == "postgresql":
		return "", in.Errorf("store.url: %s:// is not built into this version: use \"bolt:\", the embedded database", u.Scheme)
	case u.Scheme != "bolt":
		return "", in.Errorf("store.url: the scheme %q is unknown: use \"bolt:\", the embedded database", u.Scheme)
	}
	return text, checkBolt("store.url", in, text)
}

// parseURL reads a URL. What is wrong with it is said without repeating it, since it may hold a password.
func parseURL(what string, in input) (*url.URL, string, error) {
	text, err := in.Text()
	if err != nil {
		return nil, "", in.Errorf("%s: this is not a URL: write it in quotes, as \"bolt:\"", what)
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" {
		return nil, "", in.Errorf("%s: this is not a URL: it begins with a scheme, as \"bolt:\"; special characters of a user or password are "+
			"written as %%XX", what)
	}
	return u, text, nil
}

func checkBolt(what string, in input, text string) error {
	if text != "bolt:" {
		return in.Errorf("%s: \"bolt:\" takes nothing after it: the database lies in data_dir", what)
	}
	return nil
}

func parseEnvelope(in input) (core.Envelope, error) {
	word, err := parseChoice(string(core.EnvelopeStandard), string(core.EnvelopeCloudEvents), string(core.EnvelopeRaw))(in)
	return core.Envelope(word), err
}

func parseRetry(in input) (retry.Schedule, error) {
	raw, err := in.JSON()
	if err != nil {
		return retry.Schedule{}, err
	}
	schedule, err := retry.Parse(raw)
	if err != nil {
		return retry.Schedule{}, in.Errorf("retry: %w", err)
	}
	return schedule, nil
}

func parseAllow(in input) ([]string, error) { return parseEach(in, parseReachable) }

// parseReachable reads an entry of egress.allow as far as it can be judged alone: what has a slash must be a CIDR, what has a scheme is no host.
func parseReachable(in input) (string, error) {
	text, err := in.Text()
	if err != nil {
		return "", err
	}
	if text == "" || strings.ContainsAny(text, " \t@") || strings.Contains(text, "://") {
		return "", in.Errorf("egress.allow: %q is neither a CIDR, an address nor a host name: write 10.1.0.0/16, 10.1.2.3 or shop.internal", text)
	}
	if strings.Contains(text, "/") {
		if _, err := netip.ParsePrefix(text); err != nil {
			return "", in.Errorf("egress.allow: %q is not a CIDR: write one as 10.1.0.0/16", text)
		}
	}
	return text, nil
}

// parseCount reads a whole number from least to most.
func parseCount(least, most int) func(input) (int, error) {
	return func(in input) (int, error) {
		text, err := in.Text()
		if err != nil {
			return 0, err
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < least || n > most {
			return 0, in.Errorf("%q is out of bounds: it must be a whole number from %d to %d", text, least, most)
		}
		return n, nil
	}
}

// parseRetention reads how long things are kept: publishers may repeat an event for a day.
func parseRetention(in input) (time.Duration, error) {
	d, err := parseDuration(10 * 365 * 24 * time.Hour)(in)
	if err == nil && d < 24*time.Hour {
		return 0, in.Errorf("%s is too short: repeated publishes are recognised for at least 24h", d)
	}
	return d, err
}

func parseDuration(longest time.Duration) func(input) (time.Duration, error) {
	return func(in input) (time.Duration, error) {
		text, err := in.Text()
		if err != nil {
			return 0, err
		}
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, in.Errorf("%q is not a duration: write a number and its unit, as 30s, 10m or 2h", text)
		}
		if d <= 0 || d > longest {
			return 0, in.Errorf("%s is out of bounds: it must be more than zero, and %.0fh at most", text, longest.Hours())
		}
		return d, nil
	}
}

// units are what a size may end in, longest first.
var units = []struct {
	name  string
	bytes int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1}}

func parseSize(least, most int64) func(input) (int64, error) {
	return func(in input) (int64, error) {
		text, err := in.Text()
		if err != nil {
			return 0, err
		}
		for _, unit := range units {
			digits, ok := strings.CutSuffix(text, unit.name)
			if !ok {
				continue
			}
			n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
			if err != nil {
				break
			}
			if n < 0 || n > most/unit.bytes || n*unit.bytes < least {
				return 0, in.Errorf("%s is out of bounds: it must be from %d to %d bytes", text, least, most)
			}
			return n * unit.bytes, nil
		}
		return 0, in.Errorf("%q is not a size: write a number of bytes, or one with a unit, as 512KiB or 1MiB", text)
	}
}

func parseChoice(words ...string) func(input) (string, error) {
	return func(in input) (string, error) {
		text, err := in.Text()
		if err != nil {
			return "", err
		}
		if !slices.Contains(words, text) {
			last := len(words) - 1
			return "", in.Errorf("%q is unknown%s: it is %s or %s", text, spelling.DidYouMean(text, words), strings.Join(words[:last], ", "), words[last])
		}
		return text, nil
	}
}
