package post

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
)

// TLS is whom to trust, and what to show to whom asks, as users write it. Everything stands in it, in PEM, and no path of a file: whoever may write
// settings could have the daemon open any file that it can read. In a configuration, ${file:…} puts a file's content here.
type TLS struct {
	CA          Certificates `json:"ca,omitempty" jsonschema:"in PEM: the authorities to trust, and no others; left out: those of the system"`
	Certificate Certificates `json:"certificate,omitempty" jsonschema:"in PEM: what to show to a receiver that asks who is there, with what leads to its authority"`
	Key         PrivateKey   `json:"key,omitempty" jsonschema:"in PEM, not encrypted: the private key of the certificate: a secret"`
	ServerName  string       `json:"server_name,omitempty" jsonschema:"the name that the receiver's certificate must have; left out: the URL's host"`
}

// Certificates are one or more, in PEM.
type Certificates string

// JSONSchema refuses what is obviously something else, such as a path.
func (Certificates) JSONSchema() json.RawMessage {
	return json.RawMessage(`{"type": "string", "maxLength": 65536, "pattern": "-----BEGIN CERTIFICATE-----", "description": "certificates in PEM"}`)
}

// PrivateKey is one, in PEM.
type PrivateKey string

// JSONSchema refuses what is obviously something else, such as a path.
func (PrivateKey) JSONSchema() json.RawMessage {
	return json.RawMessage(`{"type": "string", "writeOnly": true, "maxLength": 65536, "pattern": "-----BEGIN ([A-Z]+ )?PRIVATE KEY-----", "description": "a private key in PEM"}`)
}

// config reads it; nil for nothing. An error begins with the key that is wrong, and holds nothing of what stands there.
func (t TLS) config() (*tls.Config, error) {
	if t == (TLS{}) {
		return nil, nil
	}
	c := &tls.Config{ServerName: t.ServerName}
	if t.CA != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(t.CA)) {
			return nil, errors.New("ca: there is no certificate in PEM in it")
		}
	}
	switch {
	case t.Certificate != "" && t.Key != "":
		pair, err := tls.X509KeyPair([]byte(t.Certificate), []byte(t.Key))
		if err != nil {
			return nil, fmt.Errorf("certificate, key: they can't be used together: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	case t.Certificate != "":
		return nil, errors.New("key: it is missing, and the certificate needs it")
	case t.Key != "":
		return nil, errors.New("certificate: it is missing, and the key needs it")
	}
	return c, nil
}
