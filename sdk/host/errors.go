package host

import (
	"errors"
	"fmt"
)

var (
	// ErrCrashed is the error of a request whose process died while it was in flight, or is gone. [Process.Err] says why.
	ErrCrashed = errors.New("the plugin's process is gone")

	// ErrTooLarge is the error of a payload, or arguments, over [sdk.MaxPayload], on the way to the plugin or back.
	ErrTooLarge = errors.New("too large to cross between daemon and plugin")

	// ErrStopping is the error of a request that came after [Process.Close]; the plugin never saw it.
	ErrStopping = errors.New("the plugin is being stopped")
)

// PluginError is the plugin's own error, a panic included, about one request. Of a receiver's failure a notifier says nothing here: that is
// an [sdk.Outcome].
type PluginError struct {
	Plugin           string // the plugin's described name
	Message          string // a sentence that names the method, or the notifier's
	Permanent        bool   // trying again changes nothing
	InvalidArguments bool   // the service doesn't take these arguments; Permanent too
	cause            error
}

// Error names the plugin and repeats what it says.
func (e *PluginError) Error() string { return "plugin " + e.Plugin + ": " + e.Message }

// Unwrap returns [ErrTooLarge] or a context's error where that is what the plugin reports.
func (e *PluginError) Unwrap() error { return e.cause }

// ConfigurationError is a plugin's refusal of its configuration.
type ConfigurationError struct {
	Plugin string // the plugin's described name
	Key    string // the key at fault, as "sender.name"; "": the whole of it
	What   string // what is wrong, a sentence that names the key
}

// Error says which plugin, and what is wrong.
func (e *ConfigurationError) Error() string {
	return fmt.Sprintf("plugin %s refuses its configuration: %s", e.Plugin, e.What)
}

// LaunchError is the error of a file that could not be launched, or turned out to be no plugin.
type LaunchError struct {
	Path string
	What string // what is wrong with it, and what to do

	cause error
}

// Unwrap returns the system's error, where there is one.
func (e *LaunchError) Unwrap() error { return e.cause }

// Error names the file, and says what is wrong with it.
func (e *LaunchError) Error() string { return e.Path + " " + e.What }
