package post

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http/httptest"
	"testing"

	wire "golang.org/x/net/http2"
)

// windows are how much a client lets its server send before it has read any of it, in bytes.
type windows struct{ stream, connection uint32 }

// windowsOf reads them from what a client sends until its first request.
func windowsOf(conn io.ReadWriter) (w windows, err error) {
	if _, err := io.CopyN(io.Discard, conn, int64(len(wire.ClientPreface))); err != nil {
		return w, err
	}
	const unless = 1<<16 - 1 // RFC 9113, section 6.9.2
	w = windows{unless, unless}
	for framer := wire.NewFramer(conn, conn); ; {
		frame, err := framer.ReadFrame()
		if err != nil {
			return w, err
		}
		switch frame := frame.(type) {
		case *wire.SettingsFrame:
			if size, ok := frame.Value(wire.SettingInitialWindowSize); ok {
				w.stream = size
			}
		case *wire.WindowUpdateFrame:
			w.connection += frame.Increment
		case *wire.HeadersFrame:
			return w, nil
		}
	}
}

// What a receiver may send ahead is held in memory: 4,096 attempts at once must not hold 4 MiB each, as Go's client would.
func TestOverHTTP2AReceiverSendsAheadNoMoreThanIsRead(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	t.Cleanup(server.Close)
	authorities := x509.NewCertPool()
	authorities.AddCert(server.Certificate())
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: server.TLS.Certificates, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	type result struct {
		windows
		err error
	}
	got := make(chan result, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			got <- result{err: err}
			return
		}
		defer conn.Close()
		w, err := windowsOf(conn)
		got <- result{w, err}
	}()
	sender := newSender(t, Config{HTTP2: true, TLS: &tls.Config{RootCAs: authorities}}, "127.0.0.1")
	outcome := sender.Send(t.Context(), message("https://"+l.Addr().String()), rule(t, Success{}))
	l.Close()
	w := <-got
	if w.err != nil {
		t.Fatalf("%v (%+v)", w.err, outcome)
	}
	if w.stream > bodyLimit || w.connection > 2<<20 {
		t.Errorf("a receiver may send ahead %d bytes of an answer, and %d on a connection; want at most %d and %d", w.stream, w.connection, bodyLimit, 2<<20)
	}
}
