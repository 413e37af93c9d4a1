package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/postrider/postrider/plugins/internal/auth"
	"github.com/postrider/postrider/plugins/internal/oauth2"
	"github.com/postrider/postrider/sdk"
)

// authConfig says who sends the requests: at most one of its members is there.
type authConfig struct {
	Bearer *auth.Bearer `json:"bearer,omitempty" jsonschema:"a token, such as that of a Magento integration"`
	Basic  *auth.Basic  `json:"basic,omitempty" jsonschema:"a user and a password"`
	OAuth2 *auth.OAuth2 `json:"oauth2,omitempty" jsonschema:"OAuth2 with client credentials"`
}

// signer says who sends a request.
type signer interface {
	// sign adds it to the request. An error is about a credential that could not be had now.
	sign(ctx context.Context, r *http.Request) error
	// refused takes note of a request that was answered with 401, and reports whether another one may fare better.
	refused(r *http.Request) bool
}

// newSigner reads the configuration, and returns what of it is secret beside what is sent. An error begins with the key that is wrong.
func newSigner(ctx context.Context, c authConfig) (signer, []string, error) {
	switch {
	case c.Bearer != nil && c.Basic == nil && c.OAuth2 == nil:
		value, secret, err := c.Bearer.Authorization()
		return fixed(value), secret, err
	case c.Basic != nil && c.Bearer == nil && c.OAuth2 == nil:
		value, secret := c.Basic.Authorization()
		return fixed(value), secret, nil
	case c.OAuth2 != nil && c.Bearer == nil && c.Basic == nil:
		if err := sdk.EgressOf(ctx).CheckURL(c.OAuth2.TokenURL); err != nil {
			return nil, nil, fmt.Errorf("oauth2.token_url: %w", err)
		}
		return tokens{c.OAuth2.Source(sdk.HTTPClient(ctx))}, []string{string(c.OAuth2.ClientSecret)}, nil
	case c == authConfig{}:
		return fixed(""), nil, nil
	}
	return nil, nil, errors.New("there is more than one of bearer, basic and oauth2")
}

// fixed is an Authorization that never changes; "" is none.
type fixed string

func (f fixed) sign(_ context.Context, r *http.Request) error {
	if f != "" {
		r.Header.Set(auth.Field, string(f))
	}
	return nil
}

func (fixed) refused(*http.Request) bool { return false }

// tokens signs with a token that is fetched when it is needed.
type tokens struct{ source *oauth2.Source }

func (t tokens) sign(ctx context.Context, r *http.Request) error {
	token, err := t.source.Token(ctx)
	if err != nil {
		return err
	}
	r.Header.Set(auth.Field, auth.OfToken(token))
	return nil
}

func (t tokens) refused(r *http.Request) bool {
	t.source.Forget(credential(r))
	return true
}

// credential returns what a request was signed with; "": nothing.
func credential(r *http.Request) string {
	_, sent, _ := strings.Cut(r.Header.Get(auth.Field), " ") // after its kind
	return sent
}
