package endtoend

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/core/rabbitmq/brokertest"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.issue("ca", &x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name+".pem") }

// issue writes name.pem and name-key.pem.
func (a *authority) issue(name string, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.Subject = pkix.Name{CommonName: name}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	signer, signerKey := a.cert, a.key
	if signer == nil {
		signer, signerKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, &key.PublicKey, signerKey)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name: {Type: "CERTIFICATE", Bytes: der}, name + "-key": {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(a.path(file), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

func TestABrokerThatWantsTLSAndACertificateIsReachedAndNoPasswordIsTold(t *testing.T) {
	t.Parallel()
	const password = "pa55-of-the-shop"
	a := newAuthority(t)
	a.issue("node", &x509.Certificate{
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	a.issue("daemon", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	b := brokertest.Start(t, brokertest.Config{TLS: &brokertest.TLS{CA: a.path("ca"), Cert: a.path("node"), Key: a.path("node-key")}})
	b.Ctl(t, "add_user", "shop", password)
	b.Ctl(t, "set_permissions", "shop", ".*", ".*", ".*")
	url := strings.Replace(b.SecureURL(), "guest:guest@", "shop@", 1)

	whole := "queue: {url: '" + url + "', password_file: password, tls: {ca_file: '" + a.path("ca") + "', cert_file: '" + a.path("daemon") + "', key_file: '" +
		a.path("daemon-key") + "'}}"
	for _, test := range []struct{ name, queue, password, says string }{
		{"without a certificate of our own", strings.Replace(whole, ", cert_file: '"+a.path("daemon")+"', key_file: '"+a.path("daemon-key")+"'", "", 1), password, "certificate"},
		{"without its authority", strings.Replace(whole, "ca_file: '"+a.path("ca")+"', ", "", 1), password, "certificate"},
		{"with another password", whole, password + "-of-old", "403"},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := install(t, test.queue)
			in.write("password", test.password+"\n")
			d := in.start()
			eventually(t, "readyz says why", func() bool {
				status, said := d.ready()
				return status == http.StatusServiceUnavailable && strings.Contains(said, test.says)
			})
			if said := in.fails("queue", "topology", "--json"); strings.Contains(said, password) || !strings.Contains(said, test.says) {
				t.Errorf("queue topology said %s", said)
			}
			if _, said := d.ready(); strings.Contains(said, password) || strings.Contains(in.log.tail(1<<20), password) {
				t.Error("the password is told")
			}
			d.stop()
		})
	}

	in := install(t, whole)
	in.write("password", password+"\n")
	d := in.serve()
	r := receive(t, always(200))
	d.subscribe("stock.item.changed", r.URL)
	in.postrider("publish", "stock.item.changed")
	eventually(t, "the event arrives", func() bool { n, _ := r.counts(); return n == 1 })
	if said := in.postrider("queue", "topology", "--json") + in.postrider("queue", "topology") + in.log.tail(1<<20); strings.Contains(said, password) {
		t.Error("the password is told")
	}
	d.stop()
}
