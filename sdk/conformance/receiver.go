package conformance

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/postrider/postrider/sdk"
)

// receiver is where the checks have notifiers deliver to: a web server on the loopback interface that takes everything, and another address at which it
// never answers.
type receiver struct {
	server   *http.Server
	base     string
	came     chan struct{} // a token for each request that came, up to its capacity
	hanging  chan struct{} // the same for those that get no answer
	shutdown context.CancelFunc
}

func newReceiver() (*receiver, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open a port for the checks' receiver: %w", err)
	}
	ctx, shutdown := context.WithCancel(context.Background())
	r := &receiver{
		base: "http://" + l.Addr().String(), came: make(chan struct{}, 1024), hanging: make(chan struct{}, 1024), shutdown: shutdown,
	}
	routes := http.NewServeMux()
	routes.HandleFunc("/", func(w http.ResponseWriter, q *http.Request) {
		token(r.came)
		io.Copy(io.Discard, q.Body) //nolint:errcheck // a notifier that ends early is no concern of the receiver's
		io.WriteString(w, "ok")     //nolint:errcheck
	})
	routes.HandleFunc("/hang", func(_ http.ResponseWriter, q *http.Request) {
		io.Copy(io.Discard, q.Body) //nolint:errcheck // or the server would not see that the notifier hangs up
		token(r.hanging)
		select {
		case <-q.Context().Done():
		case <-ctx.Done():
		}
	})
	r.server = &http.Server{Handler: routes, ReadHeaderTimeout: 10 * time.Second}
	go r.server.Serve(l) //nolint:errcheck // it ends by close
	return r, nil
}

func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (r *receiver) takes() string { return r.base + "/" }
func (r *receiver) hangs() string { return r.base + "/hang" }

func (r *receiver) close() {
	r.shutdown()
	r.server.Close()
}

// receive returns the receiver of a trial.
func (t *trial) receive() (*receiver, error) {
	if t.receiver == nil {
		r, err := newReceiver()
		if err != nil {
			return nil, err
		}
		t.receiver = r
	}
	return t.receiver, nil
}

// delivery returns the delivery that must succeed, with everything that a daemon would fill in.
func (t *trial) delivery() (sdk.Delivery, error) {
	d := t.subject.Delivery
	if d.URL == "" {
		r, err := t.receive()
		if err != nil {
			return d, err
		}
		d.URL = r.takes()
	}
	return Complete(d), nil
}

// Complete fills in what a daemon always gives: ID, Attempt, Event, EventID, Time, Payload, Subscriber and Envelope.
func Complete(d sdk.Delivery) sdk.Delivery {
	fill(&d.ID, "dlv_test")
	fill(&d.Attempt, 1)
	fill(&d.Event, "sdk.tested")
	fill(&d.EventID, "evt_test")
	fill(&d.Envelope, "standard")
	fill(&d.Subscriber, 1)
	if d.Time.IsZero() {
		d.Time = time.Now().Truncate(time.Millisecond)
	}
	if d.Payload == nil {
		d.Payload = []byte(`{"id":1}`)
	}
	return d
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
