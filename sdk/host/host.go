// Package host is the daemon's end of one plugin process: it launches the process, shakes hands, learns what the plugin is, and then carries
// many requests at once over one stream.
//
// Start reading at [Launch] and [Process]; exchange.go is how many requests share one stream, child.go how a process is started and
// ended. Policy (which files are plugins, when one is restarted, what a failure means for a delivery) is not here: see core/pluginhost.
//
// A process ends for good: Launch another one. Whatever happens to it (killed, stopped, stuck, gone mad), no method blocks longer than its
// context, or its own deadline, allows, and no process and no goroutine is left behind after [Process.Done].
package host

import (
	"encoding/json"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
)

// Config says how to launch one plugin.
type Config struct {
	// Path is the plugin's executable file.
	Path string

	// Executable is that file, opened for reading, where the caller has looked at what is in it: this is what Linux runs then, whatever lies
	// at Path meanwhile. Launch leaves it open. nil, and on other systems: what lies at Path is run.
	Executable *os.File

	// Limits keeps the process within bounds. The zero Limits are the daemon's own rights and no bounds.
	Limits Limits

	// SocketDir is an existing directory, 0700, that holds the plugin's socket, which Launch's process removes when it ends. What a killed
	// daemon left behind is the caller's to wipe. The path may have [MaxSocketDir] bytes. "": a temporary directory.
	SocketDir string

	// Env is the plugin's whole environment, beside what the handshake adds. The daemon's own is not inherited.
	Env []string

	// Hide replaces what must not be seen in what the plugin logs and prints. nil: nothing.
	Hide func(string) string

	// Logger receives what the plugin logs and prints. nil: nobody does.
	Logger hclog.Logger

	// StartTimeout bounds the start: the handshake, and the plugin's description of itself. 0: 10 s.
	StartTimeout time.Duration

	// AnswerGrace is how much earlier than the daemon the plugin runs out of time, so that its answer about running out of time still
	// arrives; it is never more than a tenth of the time. 0: 200 ms.
	AnswerGrace time.Duration

	// StopGrace is how long a plugin may take to end after SIGTERM, before it gets SIGKILL. 0: 1 s.
	StopGrace time.Duration

	// DialOptions are added to those of the connection, for who must see what crosses it: package conformance.
	DialOptions []grpc.DialOption
}

// Limits says what a plugin's process may be and have.
type Limits struct {
	User   *User // nil: the daemon's. Only a daemon of root can choose
	Files  int   // descriptors that it may have open; 0: as the daemon
	Memory int64 // bytes that Go's collector keeps to as long as it can (GOMEMLIMIT); 0: none. See [Process.Memory] to hold it to that
}

// User is whom a process runs as. It has no supplementary groups.
type User struct {
	ID, Group int
	Home      string
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	if c.Hide == nil {
		c.Hide = func(text string) string { return text }
	}
	if c.StartTimeout <= 0 {
		c.StartTimeout = 10 * time.Second
	}
	if c.AnswerGrace <= 0 {
		c.AnswerGrace = 200 * time.Millisecond
	}
	if c.StopGrace <= 0 {
		c.StopGrace = time.Second
	}
	return c
}

// The roles of plugins.
const (
	RoleResolver = "resolver"
	RoleNotifier = "notifier"
)

// Description is what a plugin says of itself.
type Description struct {
	Name           string
	Version        string
	Role           string // RoleResolver or RoleNotifier
	MaxInFlight    int
	ConfigSchema   json.RawMessage // JSON Schema of the configuration; nil: it takes none
	SettingsSchema json.RawMessage // JSON Schema of a subscriber's settings; nil: it takes none
	Services       []Service       // of a resolver
}

// Service is what a resolver offers.
type Service struct {
	Class       string
	Method      string
	Description string
	Arguments   json.RawMessage // JSON Schema of the named arguments
}

// Resolution asks a resolver for the payload of one event.
type Resolution struct {
	Class     string
	Method    string
	Arguments json.RawMessage // a JSON object
	EventID   string          // for logs and traces
}
