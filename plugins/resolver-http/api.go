package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/net/http/httpguts"

	"github.com/postrider/postrider/plugins/internal/auth"
	"github.com/postrider/postrider/sdk"
)

const (
	defaultTimeout = 10 * time.Second
	maxTimeout     = 30 * time.Second // the SDK's client doesn't wait longer
	maxAnswer      = sdk.MaxPayload   // bytes
	maxSaid        = 200              // bytes of what an API says about an error
)

// permanent are the statuses that say that the request itself is wrong. All others may pass: 404 is what an API says of an entity that the application
// has not committed yet; 401, 403 and redirects are for the operator to mend, and what was published meanwhile shall not be lost for it.
var permanent = []int{400, 405, 406, 410, 413, 414, 415, 422, 431, 501}

// api is one Web API. It is complete once it is made, and never changed.
type api struct {
	base           *url.URL
	path           string // of base, escaped, without a slash at its end
	headers        http.Header
	signer         signer
	secrets        auth.Secrets // that are sent, but for tokens that are fetched
	timeout        time.Duration
	permanent      []int
	encodedSlashes bool
}

// newAPI reads the configuration. An error begins with the key that is wrong, as "url: …".
func newAPI(ctx context.Context, c apiConfig) (*api, error) {
	base, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return nil, errors.New("url: it can't be read")
	case base.User != nil:
		return nil, errors.New("url: it carries a user name or a password: say it with auth.basic")
	case base.RawQuery != "" || base.Fragment != "" || base.ForceQuery:
		return nil, errors.New("url: it has a query or a fragment: write the query under request.query of services")
	case strings.ContainsAny(c.URL, "{}"):
		return nil, errors.New("url: arguments have no place in it: put them into the path of a request")
	}
	if err := sdk.EgressOf(ctx).CheckURL(c.URL); err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	a := &api{
		base: base, path: strings.TrimRight(base.EscapedPath(), "/"), encodedSlashes: c.EncodedSlashes, permanent: permanent, timeout: defaultTimeout,
		headers: http.Header{"Accept": {"application/json"}, "User-Agent": {"Postrider/" + version}, "Cache-Control": {"no-cache"}},
	}
	var secret []string
	if a.signer, secret, err = newSigner(ctx, c.Auth); err != nil {
		return nil, fmt.Errorf("auth.%w", err)
	}
	a.secrets = a.secrets.With(secret...)
	for name, value := range c.Headers {
		if err := checkHeader(name); err != nil {
			return nil, fmt.Errorf("headers.%s: %w", name, err)
		}
		if !httpguts.ValidHeaderFieldValue(value) {
			return nil, fmt.Errorf("headers.%s: its value has characters that can't stand there", name)
		}
		a.headers.Set(name, value)
		a.secrets = a.secrets.With(value)
	}
	if c.Timeout != "" {
		a.timeout, err = time.ParseDuration(c.Timeout)
		if err != nil || a.timeout < 100*time.Millisecond || a.timeout > maxTimeout {
			return nil, fmt.Errorf("timeout: %q is no time from 100ms to %v, written as \"10s\"", c.Timeout, maxTimeout)
		}
	}
	if c.Permanent != nil {
		a.permanent = c.Permanent
	}
	for i, status := range a.permanent {
		if status < 300 || status > 599 {
			return nil, fmt.Errorf("permanent[%d]: %d is no status of an answer without a result: those are 300 to 599", i, status)
		}
	}
	return a, nil
}

// below returns the URL of an escaped path and query below the API's own. Scheme and host are always the configured ones.
func (a *api) below(path, query string) *url.URL {
	u := *a.base
	u.RawPath = a.path + "/" + path
	u.Path, _ = url.PathUnescape(u.RawPath) // both parts of it were escaped by package url
	u.RawQuery = query
	return &u
}

// send sends a request and returns the JSON that answers it. Every error names the API's host, and none the path, the query or a credential: what stands
// there may be personal, or secret.
func (a *api) send(ctx context.Context, o outgoing) (json.RawMessage, error) {
	limited, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	response, err := a.do(limited, o)
	if err != nil {
		return nil, a.failure(limited, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	said := fmt.Sprintf("%s answered %s", a.base.Host, strings.TrimSpace(fmt.Sprintf("%d %s", response.StatusCode, http.StatusText(response.StatusCode))))
	switch {
	case response.StatusCode < 200 || response.StatusCode > 299:
		return nil, a.judge(response, said, body)
	case err != nil:
		return nil, fmt.Errorf("%s, but its body did not arrive: %w", said, a.failure(limited, err))
	case len(body) > maxAnswer:
		return nil, sdk.Permanent(fmt.Errorf("%s with more than %d MiB, the most that a payload may have: ask the API for less, by its query", said, maxAnswer>>20))
	case !json.Valid(body):
		return nil, fmt.Errorf("%s, but not with JSON%s", said, typeOf(response))
	}
	return body, nil
}

// do sends a request, and once more if its credential turns out to be no longer valid.
func (a *api) do(ctx context.Context, o outgoing) (*http.Response, error) {
	for again := true; ; again = false {
		r, err := http.NewRequestWithContext(ctx, o.method, a.base.String(), bytes.NewReader(o.body))
		if err != nil {
			return nil, err
		}
		r.URL, r.Header = o.url, o.header.Clone()
		if err := a.signer.sign(ctx, r); err != nil {
			return nil, &credentialError{err}
		}
		response, err := sdk.HTTPClient(ctx).Do(r)
		if err != nil || response.StatusCode != http.StatusUnauthorized || !a.signer.refused(r) || !again {
			return response, err
		}
		response.Body.Close()
	}
}

// credentialError is the error of a credential that could not be had.
type credentialError struct{ error }

func (e *credentialError) Unwrap() error { return e.error }

// judge says whether an answer that is none may be another one later.
func (a *api) judge(response *http.Response, said string, body []byte) error {
	err := errors.New(said + explain(body, a.secrets.With(credential(response.Request))))
	switch status := response.StatusCode; {
	case slices.Contains(a.permanent, status):
		return sdk.Permanent(err)
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fmt.Errorf("%w: check auth of the API in the configuration, and what its user may see", err)
	case status >= 300 && status < 400:
		return fmt.Errorf("%w, but redirects are not followed: correct the API's url in the configuration", err)
	}
	return err
}

// explain returns what an API says about an error, if it says so in one of the usual members of a JSON object, as text of one line. What it sends back of
// the secrets is left out.
func explain(body []byte, secrets auth.Secrets) string {
	var object map[string]any
	if json.Unmarshal(body, &object) != nil {
		return ""
	}
	for _, member := range []string{"message", "detail", "title", "error_description", "error"} {
		said, ok := object[member].(string)
		if !ok || said == "" {
			continue
		}
		said = secrets.Hide(said)
		said = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, strings.ToValidUTF8(said[:min(len(said), maxSaid)], ""))
		return fmt.Sprintf(" (it says: %s)", said)
	}
	return ""
}

// typeOf names the answer's content type, to tell what it is instead.
func typeOf(response *http.Response) string {
	contentType, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";")
	if contentType == "" || len(contentType) > 60 {
		return ""
	}
	return fmt.Sprintf(": it is %q", contentType)
}

// failure says why there is no answer. ctx is that of the request.
func (a *api) failure(ctx context.Context, err error) error {
	if u := new(url.Error); errors.As(err, &u) {
		err = u.Err // without the URL
	}
	var refused *sdk.EgressError
	var timeout net.Error
	var credential *credentialError
	switch {
	case errors.As(err, &refused):
		return sdk.Permanent(refused) // until the operator allows it, and replays
	case errors.As(err, &credential) && ctx.Err() == nil:
		return errors.New(a.secrets.Hide(credential.Error()))
	case errors.Is(ctx.Err(), context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("no answer from %s within %v", a.base.Host, a.timeout)
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s closed the connection before it had answered", a.base.Host)
	}
	return fmt.Errorf("no answer from %s: %w", a.base.Host, err)
}
