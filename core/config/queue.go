package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// Queue says where events and deliveries wait. All but the URL is about RabbitMQ alone.
type Queue struct {
	URL          string // "bolt:" is the embedded one; may hold a password. See BrokerURL.
	Password     string // "": none is given here
	PasswordFile string // "": none
	TLS          TLS
	Prefix       string
	Trigger      Trigger
}

// Trigger names the queue that AMQP publishers reach, and what leads there.
type Trigger struct {
	Exchange, Key, Queue string
}

// TLS names PEM files; each may be "".
type TLS struct {
	CAFile, CertFile, KeyFile string
}

// String returns the URL without its password.
func (q Queue) String() string { return redacted(q.URL) }

// GoString keeps %#v from telling the passwords.
func (q Queue) GoString() string { return fmt.Sprintf("config.Queue{%s}", q) }

func redacted(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(not a URL)"
	}
	return u.Redacted()
}

// IsEmbedded reports whether the queue is in the embedded database.
func (q Queue) IsEmbedded() bool { return q.URL == "bolt:" }

// BrokerURL returns the URL of RabbitMQ with the password in it, wherever that was given. It reads the password's file. Never log what it returns.
func (q Queue) BrokerURL() (string, error) {
	password := q.Password
	if q.PasswordFile != "" {
		content, err := os.ReadFile(q.PasswordFile)
		if err != nil {
			return "", fmt.Errorf("queue.password_file: %w", err)
		}
		if password = strings.TrimRight(string(content), "\r\n"); password == "" {
			return "", fmt.Errorf("queue.password_file: %s is empty: write the password of RabbitMQ's user into it", q.PasswordFile)
		}
	}
	if password == "" {
		return q.URL, nil
	}
	u, err := url.Parse(q.URL)
	if err != nil {
		return "", errors.New("queue.url is not a URL")
	}
	u.User = url.UserPassword(u.User.Username(), password)
	return u.String(), nil
}

// Config reads the files, and returns nil where there are none.
func (t TLS) Config() (*tls.Config, error) {
	if t == (TLS{}) {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		content, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("queue.tls.ca_file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(content) {
			return nil, fmt.Errorf("queue.tls.ca_file: there is no certificate in %s: it must hold one or more in PEM, each beginning with "+
				"-----BEGIN CERTIFICATE-----", t.CAFile)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("queue.tls.cert_file and queue.tls.key_file: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// check looks for settings that don't fit together.
func (q Queue) check() error {
	u, err := url.Parse(q.URL)
	if err != nil || q.URL == "" {
		return nil // reported where it stands
	}
	_, inURL := u.User.Password()
	var errs []error
	switch {
	case q.Password != "" && q.PasswordFile != "":
		errs = append(errs, errors.New("queue.password and queue.password_file are both set: remove one"))
	case inURL && (q.Password != "" || q.PasswordFile != ""):
		errs = append(errs, errors.New("queue.url holds a password, and queue.password or queue.password_file is set, too: remove one"))
	case (q.Password != "" || q.PasswordFile != "") && u.User.Username() == "":
		errs = append(errs, errors.New("queue.password or queue.password_file is set, and queue.url names no user: write it as amqp://user@host/vhost"))
	}
	if (q.TLS.CertFile == "") != (q.TLS.KeyFile == "") {
		errs = append(errs, errors.New("queue.tls.cert_file and queue.tls.key_file belong together: set both or none"))
	}
	if q.TLS != (TLS{}) && u.Scheme != "amqps" {
		errs = append(errs, fmt.Errorf("queue.tls is set, and queue.url begins with %s: — TLS needs amqps://", u.Scheme))
	}
	return errors.Join(errs...)
}

// parseQueueURL reads where the queue is.
func parseQueueURL(in input) (string, error) {
	u, text, err := parseURL("queue.url", in)
	if err != nil {
		return "", err
	}
	switch u.Scheme {
	case "bolt":
		return text, checkBolt("queue.url", in, text)
	case "amqp", "amqps":
	default:
		return "", in.Errorf("queue.url: the scheme %q is unknown: use \"bolt:\", the embedded database, or amqp://user@host:5672/vhost", u.Scheme)
	}
	switch {
	case u.Hostname() == "":
		return "", in.Errorf("queue.url: it names no host: write %s://user@host:5672/vhost", u.Scheme)
	case strings.Contains(strings.TrimPrefix(u.EscapedPath(), "/"), "/"):
		return "", in.Errorf("queue.url: its path is the name of one vhost: write a \"/\" within that name as %%2F")
	case u.RawQuery != "" || u.Fragment != "":
		return "", in.Errorf("queue.url: it takes nothing after the vhost: certificates are set in queue.tls")
	}
	return text, nil
}

func parseText(in input) (string, error) { return in.Text() }

// parseName reads the name of something on the broker.
func parseName(in input) (string, error) {
	text, err := in.Text()
	if err == nil && (text == "" || len(text) > 255) {
		err = in.Errorf("a name at RabbitMQ has 1 to 255 bytes, and this one %d", len(text))
	}
	return text, err
}
