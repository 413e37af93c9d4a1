package core

import (
	"encoding/json"
	"time"
)

// Webhook is a definition: an event name, bound to the service that makes the payload.
type Webhook struct {
	Name    string
	Service Service // the zero Service: the published arguments are the payload
	Fresh   bool    // a retry resolves the payload again, instead of sending the frozen one
	Source  string  // the file and line that define it, for messages
}

// Service is what a resolver offers, under the name of a class and a method, as Magento's Web API has them.
type Service struct {
	Class  string
	Method string
}

// IsZero reports whether no service is named.
func (s Service) IsZero() bool { return s == Service{} }

// String returns class::method.
func (s Service) String() string { return s.Class + "::" + s.Method }

// OfferedService is a service that a running resolver described.
type OfferedService struct {
	Service
	Description string
	Arguments   json.RawMessage // JSON Schema of the named arguments
	Plugin      string          // the resolver's described name
	Up          bool            // whether that resolver is running
}

// PluginRole says what a plugin is for.
type PluginRole string

// The roles of plugins.
const (
	RoleResolver PluginRole = "resolver"
	RoleNotifier PluginRole = "notifier"
)

// The changes of a [PluginChange].
const (
	PluginStarted  = "started"
	PluginReplaced = "replaced" // by another version of its file; what was in flight finishes in the one before
	PluginRemoved  = "removed"  // with its file; what was in flight finishes
	PluginRefused  = "refused"  // what ran before goes on running, where there is something
)

// PluginChange is what became of a file of the plugin directory that changed.
type PluginChange struct {
	File   string
	Name   string // described name; "": it didn't describe itself
	Change string
	Reason string // why it was refused, or what is wrong with what was started
}

// PluginStatus is what an operator may know of one plugin process.
type PluginStatus struct {
	Name     string // described name; the file's name where it never described itself
	Config   string // the notifier name whose configuration it runs with; "" for the plugin's own; "quarantine" too in a process for suspects
	File     string
	Version  string
	Role     PluginRole
	State    string // starting, running, restarting, broken, stopped; skipped: a file that is not trusted, and not run
	Reason   string // why it is not running
	Update   string // why the file is not what runs, but what was there before; "": it is
	PID      int
	Restarts int
	InFlight int
	Since    time.Time     // when the process that runs began to serve
	Requests int64         // that had an answer, or never will, since the daemon started; of all its processes
	Errors   int64         // those of them at which the plugin failed; what a receiver did is none
	Median   time.Duration // half of the requests of the last minute or two had their answer within that; 0: there were none
	P99      time.Duration // 99 of 100 had
	Memory   int64         // bytes that the process keeps for itself; 0: unknown
}
