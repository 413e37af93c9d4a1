// Package wire holds what both ends of the plugin protocol must agree on beside proto/plugin.proto: the handshake, the limits, what a plugin
// may be called, and how what waits for a stream is put into messages.
package wire

// What go-plugin's handshake is made of. The cookie keeps a plugin that is started by hand from waiting for a daemon; it is no secret.
const (
	CookieKey       = "POSTRIDER_PLUGIN"
	CookieValue     = "postrider.plugin.v1"
	ProtocolVersion = 1
	PluginName      = "postrider" // the name in go-plugin's PluginSet: there is one
)

// LogLevelVariable tells the plugin, by hclog's name, which log lines are worth sending.
const LogLevelVariable = "POSTRIDER_LOG_LEVEL"

// MaxInFlight is the highest max_in_flight that a plugin may describe.
const MaxInFlight = 1 << 16

// IsName reports whether a plugin may be called that: letters, digits, "-" and "_", a letter or a digit first.
func IsName(name string) bool {
	for i, c := range []byte(name) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && (i == 0 || c != '-' && c != '_') {
			return false
		}
	}
	return name != ""
}

const (
	// MaxMessage is the largest message of a stream, in bytes. It leaves room for a payload of 4 MiB, for what else is in a request, and
	// for a batch that was begun before it.
	MaxMessage = 16 << 20

	// MaxItem is the largest single request or answer, in bytes.
	MaxItem = 8 << 20

	// batchSize is when a message counts as full, in bytes, and batchLength in items.
	batchSize   = 1 << 20
	batchLength = 256

	// Window is how much may be on its way before the reader has taken it, in bytes: for one stream, and for the connection. Fixed windows
	// spare gRPC its bandwidth probes.
	Window     = 4 << 20
	ConnWindow = 8 << 20
)
