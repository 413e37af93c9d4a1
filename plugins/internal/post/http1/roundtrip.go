package http1

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"slices"
)

// RoundTrip implements [http.RoundTripper], for those who have a [http.Request]. Its body is read before anything else.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	own, err := requestOf(r)
	if err != nil {
		return nil, err
	}
	response, err := t.Send(r.Context(), own)
	if err != nil {
		return nil, err
	}
	response.Request = r
	return response, nil
}

// requestOf closes the body, whatever it returns.
func requestOf(r *http.Request) (*Request, error) {
	body := r.Body
	if body == nil {
		body = http.NoBody
	}
	defer body.Close()
	own := &Request{
		Method: r.Method, URL: r.URL, Host: r.Host, Header: fieldsOf(r.Header), Close: r.Close,
		Progress: traced{httptrace.ContextClientTrace(r.Context())},
	}
	if own.Method == "" {
		own.Method = http.MethodGet
	}
	if (r.ContentLength > 0) != (body != http.NoBody) || len(r.TransferEncoding) > 0 || len(r.Trailer) > 0 {
		return nil, errors.New("the request's body is none whose length is known")
	}
	if _, err := own.sendable(); err != nil { // before its body is read
		return nil, err
	}
	var err error
	own.Body, err = io.ReadAll(io.LimitReader(body, r.ContentLength))
	if err == nil && int64(len(own.Body)) < r.ContentLength {
		err = fmt.Errorf("the request's body ended after %d of %d bytes", len(own.Body), r.ContentLength)
	}
	return own, err
}

// fieldsOf returns a header as net/http sends it: sorted by name, and with a user agent where it doesn't speak of one.
func fieldsOf(header http.Header) []Field {
	fields := make([]Field, 0, len(header)+1)
	if _, ok := header["User-Agent"]; !ok {
		fields = append(fields, Field{"User-Agent", "Go-http-client/1.1"})
	}
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			fields = append(fields, Field{name, value})
		}
	}
	return fields
}

// traced tells the hooks of a request's context. They may be nil, and so may each of them.
type traced struct{ hooks *httptrace.ClientTrace }

func (t traced) GetConn(address string) {
	if t.hooks != nil && t.hooks.GetConn != nil {
		t.hooks.GetConn(address)
	}
}

func (t traced) TLSHandshakeStart() {
	if t.hooks != nil && t.hooks.TLSHandshakeStart != nil {
		t.hooks.TLSHandshakeStart()
	}
}

func (t traced) GotConn(info httptrace.GotConnInfo) {
	if t.hooks != nil && t.hooks.GotConn != nil {
		t.hooks.GotConn(info)
	}
}

func (t traced) WroteRequest(info httptrace.WroteRequestInfo) {
	if t.hooks != nil && t.hooks.WroteRequest != nil {
		t.hooks.WroteRequest(info)
	}
}

func (t traced) GotFirstResponseByte() {
	if t.hooks != nil && t.hooks.GotFirstResponseByte != nil {
		t.hooks.GotFirstResponseByte()
	}
}
