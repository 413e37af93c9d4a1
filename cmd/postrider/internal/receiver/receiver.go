// Package receiver is a webhook receiver to look at deliveries with: it tells what it gets, and answers as badly as it is told to.
//
// It remembers the webhook-ids it has seen, which is what lets it fail the first attempts of each delivery and count what came twice.
package receiver

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// Config says how a receiver answers.
type Config struct {
	Status    int                             // what it answers; 0: 200, or 500 with FailFirst
	FailFirst int                             // so many attempts of each delivery are answered with Status, those that follow with 200; 0: Status is for all
	Delay     time.Duration                   // before each answer
	Verify    func(http.Header, []byte) error // what it refuses is answered 401; called one at a time; nil: nothing is refused
	Show      func(Received)                  // told of each request before its answer is sent, one at a time; nil: nobody
}

// Received is one request and what it got.
type Received struct {
	Time     time.Time
	Method   string
	Path     string
	Header   http.Header
	Body     []byte
	ID       string // webhook-id; "": the request had none
	Times    int    // how often this id has come, this time included
	Again    bool   // it was taken already: a duplicate
	Answered int    // the status
	Verified bool   // Config.Verify found nothing wrong
	Refused  error  // what it found wrong
}

// Summary counts what a receiver got.
type Summary struct {
	Requests   int `json:"requests"`
	Taken      int `json:"taken"`             // answered 2xx for the first time
	Failed     int `json:"failed"`            // answered with another status
	Duplicates int `json:"duplicates"`        // came again after a 2xx
	Deliveries int `json:"deliveries"`        // distinct webhook-ids
	Refused    int `json:"refused,omitempty"` // of those that failed, what Config.Verify refused
}

const (
	// bodyLimit is above the largest payload (4 MiB) in its envelope.
	bodyLimit = 8 << 20

	// remembered bounds the webhook-ids in memory: about 20 MiB. One that is older counts as new when it comes again.
	remembered = 100_000
)

// Receiver is an [http.Handler]. It is safe for concurrent use.
type Receiver struct {
	config Config

	mu      sync.Mutex // also lets one Show finish before the next begins
	seen    map[string]*delivery
	order   []string // the remembered ids in the order they came; a ring once it is full
	oldest  int
	summary Summary
}

type delivery struct {
	times int
	taken bool
}

// New returns a receiver that answers as c says.
func New(c Config) *Receiver {
	if c.Status == 0 {
		c.Status = http.StatusOK
		if c.FailFirst > 0 {
			c.Status = http.StatusInternalServerError
		}
	}
	return &Receiver{config: c, seen: map[string]*delivery{}}
}

// ServeHTTP takes one delivery.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	arrived := time.Now()
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, bodyLimit))
	if err != nil {
		http.Error(w, "the body is larger than this receiver reads, or broke off", http.StatusRequestEntityTooLarge)
		return
	}
	if r.config.Delay > 0 {
		select {
		case <-time.After(r.config.Delay):
		case <-request.Context().Done(): // the sender gave up, and never learns what the answer would have been
			return
		}
	}
	status := r.take(Received{
		Time: arrived, Method: request.Method, Path: request.URL.RequestURI(), Header: request.Header, Body: body,
		ID: request.Header.Get("webhook-id"),
	})
	w.WriteHeader(status)
}

// take counts one request, tells of it, and returns the status for its answer.
func (r *Receiver) take(got Received) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.config.Verify != nil {
		got.Refused = r.config.Verify(got.Header, got.Body)
		got.Verified = got.Refused == nil
	}
	d := &delivery{} // what can't be verified may be anybody's, and its id be made up
	if got.Refused == nil {
		d = r.remember(got.ID)
	}
	d.times++
	got.Times, got.Again, got.Answered = d.times, d.taken, r.config.Status
	if r.config.FailFirst > 0 && d.times > r.config.FailFirst {
		got.Answered = http.StatusOK
	}
	if got.Refused != nil {
		got.Answered = http.StatusUnauthorized
		r.summary.Refused++
	}

	r.summary.Requests++
	switch {
	case got.Again:
		r.summary.Duplicates++
	case got.Answered/100 == 2:
		r.summary.Taken++
	default:
		r.summary.Failed++
	}
	d.taken = d.taken || got.Answered/100 == 2
	if r.config.Show != nil {
		r.config.Show(got)
	}
	return got.Answered
}

// remember returns what is known of an id. Requests without one have nothing in common, so nothing is kept of them.
func (r *Receiver) remember(id string) *delivery {
	if id == "" {
		return &delivery{}
	}
	if d, ok := r.seen[id]; ok {
		return d
	}
	if len(r.order) < remembered {
		r.order = append(r.order, id)
	} else {
		delete(r.seen, r.order[r.oldest])
		r.order[r.oldest] = id
		r.oldest = (r.oldest + 1) % remembered
	}
	d := &delivery{}
	r.seen[id] = d
	r.summary.Deliveries++
	return d
}

// Summary returns the counts so far.
func (r *Receiver) Summary() Summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.summary
}
