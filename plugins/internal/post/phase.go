package post

import (
	"fmt"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/plugins/internal/post/http1"
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

// attempt is one request, and how far it has come: it is the [http1.Progress] of it. With HTTP/2, the transport may still read its body after the attempt is
// over: it is never used again.
type attempt struct {
	request http1.Request
	fields  [8]http1.Field // of its header, where there are no more
	phase   atomic.Int32
}

// GetConn begins anew: so does the transport, when a kept connection turns out closed.
func (a *attempt) GetConn(string) { a.phase.Store(int32(connecting)) }

// TLSHandshakeStart counts as long as the attempt waits for that connection: with HTTP/2, it may have got another one meanwhile.
func (a *attempt) TLSHandshakeStart() { a.phase.CompareAndSwap(int32(connecting), int32(shaking)) }

// GotConn tells of a connection that takes the request.
func (a *attempt) GotConn(httptrace.GotConnInfo) { a.phase.Store(int32(sending)) }

// WroteRequest comes after GotFirstResponseByte where the receiver didn't wait for the whole request, and with an error where the attempt was over before.
func (a *attempt) WroteRequest(info httptrace.WroteRequestInfo) {
	if info.Err == nil {
		a.phase.CompareAndSwap(int32(sending), int32(waiting))
	}
}

// GotFirstResponseByte tells of an answer.
func (a *attempt) GotFirstResponseByte() { a.phase.Store(int32(reading)) }

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
