package post

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"golang.org/x/net/http/httpguts"

	"github.com/postrider/postrider/plugins/internal/oauth2"
)

// Auth says who sends, as users write it: exactly one of its members is there.
type Auth struct {
	Basic  *Basic  `json:"basic,omitempty" jsonschema:"a user and a password"`
	Bearer *Bearer `json:"bearer,omitempty" jsonschema:"a token that stays the same"`
	OAuth2 *OAuth2 `json:"oauth2,omitempty" jsonschema:"OAuth2 with client credentials: a token that is asked for, and again when it ends"`
}

// Basic is HTTP's basic authentication.
type Basic struct {
	User     string `json:"user" jsonschema:"the user's name"`
	Password Secret `json:"password" jsonschema:"the password: a secret"`
}

// Bearer is a token.
type Bearer struct {
	Token Secret `json:"token" jsonschema:"the token: a secret"`
}

// OAuth2 is what tokens are asked for with.
type OAuth2 struct {
	TokenURL     string            `json:"token_url" jsonschema:"where tokens are asked for"`
	ClientID     string            `json:"client_id" jsonschema:"the client's id"`
	ClientSecret Secret            `json:"client_secret" jsonschema:"the client's secret"`
	Scopes       []string          `json:"scopes,omitempty" jsonschema:"what the token is to permit"`
	Parameters   map[string]string `json:"parameters,omitempty" jsonschema:"further ones of the request for a token, as audience"`
	InBody       bool              `json:"in_body,omitempty" jsonschema:"whether the credentials go into the body of that request; left out: into its Authorization header"`
	TLS          TLS               `json:"tls,omitzero" jsonschema:"as tls, for where tokens are asked for; left out: the authorities of the system"`
}

const authorization = "Authorization"

// fixed returns the Authorization that never changes, and what of it is secret; "" for OAuth2. An error begins with the key that is wrong.
func (a Auth) fixed() (value string, secret []string, err error) {
	switch {
	case a.Bearer != nil && a.Basic == nil && a.OAuth2 == nil:
		token := string(a.Bearer.Token)
		if token == "" || !httpguts.ValidHeaderFieldValue(token) {
			return "", nil, errors.New("bearer.token: it is empty, or has characters that no token has")
		}
		return bearer + token, []string{token}, nil
	case a.Basic != nil && a.Bearer == nil && a.OAuth2 == nil:
		r := &http.Request{Header: make(http.Header)}
		r.SetBasicAuth(a.Basic.User, string(a.Basic.Password))
		value := r.Header.Get(authorization)
		return value, []string{value[len(basic):], string(a.Basic.Password)}, nil
	case a.OAuth2 != nil && a.Basic == nil && a.Bearer == nil:
		return "", []string{string(a.OAuth2.ClientSecret)}, nil
	case a == Auth{}:
		return "", nil, errors.New("it names none of basic, bearer and oauth2")
	}
	return "", nil, errors.New("it names more than one of basic, bearer and oauth2")
}

const (
	basic  = "Basic "
	bearer = "Bearer "
)

// tokens returns what fetches tokens for it, which is kept, with its token, for all that say the same. An error begins with the key that is wrong.
func (p *Poster) tokens(o OAuth2) (*oauth2.Source, error) {
	key, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	return p.sources.get(string(key), func() (*oauth2.Source, error) {
		if err := p.config.Egress.CheckURL(o.TokenURL); err != nil {
			return nil, fmt.Errorf("token_url: %w", err)
		}
		sender, err := p.senderFor(o.TLS)
		if err != nil {
			return nil, fmt.Errorf("tls.%w", err)
		}
		return oauth2.New(oauth2.Config{
			TokenURL: o.TokenURL, ClientID: o.ClientID, ClientSecret: string(o.ClientSecret), Scopes: o.Scopes, Parameters: o.Parameters, InBody: o.InBody,
		}, &http.Client{
			Transport:     sender.transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}), nil
	})
}
