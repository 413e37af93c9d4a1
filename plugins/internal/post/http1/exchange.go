package http1

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"
)

const (
	// atOnce is the size of a request's body that the kernel takes without waiting for the receiver: Linux has room for 16 KiB on every connection (tcp_wmem).
	atOnce = 16 << 10
	// patience is how long an answer that is complete waits for the rest of the request to leave, and a request that could not leave for an answer: net/http's.
	patience = 50 * time.Millisecond
)

var (
	readers = sync.Pool{New: func() any { return bufio.NewReader(nil) }}
	buffers = sync.Pool{New: func() any { return bytes.NewBuffer(make([]byte, 0, atOnce+2<<10)) }}
)

var errClosed = errors.New("the answer's body was closed before")

// exchange is a request and its answer on a connection. It is the body of the answer.
type exchange struct {
	transport *Transport
	conn      *conn
	ctx       context.Context //nolint:containedctx // the exchange is over when it ends
	request   *Request

	stop    func() bool   // of closing the connection when the context ends; false: it is too late for that
	reader  *bufio.Reader // of conn
	writing chan error    // what became of the request; nil: that is known
	reuse   bool          // the connection, after this
	body    io.ReadCloser // of the answer, without an end to the exchange
	sized   sized         // that body, where the answer is simple

	mu       sync.Mutex
	answered bool  // the header is there
	failed   error // what Read returns from now on; nil: the exchange goes on
}

func (x *exchange) roundTrip(host string) (*http.Response, error) {
	x.conn.socket.wrote.Store(false)
	x.stop = afterFunc(x.ctx, x.conn.abort)
	if !x.request.Until.IsZero() {
		x.conn.limit(x.request.Until)
	}
	x.reader = readers.Get().(*bufio.Reader)
	x.reader.Reset(x.conn)

	failure := x.send(host)
	if failure != nil && !x.conn.socket.wrote.Load() {
		x.end(false)
		return nil, failure
	}
	// Even where the request was not taken, there may be an answer that says why, as 413.
	response, err := x.receive()
	if err != nil {
		x.end(false)
		return nil, err
	}
	response.TLS = x.conn.tls
	x.reuse = failure == nil && !response.Close && !x.request.Close && response.StatusCode >= 200
	if response.Body == http.NoBody {
		x.end(true)
		return response, nil
	}
	x.body, response.Body = response.Body, x
	return response, nil
}

// ended returns why the exchange has ended; nil: for no reason that lies in its context or its time.
func (x *exchange) ended() error {
	if x.conn.over.Load() {
		return context.DeadlineExceeded
	}
	return ended(x.ctx, time.Time{})
}

// send writes the request. One that is long is written by a goroutine of its own: its receiver may answer before it has taken it all, or instead.
func (x *exchange) send(host string) error {
	if len(x.request.Body) <= atOnce {
		return x.write(host)
	}
	_ = x.conn.stream.SetReadDeadline(time.Time{}) // begins when the request has left
	x.writing = make(chan error, 1)
	go func() { x.writing <- x.write(host) }()
	return nil
}

// write begins the time that the answer's header may take.
func (x *exchange) write(host string) error {
	err := x.writeAll(host)
	x.request.Progress.WroteRequest(httptrace.WroteRequestInfo{Err: err})
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.answered {
		limit := x.transport.config.HeaderTimeout
		if err != nil {
			limit = patience // an answer that says why is there already, or never comes
		}
		_ = x.conn.stream.SetReadDeadline(time.Now().Add(limit))
	}
	return err
}

// writeAll writes a short request in one go, and of a long one first as much as goes at once.
func (x *exchange) writeAll(host string) error {
	buffer := buffers.Get().(*bytes.Buffer)
	defer func() {
		buffer.Reset()
		buffers.Put(buffer)
	}()
	first := min(len(x.request.Body), atOnce)
	buffer.Write(x.request.appendHead(buffer.AvailableBuffer(), host))
	buffer.Write(x.request.Body[:first])
	_, err := x.conn.stream.Write(buffer.Bytes())
	if rest := x.request.Body[first:]; err == nil && len(rest) > 0 {
		_, err = x.conn.stream.Write(rest)
	}
	return err
}

// receive reads the header of the answer.
func (x *exchange) receive() (*http.Response, error) {
	x.conn.left, x.conn.exceeded = x.transport.config.HeaderLimit, false
	if _, err := x.reader.Peek(1); err != nil {
		return nil, err
	}
	x.request.Progress.GotFirstResponseByte()
	response, ok := x.simple()
	if !ok {
		var err error
		if response, err = x.parse(); err != nil {
			return nil, err
		}
	}
	x.conn.left = math.MaxInt64
	x.mu.Lock()
	defer x.mu.Unlock()
	x.answered = true
	_ = x.conn.stream.SetReadDeadline(time.Time{})
	return response, nil
}

// parse reads whatever header a receiver sends. Of 1xx ones it makes nothing (RFC 9110, section 15.2).
func (x *exchange) parse() (*http.Response, error) {
	var asked *http.Request // nil: what has the answer lack a body was not asked for
	if x.request.Method == http.MethodHead {
		asked = &http.Request{Method: http.MethodHead}
	}
	for {
		response, err := http.ReadResponse(x.reader, asked)
		switch {
		case err != nil && x.conn.exceeded:
			return nil, fmt.Errorf("the answer's headers exceeded %d bytes", x.transport.config.HeaderLimit)
		case err != nil:
			return nil, err
		case response.StatusCode/100 != 1 || response.StatusCode == http.StatusSwitchingProtocols:
			return response, nil
		}
	}
}

// Read reads the answer's body.
func (x *exchange) Read(p []byte) (int, error) {
	x.mu.Lock()
	err := x.failed
	x.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n, err := x.body.Read(p)
	if err == nil {
		return n, nil
	}
	if err != io.EOF {
		err = cmp.Or(x.ended(), err)
	}
	x.mu.Lock()
	before := x.failed
	if before == nil {
		x.failed = err
	}
	x.mu.Unlock()
	if before != nil { // it was closed meanwhile
		return n, before
	}
	x.end(err == io.EOF)
	return n, err
}

// Close closes the connection, too, unless the body was read to its end. A Read that waits meanwhile returns.
func (x *exchange) Close() error {
	x.mu.Lock()
	before := x.failed
	x.failed = errClosed
	x.mu.Unlock()
	if before == nil {
		x.end(false)
	}
	return nil
}

// end hands the connection back, or closes it. Complete: the answer is. If it isn't, a Read may still be under way, which goes on using the reader and TLS.
func (x *exchange) end(complete bool) {
	if !complete {
		x.conn.socket.Close()
	}
	if x.writing != nil {
		_ = x.conn.stream.SetWriteDeadline(time.Now().Add(patience))
		x.reuse = <-x.writing == nil && x.reuse
		_ = x.conn.stream.SetWriteDeadline(time.Time{})
	}
	undisturbed := x.stop()
	if !x.request.Until.IsZero() {
		undisturbed = x.conn.guard.Stop() && undisturbed
	}
	if !complete {
		return
	}
	keep := undisturbed && x.reuse && x.reader.Buffered() == 0
	x.reader.Reset(nil)
	readers.Put(x.reader)
	x.reader = nil
	if keep {
		x.transport.idle.put(x.conn)
	} else {
		x.conn.close()
	}
}
