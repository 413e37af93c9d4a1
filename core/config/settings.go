package config

import (
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/retry"
	"github.com/postrider/postrider/core/strictyaml"
)

// shape says how a setting is written outside of a file.
type shape uint8

const (
	plain      shape = iota // as it stands
	list                    // separated by commas, or as YAML in brackets
	structured              // as YAML
)

// Setting is one thing that can be configured.
type Setting struct {
	Path    string // where it stands in the file: keys joined by dots
	Default string // as it would be written; "": see Usage
	Usage   string // what it is, for people
}

// Env returns the name of the environment variable that sets it.
func (s Setting) Env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.Path, ".", "_"))
}

// Settings lists all there is to configure.
func Settings() []Setting {
	all := make([]Setting, len(settings))
	for i, s := range settings {
		all[i] = s.Setting
	}
	return all
}

// setting is a Setting with the way to set it.
type setting struct {
	Setting
	shape shape
	set   func(*Config, input) error
}

// input is a value on its way into the configuration.
type input struct {
	strictyaml.Value
	dir string // that relative paths are relative to
}

// to makes the set function of a setting: the field that it fills, and how to read the value.
func to[T any](field func(*Config) *T, parse func(input) (T, error)) func(*Config, input) error {
	return func(c *Config, in input) (err error) {
		*field(c), err = parse(in)
		return err
	}
}

// settings is the table of everything that can be configured, in the order of the documentation.
var settings = []setting{
	{Setting{"listen", "127.0.0.1:8075", "address of the HTTP API, host:port"}, plain,
		to(func(c *Config) *string { return &c.Listen }, parseListen)},
	{Setting{"data_dir", "data", "directory of the database and its journal, the admin token and the plugins' sockets"}, plain,
		to(func(c *Config) *string { return &c.DataDir }, parsePath)},
	{Setting{"plugin_dir", "", "directory in which every executable file is a plugin; default: `plugins/` beside the executable"}, plain,
		to(func(c *Config) *string { return &c.PluginDir }, parsePath)},
	{Setting{"queue.url", "bolt:", "where events and deliveries wait: `bolt:`, the embedded database, or `amqp://user@host:5672/vhost`, RabbitMQ (`amqps` for TLS)"}, plain,
		to(func(c *Config) *string { return &c.Queue.URL }, parseQueueURL)},
	{Setting{"queue.password", "", "the user's password at RabbitMQ, if `queue.url` does not hold it: better by its variable than in the file"}, plain,
		to(func(c *Config) *string { return &c.Queue.Password }, parseText)},
	{Setting{"queue.password_file", "", "a file that holds that password and nothing else, read when the daemon starts"}, plain,
		to(func(c *Config) *string { return &c.Queue.PasswordFile }, parsePath)},
	{Setting{"queue.tls.ca_file", "", "PEM file of the authorities that the certificate of an `amqps` broker may be from; default: the system's"}, plain,
		to(func(c *Config) *string { return &c.Queue.TLS.CAFile }, parsePath)},
	{Setting{"queue.tls.cert_file", "", "PEM file of the certificate that the daemon shows to an `amqps` broker"}, plain,
		to(func(c *Config) *string { return &c.Queue.TLS.CertFile }, parsePath)},
	{Setting{"queue.tls.key_file", "", "PEM file of that certificate's key"}, plain,
		to(func(c *Config) *string { return &c.Queue.TLS.KeyFile }, parsePath)},
	{Setting{"queue.prefix", "webhook", "what the names of Postrider's own queues on RabbitMQ begin with; two installations on one vhost need two"}, plain,
		to(func(c *Config) *string { return &c.Queue.Prefix }, parseName)},
	{Setting{"queue.trigger.exchange", "magento", "topic exchange on RabbitMQ that events are published to"}, plain,
		to(func(c *Config) *string { return &c.Queue.Trigger.Exchange }, parseName)},
	{Setting{"queue.trigger.key", "webhook.trigger", "their routing key"}, plain,
		to(func(c *Config) *string { return &c.Queue.Trigger.Key }, parseName)},
	{Setting{"queue.trigger.queue", "webhook.trigger", "the queue that they are consumed from; one that exists already is used as it is, unless it is a stream, and nothing is bound to it"}, plain,
		to(func(c *Config) *string { return &c.Queue.Trigger.Queue }, parseName)},
	{Setting{"store.url", "bolt:", "where subscribers and the log are; `bolt:` is the embedded database"}, plain,
		to(func(c *Config) *string { return &c.Store.URL }, parseStoreURL)},
	{Setting{"store.retention", "72h", "how long events and their attempts are kept, from when they are over; at least 24h"}, plain,
		to(func(c *Config) *time.Duration { return &c.Store.Retention }, parseRetention)},
	{Setting{"store.reserve", "", "how much of the disk stays free for what was accepted already: below it, publishes are refused (507); default: 64MiB, or an eighth of a small disk"}, plain,
		to(func(c *Config) *int64 { return &c.Store.Reserve }, parseSize(1<<20, 1<<50))},
	{Setting{"store.max_size", "", "how large the database may grow; default: as large as the disk"}, plain,
		to(func(c *Config) *int64 { return &c.Store.MaxSize }, parseSize(64<<20, 1<<50))},
	{Setting{"webhooks", "", "files that define webhooks; default: `webhooks.yaml` and `webhooks.xml`, those that exist"}, list,
		to(func(c *Config) *[]string { return &c.Webhooks }, parsePaths)},
	{Setting{"plugins", "{}", "configuration and limits of plugins, by described name"}, structured,
		to(func(c *Config) *map[string]Plugin { return &c.Plugins }, parsePlugins)},
	{Setting{"notifiers", "{default: {plugin: http}}", "what a subscriber's `metadata` may name, beside every notifier's own name"}, structured,
		to(func(c *Config) *map[string]Notifier { return &c.Notifiers }, parseNotifiers)},
	{Setting{"envelope", "standard", "what surrounds the payload: `standard`, `cloudevents` or `raw`"}, plain,
		to(func(c *Config) *core.Envelope { return &c.Envelope }, parseEnvelope)},
	{Setting{"retry", "{schedule: quadratic, max_retries: 5}", "when failed deliveries are tried again"}, structured,
		to(func(c *Config) *retry.Schedule { return &c.Retry }, parseRetry)},
	{Setting{"egress.allow", "[]", "CIDRs, addresses and host names of your own network that plugins may reach"}, list,
		to(func(c *Config) *[]string { return &c.Egress.Allow }, parseAllow)},
	{Setting{"lanes.concurrency", "64", "attempts at a time for one subscriber"}, plain,
		to(func(c *Config) *int { return &c.Lanes.Concurrency }, parseCount(1, 10_000))},
	{Setting{"lanes.max_age", "24h", "how long beyond its schedule a delivery may wait before it is given up"}, plain,
		to(func(c *Config) *time.Duration { return &c.Lanes.MaxAge }, parseDuration(365*24*time.Hour))},
	{Setting{"limits.body", "1MiB", "longest body of a request to the API"}, plain,
		to(func(c *Config) *int64 { return &c.Limits.Body }, parseSize(1<<10, 64<<20))},
	{Setting{"limits.backlog", "0", "how many events and deliveries may be waiting to be worked at before the API takes no more (429); 0: no limit"}, plain,
		to(func(c *Config) *int { return &c.Limits.Backlog }, parseCount(0, 1_000_000_000))},
	{Setting{"timeouts.attempt", "30s", "how long one attempt by a notifier may take"}, plain,
		to(func(c *Config) *time.Duration { return &c.Timeouts.Attempt }, parseDuration(time.Hour))},
	{Setting{"timeouts.resolve", "30s", "how long one call of a resolver may take"}, plain,
		to(func(c *Config) *time.Duration { return &c.Timeouts.Resolve }, parseDuration(time.Hour))},
	{Setting{"timeouts.drain", "20s", "how long a daemon that is told to stop lets running work finish"}, plain,
		to(func(c *Config) *time.Duration { return &c.Timeouts.Drain }, parseDuration(time.Hour))},
	{Setting{"log.level", "info", "`trace`, `debug` (a line for each failed attempt), `info` (for the last one alone), `warn`, `error` or `off`"}, plain,
		to(func(c *Config) *string { return &c.Log.Level }, parseChoice("trace", "debug", "info", "warn", "error", "off"))},
	{Setting{"log.format", "text", "`text` or `json`"}, plain,
		to(func(c *Config) *string { return &c.Log.Format }, parseChoice("text", "json"))},
}

// settingAt finds a setting by its path.
func settingAt(path string) (setting, bool) {
	i := slices.IndexFunc(settings, func(s setting) bool { return s.Path == path })
	if i < 0 {
		return setting{}, false
	}
	return settings[i], true
}

// keysBelow lists the keys that may stand in the section of a prefix: "" for the top level, else a path with a dot at its end.
func keysBelow(prefix string) []string {
	var keys []string
	for _, s := range settings {
		if rest, ok := strings.CutPrefix(s.Path, prefix); ok {
			key, _, _ := strings.Cut(rest, ".")
			if !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	return keys
}
