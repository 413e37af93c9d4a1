package post

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/postrider/postrider/plugins/internal/auth"
	"github.com/postrider/postrider/plugins/internal/oauth2"
	"github.com/postrider/postrider/sdk"
)

// Auth says who sends, as users write it: exactly one of its members is there.
type Auth struct {
	Basic  *auth.Basic  `json:"basic,omitempty" jsonschema:"a user and a password"`
	Bearer *auth.Bearer `json:"bearer,omitempty" jsonschema:"a token that stays the same"`
	OAuth2 *OAuth2      `json:"oauth2,omitempty" jsonschema:"OAuth2 with client credentials: a token that is asked for, and again when it ends"`
}

// OAuth2 is what tokens are asked for with, and how.
type OAuth2 struct {
	auth.OAuth2
	TLS TLS `json:"tls,omitzero" jsonschema:"as tls, for where tokens are asked for; left out: the authorities of the system"`
}

// fixed returns the Authorization that never changes, and what of it is secret; "" for OAuth2. An error begins with the key that is wrong.
func (a Auth) fixed() (value string, secret []string, err error) {
	switch {
	case a.Bearer != nil && a.Basic == nil && a.OAuth2 == nil:
		return a.Bearer.Authorization()
	case a.Basic != nil && a.Bearer == nil && a.OAuth2 == nil:
		value, secret = a.Basic.Authorization()
		return value, secret, nil
	case a.OAuth2 != nil && a.Basic == nil && a.Bearer == nil:
		return "", []string{string(a.OAuth2.ClientSecret)}, nil
	case a == Auth{}:
		return "", nil, errors.New("it names none of basic, bearer and oauth2")
	}
	return "", nil, errors.New("it names more than one of basic, bearer and oauth2")
}

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
		return o.Source(&http.Client{
			Transport:     sender.transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}), nil
	})
}

// hide takes the secrets out of what becomes known of an attempt: a receiver may send back what it got.
func hide(s auth.Secrets, o sdk.Outcome) sdk.Outcome {
	o.Reason, o.Excerpt = s.Hide(o.Reason), s.HideCut(o.Excerpt)
	return o
}
