package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// publisher is a way to publish. Its methods may be called from many goroutines at once.
type publisher interface {
	// publish sends one body, as [template] holds it: an event, or an array of them. It returns nil once they are accepted.
	publish(ctx context.Context, body []byte) error
	close()
}

// httpPublisher publishes by POST. It is also the raw loop, where it posts to the receiver instead.
type httpPublisher struct {
	url      string
	token    string // "": none is sent
	accepted int    // the status that says so
	client   *http.Client
}

// newHTTPPublisher returns one that keeps a connection for each of so many publishers.
func newHTTPPublisher(url, token string, accepted, publishers int) *httpPublisher {
	transport := &http.Transport{MaxIdleConnsPerHost: max(publishers, inFlight), DisableCompression: true}
	return &httpPublisher{url: url, token: token, accepted: accepted, client: &http.Client{Transport: transport, Timeout: time.Minute}}
}

func (p *httpPublisher) publish(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if p.token != "" {
		request.Header.Set("Authorization", "Bearer "+p.token)
	}
	answer, err := p.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != p.accepted {
		detail, _ := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
		return fmt.Errorf("%s answered %s: %s", p.url, answer.Status, strings.TrimSpace(string(detail)))
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

func (p *httpPublisher) close() { p.client.CloseIdleConnections() }
