package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"golang.org/x/net/http/httpguts"

	"github.com/postrider/postrider/plugins/internal/oauth2"
	"github.com/postrider/postrider/sdk"
)

// authConfig says who sends the requests: at most one of its members is there.
type authConfig struct {
	Bearer *bearerConfig `json:"bearer,omitempty" jsonschema:"a token, such as that of a Magento integration"`
	Basic  *basicConfig  `json:"basic,omitempty" jsonschema:"a user and a password"`
	OAuth2 *oauth2Config `json:"oauth2,omitempty" jsonschema:"OAuth2 with client credentials"`
}

type bearerConfig struct {
	Token string `json:"token" jsonschema:"the token: a secret"`
}

type basicConfig struct {
	User     string `json:"user" jsonschema:"the user's name"`
	Password string `json:"password" jsonschema:"the password: a secret"`
}

type oauth2Config struct {
	TokenURL     string            `json:"token_url" jsonschema:"where tokens are asked for"`
	ClientID     string            `json:"client_id" jsonschema:"the client's id"`
	ClientSecret string            `json:"client_secret" jsonschema:"the client's secret"`
	Scopes       []string          `json:"scopes,omitempty" jsonschema:"what the token is to permit"`
	Parameters   map[string]string `json:"parameters,omitempty" jsonschema:"further ones of the request for a token, as audience"`
	InBody       bool              `json:"in_body,omitempty" jsonschema:"whether the credentials go into the body of that request; left out: into its Authorization header"`
}

// auth says who sends a request.
type auth interface {
	// sign adds it to the request. An error is about a credential that could not be had now.
	sign(ctx context.Context, r *http.Request) error
	// refused takes note of a request that was answered with 401, and reports whether another one may fare better.
	refused(r *http.Request) bool
}

// newAuth reads the configuration. An error begins with the key that is wrong.
func newAuth(ctx context.Context, c authConfig) (auth, error) {
	switch {
	case c.Bearer != nil && c.Basic == nil && c.OAuth2 == nil:
		if c.Bearer.Token == "" || !httpguts.ValidHeaderFieldValue(c.Bearer.Token) {
			return nil, errors.New("bearer.token: it is empty, or has characters that no token has")
		}
		return fixed("Bearer " + c.Bearer.Token), nil
	case c.Basic != nil && c.Bearer == nil && c.OAuth2 == nil:
		r := &http.Request{Header: make(http.Header)}
		r.SetBasicAuth(c.Basic.User, c.Basic.Password)
		return fixed(r.Header.Get("Authorization")), nil
	case c.OAuth2 != nil && c.Bearer == nil && c.Basic == nil:
		o := c.OAuth2
		if err := sdk.EgressOf(ctx).CheckURL(o.TokenURL); err != nil {
			return nil, fmt.Errorf("oauth2.token_url: %w", err)
		}
		return tokens{oauth2.New(oauth2.Config{
			TokenURL: o.TokenURL, ClientID: o.ClientID, ClientSecret: o.ClientSecret, Scopes: o.Scopes, Parameters: o.Parameters, InBody: o.InBody,
		}, sdk.HTTPClient(ctx))}, nil
	case c == authConfig{}:
		return fixed(""), nil
	}
	return nil, errors.New("there is more than one of bearer, basic and oauth2")
}

// fixed is an Authorization header that never changes; "" is none.
type fixed string

func (f fixed) sign(_ context.Context, r *http.Request) error {
	if f != "" {
		r.Header.Set("Authorization", string(f))
	}
	return nil
}

func (fixed) refused(*http.Request) bool { return false }

// tokens signs with a token that is fetched when it is needed.
type tokens struct{ source *oauth2.Source }

const bearer = "Bearer "

func (t tokens) sign(ctx context.Context, r *http.Request) error {
	token, err := t.source.Token(ctx)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", bearer+token)
	return nil
}

func (t tokens) refused(r *http.Request) bool {
	t.source.Forget(r.Header.Get("Authorization")[len(bearer):])
	return true
}
