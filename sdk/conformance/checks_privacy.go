package conformance

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/postrider/postrider/proto/pluginv1"
)

var keepsStrangersOut = Check{
	Name: "lets nobody but the daemon in",
	Rule: "The socket takes TLS connections alone, from the holder of the certificate in PLUGIN_CLIENT_CERT (AutoMTLS).",
	Advice: "Serve with TLS, ask for the client's certificate, require it, and trust only the one in PLUGIN_CLIENT_CERT. Otherwise any program on the machine that " +
		"reaches the socket can use the plugin, and read tokens that it delivers with.",
	run: func(ctx context.Context, t *trial) error {
		p, err := t.start(ctx)
		if err != nil {
			return err
		}
		if p.Process.PID() == 0 {
			return skipf("it runs inside of the test's process, where nothing is encrypted")
		}
		address, ok := p.conversation.socket()
		if !ok {
			return skipf("the address of its socket is not known")
		}
		stranger, err := certificate()
		if err != nil {
			return err
		}
		for who, transport := range map[string]credentials.TransportCredentials{
			"without encryption":            insecure.NewCredentials(),
			"without a certificate":         credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}),
			"with a certificate of its own": credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{stranger}}),
		} {
			if describedTo(ctx, address, transport) {
				t.problem("it answers a client %s", who)
			}
		}
		return nil
	},
}

// describedTo reports whether the plugin answers Describe on a connection of its own.
func describedTo(ctx context.Context, address net.Addr, transport credentials.TransportCredentials) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, address.Network(), address.String())
	}
	conn, err := grpc.NewClient("passthrough:///plugin", grpc.WithContextDialer(dial), grpc.WithTransportCredentials(transport))
	if err != nil {
		return false
	}
	defer conn.Close()
	_, err = pluginv1.NewPluginClient(conn).Describe(ctx, &pluginv1.DescribeRequest{})
	return err == nil
}

// certificate makes a certificate that nobody knows.
func certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"localhost"},
		NotBefore:    time.Now().Add(-time.Minute),
		NotAfter:     time.Now().Add(time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
