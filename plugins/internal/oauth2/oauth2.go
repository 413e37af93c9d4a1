// Package oauth2 gets access tokens with client credentials (RFC 6749, section 4.4), for plugins that call what wants one.
//
// A [Source] keeps a token until shortly before it ends, and fetches one at a time however many ask. golang.org/x/oauth2 does that too, but fetches
// under a lock that no caller's deadline opens, and can't be told that a token was revoked early.
//
// Its errors name the token endpoint's host and its error code, never a credential.
package oauth2

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"
)

const (
	fetchTimeout = 10 * time.Second
	answerLimit  = 64 << 10
	// lifetime is how long a token is used whose answer doesn't say, and the longest that any is.
	lifetime = time.Hour
)

// Config is what a token is asked for with.
type Config struct {
	TokenURL     string
	ClientID     string
	ClientSecret string
	Scopes       []string
	Parameters   map[string]string // further ones of the request, as "audience"
	InBody       bool              // the credentials go into the request's body, not into its Authorization header
}

// Source returns tokens. It may be used from any number of goroutines at once.
type Source struct {
	config Config
	client *http.Client

	mu      sync.Mutex
	token   string
	ends    time.Time
	running *fetch // nil: none is under way
}

// fetch is a request for a token that is under way.
type fetch struct {
	done  chan struct{}
	token string
	err   error
}

// New returns a Source that asks with client, which decides what may be dialled.
func New(c Config, client *http.Client) *Source { return &Source{config: c, client: client} }

// Token returns a token that is valid now, as far as the source knows. It waits for one until ctx ends.
func (s *Source) Token(ctx context.Context) (string, error) {
	s.mu.Lock()
	if s.token != "" && time.Now().Before(s.ends) {
		defer s.mu.Unlock()
		return s.token, nil
	}
	f := s.running
	if f == nil {
		f = &fetch{done: make(chan struct{})}
		s.running = f
		go s.run(context.WithoutCancel(ctx), f) // for all who wait, and so not ended by the first one
	}
	s.mu.Unlock()
	select {
	case <-f.done:
		return f.token, f.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// Forget drops a token that was not accepted, so that the next one asked for is new.
func (s *Source) Forget(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == token {
		s.token = ""
	}
}

// run ends at its own deadline, whatever the endpoint does.
func (s *Source) run(ctx context.Context, f *fetch) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	began := time.Now()
	token, life, err := s.fetch(ctx)
	s.mu.Lock()
	s.running = nil
	if err == nil {
		s.token, s.ends = token, began.Add(life-min(life/10, 30*time.Second))
	}
	s.mu.Unlock()
	f.token, f.err = token, err
	close(f.done)
}

// answer is the endpoint's, good or bad (RFC 6749, sections 5.1 and 5.2).
type answer struct {
	AccessToken string      `json:"access_token"`
	TokenType   string      `json:"token_type"`
	ExpiresIn   json.Number `json:"expires_in"` // some write it as a string, which is taken too
	Error       string      `json:"error"`
}

func (s *Source) fetch(ctx context.Context) (token string, life time.Duration, err error) {
	request, err := s.request(ctx)
	if err != nil {
		return "", 0, err
	}
	response, err := s.client.Do(request)
	if err != nil {
		if u := new(url.Error); errors.As(err, &u) {
			err = u.Err // without the URL
		}
		return "", 0, fmt.Errorf("no token from %s: %w", request.URL.Host, err)
	}
	defer response.Body.Close()
	var a answer
	body, err := io.ReadAll(io.LimitReader(response.Body, answerLimit))
	if err != nil {
		return "", 0, fmt.Errorf("no token from %s: its answer broke off: %w", request.URL.Host, err)
	}
	notJSON := json.Unmarshal(body, &a)
	said := fmt.Sprintf("no token from %s: it answered %d %s", request.URL.Host, response.StatusCode, http.StatusText(response.StatusCode))
	switch {
	case code.MatchString(a.Error):
		return "", 0, fmt.Errorf("%s (%s): check the client's id, secret and scopes", said, a.Error)
	case response.StatusCode != http.StatusOK:
		return "", 0, errors.New(said)
	case notJSON != nil:
		return "", 0, fmt.Errorf("%s, but not with the JSON of a token", said)
	case a.AccessToken == "" || !visible.MatchString(a.AccessToken):
		return "", 0, fmt.Errorf("%s without an access_token that can be sent", said)
	case a.TokenType != "" && !strings.EqualFold(a.TokenType, "bearer"):
		return "", 0, fmt.Errorf("%s with a token that is not of the type bearer", said)
	}
	return a.AccessToken, lifeOf(a.ExpiresIn), nil
}

var (
	code    = regexp.MustCompile(`^[a-z_]{1,64}$`)
	visible = regexp.MustCompile(`^[\x21-\x7e]+$`)
)

func lifeOf(expiresIn json.Number) time.Duration {
	seconds, err := expiresIn.Float64()
	if err != nil || seconds <= 0 || seconds > lifetime.Seconds() {
		return lifetime
	}
	return time.Duration(seconds * float64(time.Second))
}

func (s *Source) request(ctx context.Context) (*http.Request, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	if len(s.config.Scopes) > 0 {
		form.Set("scope", strings.Join(s.config.Scopes, " "))
	}
	for name, value := range s.config.Parameters {
		form.Set(name, value)
	}
	if s.config.InBody {
		form.Set("client_id", s.config.ClientID)
		form.Set("client_secret", s.config.ClientSecret)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.config.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errors.New("the token URL can't be read")
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	if !s.config.InBody { // section 2.3.1: both are form-encoded first
		request.SetBasicAuth(url.QueryEscape(s.config.ClientID), url.QueryEscape(s.config.ClientSecret))
	}
	return request, nil
}
