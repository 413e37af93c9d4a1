package http1

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"testing"
)

// certificates returns what a receiver shows, which is good for 127.0.0.1 and example.com, and what trusts it.
func certificates(t *testing.T) ([]tls.Certificate, *tls.Config) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	authorities := x509.NewCertPool()
	authorities.AddCert(server.Certificate())
	return server.TLS.Certificates, &tls.Config{RootCAs: authorities}
}

func TestTLSIsSpokenAsItsConfigurationSays(t *testing.T) {
	t.Parallel()
	shown, trusting := certificates(t)
	client := trusting.Clone()
	client.Certificates = shown
	client.ServerName = "example.com"
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	both(t, Config{TLS: client}, func(t *testing.T, by roundTripper) {
		states := make(chan tls.ConnectionState, 2)
		r := listen(t, &tls.Config{Certificates: shown, ClientAuth: tls.RequireAnyClientCert, NextProtos: []string{"h2", "http/1.1"}},
			func(conn net.Conn, r *bufio.Reader) {
				if _, err := request(r); err == nil {
					states <- conn.(*tls.Conn).ConnectionState()
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
				}
			})
		for i := range 2 {
			response, body, err := send(t, by, "https://"+r.address, "{}")
			if err != nil || body != "ok" {
				t.Fatalf("got %q, %v", body, err)
			}
			if response.TLS == nil || len(response.TLS.PeerCertificates) == 0 {
				t.Error("the answer doesn't tell of TLS")
			}
			state := <-states
			if state.ServerName != "example.com" || state.NegotiatedProtocol == "h2" || len(state.PeerCertificates) != 1 {
				t.Errorf("the receiver saw name %q, protocol %q, %d certificates", state.ServerName, state.NegotiatedProtocol, len(state.PeerCertificates))
			}
			if i == 1 && !state.DidResume {
				t.Error("the session was not resumed")
			}
		}
	})
}

func TestTheNameOfTheURLIsTheOneThatTLSAsksFor(t *testing.T) {
	t.Parallel()
	shown, trusting := certificates(t)
	both(t, Config{TLS: trusting}, func(t *testing.T, by roundTripper) {
		names := make(chan string, 2)
		r := listen(t, &tls.Config{Certificates: shown}, func(conn net.Conn, r *bufio.Reader) {
			for {
				if _, err := request(r); err != nil {
					return
				}
				names <- conn.(*tls.Conn).ConnectionState().ServerName
				_, _ = io.WriteString(conn, ok)
			}
		})
		setDial(by, func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, r.address)
		})
		for range 2 { // over one connection, with the tickets that came on it
			if _, body, err := send(t, by, "https://EXAMPLE.com", "{}"); err != nil || body != "ok" {
				t.Fatalf("got %q, %v", body, err)
			}
			if name := <-names; name != "example.com" && name != "EXAMPLE.com" {
				t.Errorf("got %q", name)
			}
		}
		if n := r.connections.Load(); n != 1 {
			t.Errorf("two requests took %d connections", n)
		}
		if _, _, err := send(t, by, "https://example.org", "{}"); err == nil {
			t.Error("a certificate of another name is good")
		}
	})
}

func TestTLSSaysGoodbyeWhenAConnectionThatWasKeptIsClosed(t *testing.T) {
	t.Parallel()
	shown, trusting := certificates(t)
	both(t, Config{TLS: trusting}, func(t *testing.T, by roundTripper) {
		last := make(chan int, 1)
		r := listen(t, &tls.Config{Certificates: shown}, func(conn net.Conn, r *bufio.Reader) {
			if _, err := request(r); err == nil {
				_, _ = io.WriteString(conn, ok)
				rest, err := io.ReadAll(conn.(*tls.Conn).NetConn()) // to TLS, the connection's end would be as good
				if err != nil {
					t.Error(err)
				}
				last <- len(rest)
			}
		})
		if _, body, err := send(t, by, "https://"+r.address, "{}"); err != nil || body != "ok" {
			t.Fatalf("got %q, %v", body, err)
		}
		by.CloseIdleConnections()
		if <-last == 0 {
			t.Error("it was closed without a word")
		}
	})
}

func TestAURLSaysWhatIsDialled(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"http://example.com":        "example.com:80",
		"https://example.com/":      "example.com:443",
		"http://example.com:81":     "example.com:81",
		"http://bücher.example":     "xn--bcher-kva.example:80",
		"http://１２７.0.0.1":          "127.0.0.1:80",
		"http://[::1]":              "[::1]:80",
		"https://[fe80::1%25lo]:44": "[fe80::1%lo]:44",
	} {
		both(t, Config{}, func(t *testing.T, by roundTripper) {
			dialled := make(chan string, 1)
			setDial(by, func(_ context.Context, _, address string) (net.Conn, error) {
				dialled <- address
				return nil, errors.New("refused")
			})
			if _, _, err := send(t, by, url, "{}"); err == nil {
				t.Fatal("it was dialled")
			}
			if got := <-dialled; got != want {
				t.Errorf("%s: got %s, want %s", url, got, want)
			}
		})
	}
}
