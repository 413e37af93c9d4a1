package post

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// phase is how far an attempt has come, which says where a receiver stalls it.
type phase int32

const (
	connecting phase = iota // DNS included
	shaking                 // TLS
	sending
	waiting // for the first byte of the answer
	reading // its header
)

// attempt is what one request needs while it is under way. With HTTP/2, the transport may still read its body after the attempt is over: it is never used again.
type attempt struct {
	phase atomic.Int32
	body  bytes.Reader
	trace httptrace.ClientTrace
}

// follow returns ctx, by which the transport tells the attempt how far it has come.
func (a *attempt) follow(ctx context.Context) context.Context {
	a.trace.GetConn = a.getConn
	a.trace.TLSHandshakeStart = a.handshake
	a.trace.GotConn = a.gotConn
	a.trace.WroteRequest = a.wrote
	a.trace.GotFirstResponseByte = a.answered
	return httptrace.WithClientTrace(ctx, &a.trace)
}

// getConn begins anew: so does the transport, when a kept connection turns out closed.
func (a *attempt) getConn(string) { a.phase.Store(int32(connecting)) }

// handshake counts as long as the attempt waits for that connection: with HTTP/2, it may have got another one meanwhile.
func (a *attempt) handshake() { a.phase.CompareAndSwap(int32(connecting), int32(shaking)) }

func (a *attempt) gotConn(httptrace.GotConnInfo) { a.phase.Store(int32(sending)) }

// wrote comes after answered where the receiver didn't wait for the whole request, and with an error where the attempt was over before.
func (a *attempt) wrote(info httptrace.WroteRequestInfo) {
	if info.Err == nil {
		a.phase.CompareAndSwap(int32(sending), int32(waiting))
	}
}

func (a *attempt) answered() { a.phase.Store(int32(reading)) }

// stalled says that the attempt got no further within a limit.
func (a *attempt) stalled(host string, limit time.Duration) string {
	limit = limit.Round(time.Millisecond)
	switch phase(a.phase.Load()) {
	case connecting:
		return fmt.Sprintf("no connection to %s within %v", host, limit)
	case shaking:
		return fmt.Sprintf("%s took the connection, but its TLS handshake was not complete within %v", host, limit)
	case sending:
		return fmt.Sprintf("%s took the connection, but not the whole request within %v", host, limit)
	case waiting:
		return fmt.Sprintf("no answer from %s within %v", host, limit)
	}
	return fmt.Sprintf("%s began to answer, but its header was not complete within %v", host, limit)
}

// Limits are how long the phases of an attempt may take, and all of it. What is 0 is as [Limits.orDefault] says.
type Limits struct{ Connect, TLS, Header, All time.Duration }

func (l Limits) orDefault() Limits {
	set := func(limit *time.Duration, otherwise time.Duration) {
		if *limit == 0 {
			*limit = otherwise
		}
	}
	set(&l.All, DefaultTimeout)
	set(&l.Connect, dialTimeout)
	set(&l.TLS, tlsTimeout)
	set(&l.Header, l.All*2/3)
	return l
}

// of returns the limit of the phase that the attempt is in.
func (l Limits) of(a *attempt) time.Duration {
	switch phase(a.phase.Load()) {
	case connecting:
		return l.Connect
	case shaking:
		return l.TLS
	}
	return l.Header
}
