// Command subject is a plugin written without the SDK and without go-plugin, from proto/README.md alone. It is what its file is called: "resolver" and "notifier"
// keep all rules, "resolver-serial" breaks one. faults.go lists them.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/postrider/postrider/proto/pluginv1"
)

func main() {
	role, name, _ := strings.Cut(filepath.Base(os.Args[0]), "-")
	s := &subject{role: role, fault: fault(name)}
	if err := s.serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (s *subject) serve() error {
	if s.fault == immortal {
		signal.Ignore(syscall.SIGTERM)
	}
	if s.fault == noisy {
		fmt.Println("starting up")
	}
	certificate, err := newCertificate()
	if err != nil {
		return err
	}
	daemon := x509.NewCertPool()
	if !daemon.AppendCertsFromPEM([]byte(os.Getenv("PLUGIN_CLIENT_CERT"))) {
		return fmt.Errorf("PLUGIN_CLIENT_CERT has no certificate")
	}
	security := &tls.Config{
		Certificates: []tls.Certificate{certificate}, ClientCAs: daemon, ClientAuth: tls.RequireAndVerifyClientCert, NextProtos: []string{"h2"},
	}
	if s.fault == open {
		security.ClientAuth = tls.NoClientCert
	}
	options := []grpc.ServerOption{grpc.Creds(credentials.NewTLS(security))}
	if s.fault != small {
		options = append(options, grpc.MaxRecvMsgSize(16<<20), grpc.MaxSendMsgSize(16<<20))
	}
	g := grpc.NewServer(options...)
	pluginv1.RegisterPluginServer(g, s)
	if s.role == "resolver" {
		pluginv1.RegisterResolverServer(g, resolver{subject: s})
	} else {
		pluginv1.RegisterNotifierServer(g, notifier{subject: s})
	}
	socket := filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), fmt.Sprintf("plugin%d", os.Getpid()))
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	fmt.Printf("1|1|unix|%s|grpc|%s\n", socket, base64.RawStdEncoding.EncodeToString(certificate.Certificate[0]))
	fmt.Println("what is printed after the handshake is only logged")
	return g.Serve(l)
}

func newCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// Describe says what the plugin is.
func (s *subject) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	d := &pluginv1.DescribeResponse{
		Name: "subject", Version: "1.0.0", Role: pluginv1.Role_ROLE_NOTIFIER, MaxInFlight: 16,
		ConfigurationSchema: []byte(`{"type":"object","properties":{"greeting":{"type":"string"}},"additionalProperties":false}`),
	}
	if s.role == "resolver" {
		d.Role = pluginv1.Role_ROLE_RESOLVER
		d.Services = []*pluginv1.Service{
			{Class: "Subject", Method: "get", ArgumentsSchema: []byte(
				`{"type":"object","properties":{"id":{"type":"integer"}},"required":["id"],"additionalProperties":false}`)},
			{Class: "Subject", Method: "wait", ArgumentsSchema: []byte(`{"type":"object","additionalProperties":false}`)},
		}
	} else {
		d.SettingsSchema = []byte(`{"type":"object","properties":{"path":{"type":"string"}},"additionalProperties":false}`)
	}
	switch s.fault {
	case unversioned:
		d.Version = " "
	case fickle:
		d.Version = time.Now().String()
	case schemaless:
		d.ConfigurationSchema = []byte(`true`)
	case doubled:
		d.Services = append(d.Services, d.Services[0])
	case idle:
		d.Services = nil
	}
	return d, nil
}

// Configure takes a greeting.
func (s *subject) Configure(_ context.Context, q *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	wrong := misfit(q.GetConfiguration(), map[string]string{"greeting": "string"})
	if s.fault == gullible {
		wrong = ""
	}
	if wrong != "" {
		s.refused.Store(true)
		switch s.fault {
		case nameless:
			wrong = "no"
		case abrupt:
			return nil, fmt.Errorf("%s", wrong)
		}
		return &pluginv1.ConfigureResponse{Refusal: wrong}, nil
	}
	if s.fault == offended && s.refused.Load() {
		return &pluginv1.ConfigureResponse{Refusal: "not after that"}, nil
	}
	s.allow.Store(q.GetEgressAllow())
	s.configured.Store(true)
	return &pluginv1.ConfigureResponse{}, nil
}

// Check says that all is well.
func (s *subject) Check(context.Context, *pluginv1.CheckRequest) (*pluginv1.CheckResponse, error) {
	if s.fault == ill {
		return &pluginv1.CheckResponse{Problem: "out of sorts"}, nil
	}
	return &pluginv1.CheckResponse{}, nil
}
