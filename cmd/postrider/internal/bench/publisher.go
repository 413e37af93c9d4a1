package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"time"
)

// destination is where events are published to. Its token is a secret.
type destination struct {
	URL      string // of a POST
	Token    string // "": none is sent
	Accepted int    // the status that says so
	Broker   broker // over AMQP instead, where it has a name
}

// open returns the way there, which stays open as long as the process lives.
func (d destination) open(ctx context.Context) (publisher, error) {
	if d.Broker.Name != "" {
		return newAMQPPublisher(ctx, d.Broker)
	}
	return newHTTPPublisher(d), nil
}

// publisher is a way to publish.
type publisher interface {
	// publish sends one body, as [template] holds it: an event, or an array of them. It returns nil once they are accepted. It may be called from
	// many goroutines at once.
	publish(ctx context.Context, body []byte) error
}

// httpPublisher publishes by POST. It is also the raw loop, where it posts to the receiver instead.
type httpPublisher struct {
	to     destination
	client *http.Client
}

func newHTTPPublisher(to destination) *httpPublisher {
	transport := &http.Transport{MaxIdleConnsPerHost: math.MaxInt, DisableCompression: true} // however many publish at a time: none opens a second one
	return &httpPublisher{to: to, client: &http.Client{Transport: transport, Timeout: time.Minute}}
}

func (p *httpPublisher) publish(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.to.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if p.to.Token != "" {
		request.Header.Set("Authorization", "Bearer "+p.to.Token)
	}
	answer, err := p.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != p.to.Accepted {
		detail, _ := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
		return fmt.Errorf("%s answered %s: %s", p.to.URL, answer.Status, strings.TrimSpace(string(detail)))
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}
