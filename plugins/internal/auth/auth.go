// Package auth is who sends a request, as users write it, for all plugins that send some: a user and a password, a token, or what tokens are asked for
// with. A [Secret] of theirs is taken and never shown; [Secrets] are hidden from what somebody sends back of them.
package auth

import (
	"errors"
	"net/http"

	"golang.org/x/net/http/httpguts"

	"github.com/postrider/postrider/plugins/internal/oauth2"
)

// Field is the header field that says who sends.
const Field = "Authorization"

// Basic is HTTP's basic authentication.
type Basic struct {
	User     string `json:"user" jsonschema:"the user's name"`
	Password Secret `json:"password" jsonschema:"the password: a secret"`
}

// Authorization returns the value of [Field], and what of it is secret.
func (b Basic) Authorization() (value string, secret []string) {
	r := &http.Request{Header: make(http.Header)}
	r.SetBasicAuth(b.User, string(b.Password))
	value = r.Header.Get(Field)
	return value, []string{value[len("Basic "):], string(b.Password)}
}

// Bearer is a token that stays the same.
type Bearer struct {
	Token Secret `json:"token" jsonschema:"the token: a secret"`
}

// Authorization returns the value of [Field], and what of it is secret. An error begins with the key that is wrong.
func (b Bearer) Authorization() (value string, secret []string, err error) {
	token := string(b.Token)
	if token == "" || !httpguts.ValidHeaderFieldValue(token) {
		return "", nil, errors.New("bearer.token: it is empty, or has characters that no token has")
	}
	return OfToken(token), []string{token}, nil
}

// OfToken returns the value of [Field] for a token.
func OfToken(token string) string { return "Bearer " + token }

// OAuth2 is what tokens are asked for with.
type OAuth2 struct {
	TokenURL     string            `json:"token_url" jsonschema:"where tokens are asked for"`
	ClientID     string            `json:"client_id" jsonschema:"the client's id"`
	ClientSecret Secret            `json:"client_secret" jsonschema:"the client's secret"`
	Scopes       []string          `json:"scopes,omitempty" jsonschema:"what the token is to permit"`
	Parameters   map[string]string `json:"parameters,omitempty" jsonschema:"further ones of the request for a token, as audience"`
	InBody       bool              `json:"in_body,omitempty" jsonschema:"whether the credentials go into the body of that request; left out: into its Authorization header"`
}

// Source returns what asks for tokens with client, which decides what may be dialled.
func (o OAuth2) Source(client *http.Client) *oauth2.Source {
	return oauth2.New(oauth2.Config{
		TokenURL: o.TokenURL, ClientID: o.ClientID, ClientSecret: string(o.ClientSecret), Scopes: o.Scopes, Parameters: o.Parameters, InBody: o.InBody,
	}, client)
}
