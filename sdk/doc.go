// Package sdk is all that the author of a Postrider plugin imports. `postrider plugin new` writes the beginning of one.
//
// A plugin is a program whose main function is one call. A resolver offers service methods, each a function from a struct of named
// arguments to anything that becomes JSON:
//
//	func main() {
//		sdk.ServeResolver("orders", "1.0.0",
//			sdk.Method(`Magento\Sales\Api\OrderRepositoryInterface`, "get", repository.Get))
//	}
//
// A notifier delivers one payload to one recipient and says how it went:
//
//	func main() {
//		sdk.ServeNotifier("console", "1.0.0", sdk.NotifierFunc(notify))
//	}
//
// Everything else is an [Option]: a typed configuration ([Configure]), per-subscriber settings ([Settings]), health ([Health]), a limit
// ([MaxInFlight]). Inside a call, the context knows the deadline, ends when the caller gives up, and carries the plugin's [Logger] and
// its guarded [HTTPClient]. What is written to standard output goes to the daemon's log; a panic in your code becomes an error of that one
// call. Package sdktest runs your plugin through the real protocol in a test, and holds it to what every plugin must do; `postrider plugin test PATH` does that with
// the built binary.
package sdk
