// Package client calls a daemon's REST API. Start reading at [Client.Call]; the shapes are those of core/httpapi.
//
// Its errors are sentences for the user of a command line: a daemon that doesn't answer says how to start it, and what the daemon
// refuses is told in the daemon's own words.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/core/httpapi"
)

// Config says which daemon, and how its errors talk about it.
type Config struct {
	URL   string // http://host:port, perhaps with a path in front of the API's
	Token string // "": none is sent
	Start string // the command that starts this daemon; "": it is not for this machine to start
}

// Client calls one daemon. It is safe for concurrent use.
type Client struct {
	address *url.URL
	config  Config
	http    *http.Client
}

// timeout is the longest that one call may take: a page of a thousand dead letters is there sooner.
const timeout = 30 * time.Second

// idleConnections is how many connections are kept for callers that make many calls at a time.
const idleConnections = 64

// New checks the URL. It does not connect.
func New(c Config) (*Client, error) {
	address, err := url.Parse(c.URL)
	if err != nil {
		return nil, fmt.Errorf("the daemon's URL can't be read: %w", err)
	}
	if (address.Scheme != "http" && address.Scheme != "https") || address.Host == "" {
		return nil, fmt.Errorf("the daemon's URL %q is not of the form http://host:port", c.URL)
	}
	address.Path = strings.TrimRight(address.Path, "/")
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = idleConnections
	return &Client{address: address, config: c, http: &http.Client{Timeout: timeout, Transport: transport}}, nil
}

// URL returns where the daemon is.
func (c *Client) URL() string { return c.address.String() }

// Token returns what the daemon is called with.
func (c *Client) Token() string { return c.config.Token }

// Request is one call.
type Request struct {
	Method string
	Path   []string   // its parts: they are escaped here
	Query  url.Values // nil: none
	Body   any        // nil: none; json.RawMessage goes out as it is
}

// Call sends r and decodes the answer into result, which may be nil. An answer that is no success is an error: the daemon's
// [*httpapi.Problem] is in its chain.
func (c *Client) Call(ctx context.Context, r Request, result any) error {
	answer, err := c.send(ctx, c.http, r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if result == nil || answer.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.NewDecoder(answer.Body).Decode(result); err != nil {
		return fmt.Errorf("the answer of %s to %s %s can't be read: %w", c.address, r.Method, answer.Request.URL.Path, err)
	}
	return nil
}

// Download sends r and copies the answer to w, for as long as that takes. An answer that is cut off is an error.
func (c *Client) Download(ctx context.Context, r Request, w io.Writer) error {
	answer, err := c.send(ctx, &http.Client{}, r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if n, err := io.Copy(w, answer.Body); err != nil {
		return fmt.Errorf("the answer of %s was cut off after %d bytes: %w", c.address, n, err)
	}
	return nil
}

// send sends r through by. The answer is a success, and the caller's to close.
func (c *Client) send(ctx context.Context, by *http.Client, r Request) (*http.Response, error) {
	target := c.address.JoinPath(escape(r.Path)...)
	target.RawQuery = r.Query.Encode()
	var body io.Reader
	if r.Body != nil {
		content, err := json.Marshal(r.Body)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		body = bytes.NewReader(content)
	}
	request, err := http.NewRequestWithContext(ctx, r.Method, target.String(), body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("Accept", "application/json")
	if c.config.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.config.Token)
	}
	answer, err := by.Do(request)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if answer.StatusCode/100 != 2 {
		defer answer.Body.Close()
		return nil, c.refused(answer)
	}
	return answer, nil
}

func escape(parts []string) []string {
	escaped := make([]string, len(parts))
	for i, part := range parts {
		escaped[i] = url.PathEscape(part)
	}
	return escaped
}

// unreachable explains why there is no answer.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if inner := (*url.Error)(nil); errors.As(err, &inner) {
		if inner.Timeout() {
			return fmt.Errorf("the daemon at %s did not answer within %s", c.address, timeout)
		}
		err = inner.Err // without the method and the URL
	}
	dial := (*net.OpError)(nil)
	if errors.As(err, &dial) && dial.Op == "dial" {
		if err = dial.Err; errors.As(err, new(*os.SyscallError)) {
			err = errors.Unwrap(err) // without the name of the call
		}
		if c.config.Start != "" {
			return fmt.Errorf("no daemon answers at %s (%w): start it with `%s`", c.address, err, c.config.Start)
		}
		return fmt.Errorf("no daemon answers at %s (%w): is it running there?", c.address, err)
	}
	return fmt.Errorf("no answer from the daemon at %s: %w", c.address, err)
}

// answerLimit bounds what is read of an error, in bytes.
const answerLimit = 256 << 10

// refused turns an answer that is no success into an error.
func (c *Client) refused(answer *http.Response) error {
	content, err := io.ReadAll(io.LimitReader(answer.Body, answerLimit))
	if err != nil {
		return fmt.Errorf("the daemon at %s answered %s, and the rest of it got lost: %w", c.address, answer.Status, err)
	}
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	problem := &httpapi.Problem{}
	if kind != "application/problem+json" || json.Unmarshal(content, problem) != nil {
		return fmt.Errorf("%s answered %s: is it a Postrider daemon?", c.address, answer.Status)
	}
	problem.Status = answer.StatusCode
	switch {
	case answer.StatusCode == http.StatusUnauthorized && c.config.Token == "":
		return &refusal{problem, fmt.Sprintf("the daemon at %s wants a token: give --token or POSTRIDER_TOKEN; "+
			"its operator finds one in the file admin-token of its data directory", c.address)}
	case answer.StatusCode == http.StatusUnauthorized:
		return &refusal{problem, fmt.Sprintf("the daemon at %s does not know this token: its operator finds the right one "+
			"in the file admin-token of its data directory", c.address)}
	}
	return &refusal{problem, sentence(problem)}
}

// refusal is a [*httpapi.Problem] with a sentence for the command line.
type refusal struct {
	problem  *httpapi.Problem
	sentence string
}

func (r *refusal) Error() string { return r.sentence }
func (r *refusal) Unwrap() error { return r.problem }

// sentence joins what a problem says: its detail, and below it whatever of its fields the detail did not say already.
func sentence(p *httpapi.Problem) string {
	var b strings.Builder
	b.WriteString(p.Error())
	for _, field := range p.Errors {
		if strings.Contains(p.Detail, field.Message) {
			continue
		}
		b.WriteString("\n  ")
		if field.Field != "" {
			b.WriteString(field.Field + ": ")
		}
		b.WriteString(field.Message)
	}
	return b.String()
}

// pageSize is the most that one page of a list holds.
const pageSize = 1000

// List reads pages until it has limit items, or all of them where limit is 0.
func List[T any](ctx context.Context, c *Client, r Request, limit int) (httpapi.Page[T], error) {
	list := httpapi.Page[T]{Items: []T{}}
	r.Method = http.MethodGet
	if r.Query == nil {
		r.Query = url.Values{}
	}
	for {
		want := pageSize
		if limit > 0 {
			want = min(want, limit-len(list.Items))
		}
		r.Query.Set("limit", strconv.Itoa(want))
		var page httpapi.Page[T]
		if err := c.Call(ctx, r, &page); err != nil {
			return list, err
		}
		list.Items, list.Next = append(list.Items, page.Items...), page.Next
		if page.Next == "" || (limit > 0 && len(list.Items) >= limit) {
			return list, nil
		}
		r.Query.Set("cursor", page.Next)
	}
}
