package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/receiver"
	"github.com/postrider/postrider/sdk/signature"
)

const defaultListenAddress = "127.0.0.1:8076"

func (a *app) listen() *cobra.Command {
	c := &cobra.Command{
		Use:   "listen",
		Short: "Receive webhooks and show them",
		Long: `Receive webhooks and show them, until Ctrl-C; then say how many came, and how many of them twice.

To see retries at work, let it fail: --fail-first 3 answers the first three attempts of each delivery with
--status (500 if not given) and takes the fourth.

With --secret it verifies signatures, answers 401 to what it can't, and says what may be the reason: the clocks, a body that was
changed on its way, another secret, a header field that is missing.`,
		Example: `  postrider listen
  postrider listen --fail-first 3
  postrider listen --status 503 --delay 2s
  postrider listen --secret 'fv38u07Wdh$R@mRd'
  postrider listen --secret-file token --scheme magento
  postrider listen --json | jq .body`,
		Args: takes(),
	}
	address := c.Flags().String("address", defaultListenAddress, "the `host:port` to listen on")
	status := c.Flags().Int("status", 0, "the `status` to answer with (default 200)")
	failFirst := c.Flags().Int("fail-first", 0, "fail the first `N` attempts of each delivery, then take it")
	delay := c.Flags().Duration("delay", 0, "wait so long before each answer")
	quiet := c.Flags().BoolP("quiet", "q", false, "only the summary at the end")
	verify := verifyFlags(c)
	asJSON := c.Flags().Bool("json", false, "print one JSON object per line")
	c.RunE = func(c *cobra.Command, _ []string) error {
		switch {
		case *status != 0 && (*status < 200 || *status > 599):
			return usagef("--status %d: a final HTTP status is 200 to 599", *status)
		case *failFirst < 0 || *delay < 0:
			return usagef("--fail-first and --delay can't be negative")
		case *failFirst > 0 && *status/100 == 2:
			return usagef("--fail-first %d with --status %d would not fail: give a status that is not 2xx", *failFirst, *status)
		}
		verifier, err := verify.verifier(a, c)
		if err != nil {
			return err
		}
		config := receiver.Config{Status: *status, FailFirst: *failFirst, Delay: *delay, Verify: verifier}
		switch {
		case *quiet:
		case *asJSON:
			config.Show = a.showReceivedJSON
		default:
			config.Show = a.showReceived
		}
		listener, err := net.Listen("tcp", *address)
		if err != nil {
			return fmt.Errorf("listen on %s: %w; --address takes another one", *address, err)
		}
		if !*asJSON {
			a.sayf("Listening on http://%s; Ctrl-C ends it.", listener.Addr())
		}
		r := receiver.New(config)
		if err := serveUntil(c.Context(), listener, r); err != nil {
			return err
		}
		if *asJSON {
			return writeLine(a.stdout, map[string]receiver.Summary{"summary": r.Summary()})
		}
		a.sayf("\n%s", summarize(r.Summary()))
		return nil
	}
	return c
}

// serveUntil serves h until ctx ends, and then gives what is in flight a second.
func serveUntil(ctx context.Context, listener net.Listener, h http.Handler) error {
	silent := log.New(io.Discard, "", 0) // net/http would tell of connections that others broke
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: silent}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("listening on %s ended: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if server.Shutdown(grace) != nil {
		server.Close()
	}
	<-failed
	return nil
}

// showReceived prints a request: when, what, how it was answered, whether its signature is right, its webhook- headers, its body.
func (a *app) showReceived(got receiver.Received) {
	answer := strconv.Itoa(got.Answered)
	if got.Answered/100 == 2 {
		answer = a.green(answer)
	} else {
		answer = a.red(answer)
	}
	note := ""
	if got.Again {
		note = "  " + a.red("taken before: a duplicate")
	}
	fmt.Fprintf(a.stdout, "\n%s  %s  answered %s%s\n", a.dim(got.Time.Format("15:04:05.000")), a.bold(oneLine(got.Method+" "+got.Path)), answer, note)
	switch {
	case got.Refused != nil:
		fmt.Fprintln(a.stdout, a.red("not verified: "+got.Refused.Error()))
	case got.Verified:
		fmt.Fprintln(a.stdout, a.green("verified"))
	}
	var headers facts
	for _, name := range webhookHeaders(got.Header) {
		headers.add(name, oneLine(strings.Join(got.Header[http.CanonicalHeaderKey(name)], ", ")))
	}
	a.printFacts(headers)
	if len(got.Body) > 0 {
		fmt.Fprintln(a.stdout, pretty(got.Body))
	}
}

// webhookHeaders returns the names, in lower case and sorted, of the headers that belong to the delivery.
func webhookHeaders(h http.Header) []string {
	var names []string
	for name := range h {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "webhook-") || strings.HasSuffix(name, "-signature") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// receivedJSON is a request as --json prints it.
type receivedJSON struct {
	Time      time.Time         `json:"time"`
	Method    string            `json:"method"`
	Path      string            `json:"path"`
	Headers   map[string]string `json:"headers"`
	Body      json.RawMessage   `json:"body,omitempty"` // where it is JSON
	Text      string            `json:"text,omitempty"` // where it is not
	Answered  int               `json:"answered"`
	Times     int               `json:"times"` // how often this webhook-id has come
	Duplicate bool              `json:"duplicate,omitempty"`
	Verified  *bool             `json:"verified,omitempty"` // with --secret alone
	Cause     signature.Cause   `json:"cause,omitempty"`    // why it is not
	Problem   string            `json:"problem,omitempty"`  // the same for people
}

func (a *app) showReceivedJSON(got receiver.Received) {
	line := receivedJSON{
		Time: got.Time.UTC(), Method: got.Method, Path: got.Path, Headers: map[string]string{},
		Answered: got.Answered, Times: got.Times, Duplicate: got.Again,
	}
	for name, values := range got.Header {
		line.Headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	if json.Valid(got.Body) {
		line.Body = got.Body
	} else {
		line.Text = string(got.Body)
	}
	if got.Verified || got.Refused != nil {
		line.Verified = &got.Verified
	}
	if mismatch := (*signature.Mismatch)(nil); errors.As(got.Refused, &mismatch) {
		line.Cause, line.Problem = mismatch.Cause, mismatch.What
	}
	_ = writeLine(a.stdout, line) // a reader that went away ends the process by SIGPIPE
}

func summarize(s receiver.Summary) string {
	if s.Requests == 0 {
		return "Nothing came."
	}
	summary := fmt.Sprintf("%s for %s: %s taken, %s failed, %s came again after they were taken.",
		count(s.Requests, "request"), plural(s.Deliveries, "delivery", "deliveries"),
		thousands(s.Taken), thousands(s.Failed), thousands(s.Duplicates))
	if s.Refused > 0 {
		summary += fmt.Sprintf(" Of those that failed, %s could not be verified.", thousands(s.Refused))
	}
	return summary
}
