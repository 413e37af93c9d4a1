package http1

import (
	"bufio"
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
	writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, atOnce) }}
)

var errClosed = errors.New("the answer's body was closed before")

// exchange is a request and its answer on a connection. It is the body of the answer.
type exchange struct {
	transport *Transport
	conn      *conn
	request   *http.Request
	hooks     *httptrace.ClientTrace

	stop    func() bool   // of closing the connection when the context ends; false: it is too late for that
	reader  *bufio.Reader // of conn
	writing chan error    // what became of the request; nil: that is known
	fault   error         // the request's own: it can't be sent over any connection
	reuse   bool          // the connection, after this
	body    io.ReadCloser // as ReadResponse returns it

	mu       sync.Mutex
	answered bool  // the header is there
	ended    error // what Read returns from now on; nil: the exchange goes on
}

func (x *exchange) roundTrip() (*http.Response, error) {
	x.conn.socket.wrote.Store(false)
	x.stop = context.AfterFunc(x.request.Context(), func() { x.conn.socket.Close() })
	x.reader = readers.Get().(*bufio.Reader)
	x.reader.Reset(x.conn)

	failure := x.send()
	if failure != nil && !x.conn.socket.wrote.Load() {
		x.end(false)
		return nil, failure
	}
	// Even where the request was not taken, there may be an answer that says why, as 413.
	response, err := x.receive()
	if err != nil {
		x.end(false)
		return nil, cmp.Or(x.fault, err)
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

// send writes the request. One that is long is written by a goroutine of its own: its receiver may answer before it has taken it all, or instead.
func (x *exchange) send() error {
	if x.request.ContentLength <= atOnce {
		return x.write()
	}
	_ = x.conn.stream.SetReadDeadline(time.Time{}) // begins when the request has left
	x.writing = make(chan error, 1)
	go func() { x.writing <- x.write() }()
	return nil
}

// write begins the time that the answer's header may take.
func (x *exchange) write() error {
	w := writers.Get().(*bufio.Writer)
	defer writers.Put(w)
	w.Reset(x.conn.stream)
	err := write(w, x.request)
	if _, broken := w.Write(nil); err != nil && broken == nil {
		x.fault = err
	} else {
		err = w.Flush()
	}
	w.Reset(nil)
	x.hooks.WroteRequest(httptrace.WroteRequestInfo{Err: err})
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

// receive reads the header of the answer. Of 1xx ones it makes nothing (RFC 9110, section 15.2).
func (x *exchange) receive() (*http.Response, error) {
	x.conn.left, x.conn.exceeded = x.transport.config.HeaderLimit, false
	if _, err := x.reader.Peek(1); err != nil {
		return nil, err
	}
	x.hooks.GotFirstResponseByte()
	for {
		response, err := http.ReadResponse(x.reader, x.request)
		switch {
		case err != nil && x.conn.exceeded:
			return nil, fmt.Errorf("the answer's headers exceeded %d bytes", x.transport.config.HeaderLimit)
		case err != nil:
			return nil, err
		case response.StatusCode/100 != 1 || response.StatusCode == http.StatusSwitchingProtocols:
			x.conn.left = math.MaxInt64
			x.mu.Lock()
			defer x.mu.Unlock()
			x.answered = true
			_ = x.conn.stream.SetReadDeadline(time.Time{})
			return response, nil
		}
	}
}

// Read reads the answer's body.
func (x *exchange) Read(p []byte) (int, error) {
	x.mu.Lock()
	err := x.ended
	x.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n, err := x.body.Read(p)
	if err == nil {
		return n, nil
	}
	if err != io.EOF {
		err = ended(x.request.Context(), err)
	}
	x.mu.Lock()
	before := x.ended
	if before == nil {
		x.ended = err
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
	before := x.ended
	x.ended = errClosed
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
	stopped := x.stop()
	if !complete {
		return
	}
	keep := stopped && x.reuse && x.reader.Buffered() == 0
	x.reader.Reset(nil)
	readers.Put(x.reader)
	x.reader = nil
	if keep {
		x.transport.idle.put(x.conn)
	} else {
		x.conn.close()
	}
}
