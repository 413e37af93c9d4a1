package config

import (
	"encoding/json"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/retry"
)

// Config is the whole configuration of one daemon. [Load] makes it: every field is filled in and valid, every path absolute.
//
// It holds secrets (the passwords in URLs, the configuration of plugins): never log it whole.
type Config struct {
	Listen    string // address of the HTTP API, host:port
	DataDir   string // bbolt file, admin token, plugin sockets
	PluginDir string
	Queue     Queue
	Store     Store
	Webhooks  []string            // definition files
	Plugins   map[string]Plugin   // by described name
	Notifiers map[string]Notifier // by the name that a subscriber's metadata gives; "default" is always there
	Envelope  core.Envelope       // never ""
	Retry     retry.Schedule
	Egress    Egress
	Lanes     Lanes
	Limits    Limits
	Timeouts  Timeouts
	Log       Log
}

// Store says where subscribers and the log are, and what they may take.
type Store struct {
	URL       string        // "bolt:" is the embedded one; may hold a password
	Retention time.Duration // how long events and their attempts are kept
	Reserve   int64         // bytes of the disk that stay free for what was accepted already; 0: 64 MiB, or an eighth of a small disk
	MaxSize   int64         // bytes that the database may grow to; 0: whatever the disk has
}

// String returns the URL without its password.
func (s Store) String() string { return redacted(s.URL) }

// Plugin configures one plugin.
type Plugin struct {
	Config  json.RawMessage // a JSON object, by the plugin's own schema; nil: none
	Filled  []string        // what [Config.FillSecrets] filled in: to be hidden
	User    string          // that its processes run as; "": the daemon's
	Memory  int64           // bytes that one may keep; 0: any number
	Files   int             // descriptors that one may have open; 0: as many as the daemon
	written *written        // where references are to be filled in; nil: there are none
}

// Notifier gives a name to a notifier plugin with a configuration of its own.
type Notifier struct {
	Plugin  string          // described name
	Config  json.RawMessage // a JSON object; nil: none
	Filled  []string        // what [Config.FillSecrets] filled in: to be hidden
	written *written        // where references are to be filled in; nil: there are none
}

// Egress says what plugins may reach.
type Egress struct {
	Allow []string // CIDRs, IP addresses and host names in the operator's own network
}

// Lanes bounds what runs and what waits for one subscriber.
type Lanes struct {
	Concurrency int           // attempts at a time
	MaxAge      time.Duration // how long beyond its schedule a delivery may wait before it is dead-lettered
}

// Limits bounds what the API takes.
type Limits struct {
	Body    int64 // bytes of a request's body
	Backlog int   // events and deliveries that may be ready to be worked at; 0: no limit
}

// Timeouts bounds how long things may take.
type Timeouts struct {
	Attempt time.Duration // one attempt by a notifier
	Resolve time.Duration // one call of a resolver
	Drain   time.Duration // finishing what runs when the daemon stops
}

// Log says what the daemon writes to its standard error.
type Log struct {
	Level  string // trace, debug, info, warn, error or off
	Format string // text or json
}
