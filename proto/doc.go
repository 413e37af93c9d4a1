// Package proto holds the protocol between daemon and plugins: plugin.proto, whose comments are its specification. The Go code in
// package pluginv1 is made from it by
//
//	go generate ./proto
//
// which needs Go alone. A plugin in another language needs plugin.proto and a library for hashicorp/go-plugin's handshake.
package proto

//go:generate go run ./internal/generate
