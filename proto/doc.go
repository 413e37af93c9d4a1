// Package proto holds the protocol between daemon and plugins: plugin.proto, and README.md for what is not in messages. The Go code in
// package pluginv1 is made from it by
//
//	go generate ./proto
//
// which needs Go alone, and which refuses what would break plugins that are installed already. A plugin in another language needs plugin.proto and a library
// for gRPC: README.md tells the rest.
package proto

//go:generate go run ./internal/generate
