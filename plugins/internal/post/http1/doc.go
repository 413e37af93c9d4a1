// Package http1 sends a request over HTTP/1.1 (RFC 9112) on the goroutine that asks for it.
//
// [net/http.Transport] has two goroutines for each connection, one that writes and one that reads, and hands each request over to them and its answer back.
// For a small webhook that was most of what sending cost. A [Transport] writes and reads on the caller's goroutine, and holds buffers only while they are used.
// What that saves is on the page on speed (cmd/postrider/internal/bench/README.md); BenchmarkCPUOfSend of the package post measures it.
//
// Start reading at transport.go. An answer is parsed by [net/http.ReadResponse], unless it is as simple as can be: it comes from strangers, and what is tried
// out there is known there. The rest does what net/http does, and its tests hold both to the same words:
//
//   - A connection is kept if the answer ended where it said it would, and nothing came after. Before it is used again it is looked at: one
//     that was closed, or on which something came that nobody had asked for, is dropped. Once a second all of them are.
//     Neither looking nor closing waits, whatever a receiver does: both may happen in somebody else's attempt.
//   - A request is sent again only if not a byte of it had left.
//   - An answer that comes before the whole request was taken is returned at once, and the rest of the request goes on being sent.
//   - When the request's context ends, or its own time, the connection is closed, in whatever phase it is.
//   - Phases are told, those that the package post uses: as [net/http/httptrace] has them.
//
// A [Request] is what little a webhook needs: its body is in memory, as an event's payload is, and its header is in the order in which it is sent.
// [Transport.RoundTrip] makes one of a [net/http.Request], whose body it reads first: one whose Read waits holds up its caller, even after its context has
// ended.
//
// Left out is what no webhook needs: proxies, compression, bodies of requests whose length is not known, CONNECT and upgrades, Expect, HTTP/2. And a dial ends
// with the request that it was for, where net/http would go on and keep the connection.
package http1
