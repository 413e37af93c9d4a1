package http1

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// Request is what [Transport.Send] sends. Nothing of it may be changed before the answer's body is closed.
type Request struct {
	Method   string
	URL      *url.URL
	Host     string // what the Host field says; "": the URL's
	Header   []Field
	Body     []byte
	Close    bool      // the connection, afterwards
	Asks     []string  // the fields of the answer's header that are looked at, the others may be missing; nil: all of them, and its status line
	Until    time.Time // when the exchange must be over, the answer's body included; zero: the context alone says that
	Progress Progress
}

// Field is one header field. Its name is in canonical form, as [net/http.CanonicalHeaderKey] gives it.
type Field struct{ Name, Value string }

// sendable refuses what can't be sent, or must not be: a line end in a field would begin another one. It returns the Host.
func (r *Request) sendable() (host string, err error) {
	switch {
	case r.URL == nil || r.URL.Host == "":
		return "", errors.New("the request's URL names no host")
	case r.URL.Scheme != "http" && r.URL.Scheme != "https":
		return "", fmt.Errorf("%q is neither http nor https", r.URL.Scheme)
	case strings.ContainsFunc(r.URL.Opaque, isControl) || strings.ContainsFunc(r.URL.RawQuery, isControl): // a path is escaped
		return "", errors.New("the request's URL holds a control character")
	case r.Method == http.MethodConnect || !httpguts.ValidHeaderFieldName(r.Method):
		return "", fmt.Errorf("%q is no method that can be sent", r.Method)
	}
	for _, f := range r.Header {
		if !httpguts.ValidHeaderFieldName(f.Name) {
			return "", fmt.Errorf("%q is no name of a header field", f.Name)
		}
		if !httpguts.ValidHeaderFieldValue(f.Value) { // which may be a secret
			return "", fmt.Errorf("the value of header field %s must be one line, without control characters", f.Name)
		}
	}
	return r.host()
}

// appendHead appends what comes before the body of a request that is sendable (RFC 9112, sections 2 and 3).
func (r *Request) appendHead(b []byte, host string) []byte {
	target := strings.ReplaceAll(r.URL.RequestURI(), " ", "%20") // one in a query, or in an opaque URL, would end the target
	b = text(b, r.Method, " ", target, " HTTP/1.1\r\nHost: ", host, "\r\n")
	if r.Close {
		b = text(b, "Connection: close\r\n")
	}
	if len(r.Body) > 0 || r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch {
		b = text(strconv.AppendInt(text(b, "Content-Length: "), int64(len(r.Body)), 10), "\r\n")
	}
	for _, f := range r.Header {
		if !ours(f) {
			b = text(b, f.Name, ": ", textproto.TrimString(f.Value), "\r\n")
		}
	}
	return text(b, "\r\n")
}

func text(b []byte, parts ...string) []byte {
	for _, part := range parts {
		b = append(b, part...)
	}
	return b
}

// ours reports whether a field says what the request itself says, or nothing.
func ours(f Field) bool {
	switch f.Name {
	case "Host", "Content-Length", "Transfer-Encoding", "Trailer":
		return true
	}
	return f.Name == "User-Agent" && f.Value == ""
}

// host returns the request's Host, in ASCII and without the zone of an address, which means something on this machine only (RFC 6874). As with
// net/http, one that no Host field can hold becomes empty, and one that can't be had in ASCII is an error.
func (r *Request) host() (string, error) {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	host, err := httpguts.PunycodeHostPort(host)
	if err != nil {
		return "", fmt.Errorf("the request's host: %w", err)
	}
	if !httpguts.ValidHostHeader(host) {
		return "", nil
	}
	if zone := strings.IndexByte(host, '%'); zone > 0 && host[0] == '[' {
		if end := strings.IndexByte(host[zone:], ']'); end > 0 {
			host = host[:zone] + host[zone+end:]
		}
	}
	return host, nil
}

func isControl(c rune) bool { return c < ' ' || c == 0x7f }
