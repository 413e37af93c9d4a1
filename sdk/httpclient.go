package sdk

import (
	"net/http"
	"time"
)

// newHTTPClient returns the client that [HTTPClient] describes.
func newHTTPClient(egress *Egress) *http.Client {
	return &http.Client{
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: traced{next: &http.Transport{
			Proxy:                  nil, // or the guard would see the proxy's address only
			DialContext:            egress.DialContext,
			ForceAttemptHTTP2:      true,
			TLSHandshakeTimeout:    5 * time.Second,
			ResponseHeaderTimeout:  10 * time.Second,
			MaxResponseHeaderBytes: 32 << 10,
			DisableCompression:     true,
			MaxIdleConns:           1024,
			MaxIdleConnsPerHost:    128,
			IdleConnTimeout:        90 * time.Second,
		}},
	}
}

// traced passes the trace context of a call on.
type traced struct{ next http.RoundTripper }

func (t traced) RoundTrip(r *http.Request) (*http.Response, error) {
	if traceparent := Traceparent(r.Context()); traceparent != "" && r.Header.Get("traceparent") == "" {
		r = r.Clone(r.Context()) // a RoundTripper may not change the request
		r.Header.Set("traceparent", traceparent)
	}
	return t.next.RoundTrip(r)
}

// CloseIdleConnections makes [http.Client.CloseIdleConnections] reach the transport.
func (t traced) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
