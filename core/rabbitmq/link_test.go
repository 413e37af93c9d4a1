package rabbitmq

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAConnectionThatIsResetAfterTLSIsSaidToMayWantACertificate(t *testing.T) {
	lender := httptest.NewTLSServer(nil) // of a certificate
	defer lender.Close()
	trusts := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	trusts.RootCAs.AddCert(lender.Certificate())
	shows := trusts.Clone()
	shows.Certificates = lender.TLS.Certificates

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serving := make(chan error, 1)
	go func() { serving <- resetAfterTLS(listener, lender.TLS.Certificates) }()
	for _, test := range []struct {
		name   string
		secure *tls.Config
		hinted bool
	}{
		{"without a certificate of our own", trusts, true},
		{"with one", shows, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := dial(t.Context(), Config{URL: "amqps://guest:guest@" + listener.Addr().String() + "/", TLS: test.secure})
			if err == nil || strings.Contains(err.Error(), "queue.tls.cert_file") != test.hinted {
				t.Errorf("got %v", err)
			}
		})
	}
	listener.Close()
	if err := <-serving; err != nil {
		t.Error(err)
	}
}

// resetAfterTLS agrees on TLS with everyone, and then resets the connection, until the listener is closed.
func resetAfterTLS(listener net.Listener, certificates []tls.Certificate) error {
	for {
		raw, err := listener.Accept()
		if err != nil {
			return nil
		}
		if err := tls.Server(raw, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: certificates}).Handshake(); err != nil {
			return err
		}
		if err := raw.(*net.TCPConn).SetLinger(0); err != nil {
			return err
		}
		raw.Close()
	}
}
