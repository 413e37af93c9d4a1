package main

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
	"github.com/postrider/postrider/core/httpapi"
	"github.com/postrider/postrider/sdk/signature"
)

// tokenOptions are the flags that give a verification token.
type tokenOptions struct{ text, file string }

func tokenFlags(c *cobra.Command) *tokenOptions {
	var o tokenOptions
	c.Flags().StringVar(&o.text, "verification-token", "", "the `secret` that proves to the receiver that it is us; others can see it in the process list")
	c.Flags().StringVar(&o.file, "verification-token-file", "", "a `file` that holds it; - is standard input")
	c.MarkFlagsMutuallyExclusive("verification-token", "verification-token-file")
	return &o
}

// read returns the token that was given, and whether one was.
func (o *tokenOptions) read(a *app, c *cobra.Command) (token string, given bool, err error) {
	if c.Flags().Changed("verification-token") {
		return o.text, true, nil
	}
	if !c.Flags().Changed("verification-token-file") {
		return "", false, nil
	}
	content, err := a.readFile(o.file)
	if err != nil {
		return "", false, fmt.Errorf("read the verification token: %w", err)
	}
	return strings.TrimRight(string(content), "\r\n"), true, nil
}

// rotatedJSON is what rotate-secret prints with --json.
type rotatedJSON struct {
	Subscriber httpapi.Subscriber `json:"subscriber"`
	Secret     string             `json:"secret,omitempty"`     // where it was made here: nothing shows it again
	PublicKey  string             `json:"public_key,omitempty"` // of an ed25519 key
}

func (a *app) subscriberRotateSecret() *cobra.Command {
	c := &cobra.Command{
		Use:   "rotate-secret ID",
		Short: "Give a subscriber a new verification token, and its receiver time to learn it",
		Long: `Give a subscriber a new verification token, and its receiver time to learn it.

Unless you give the token, one is made here and printed, this once. Until the overlap ends, deliveries are signed with the new
token and with those before. Signatures of the schemes magento and github have room for one token: until the overlap ends it
is the one before, so that the receiver has time to take both.

With --overlap 0s, all tokens before end at once: the way to go when one has leaked.`,
		Example: `  postrider subscriber rotate-secret 3
  postrider subscriber rotate-secret 3 --overlap 72h --ed25519
  postrider subscriber rotate-secret 3 --overlap 0s --verification-token-file new-token`,
		Args: takes("ID"),
	}
	to, asJSON, given := connectionFlags(c), jsonFlag(c), tokenFlags(c)
	overlap := c.Flags().Duration("overlap", 24*time.Hour, "how long the token before stays valid; 0s ends it at once")
	ed25519 := c.Flags().Bool("ed25519", false, "make an ed25519 key (Standard Webhooks v1a), and print its public half for the receiver")
	c.MarkFlagsMutuallyExclusive("ed25519", "verification-token")
	c.MarkFlagsMutuallyExclusive("ed25519", "verification-token-file")
	c.RunE = func(c *cobra.Command, args []string) error {
		ids, err := subscriberIDs(args)
		if err != nil {
			return err
		}
		token, isGiven, err := given.read(a, c)
		if err != nil {
			return err
		}
		var rotated rotatedJSON
		switch {
		case isGiven:
		case *ed25519:
			token = signature.NewEd25519()
		default:
			token = signature.NewSecret()
			rotated.Secret = token
		}
		if key, err := signature.Standard.Key(token); err == nil {
			rotated.PublicKey = key.Public()
		}
		daemon, err := a.connect(to)
		if err != nil {
			return err
		}
		r := client.Request{
			Method: http.MethodPost, Path: append(subscriberPath(ids[0]), "rotate-secret"),
			Body: httpapi.RotateSecret{Token: token, Overlap: overlap.String()},
		}
		if err := daemon.Call(c.Context(), r, &rotated.Subscriber); err != nil {
			return err
		}
		if *asJSON {
			return a.printJSON(rotated)
		}
		a.showRotated(rotated)
		return nil
	}
	return c
}

func (a *app) showRotated(rotated rotatedJSON) {
	id := rotated.Subscriber.ID
	switch {
	case rotated.PublicKey != "":
		a.sayf("Subscriber %d has a new ed25519 key. Its receiver verifies with the public half:\n\n  %s\n", id, rotated.PublicKey)
	case rotated.Secret != "":
		a.sayf("Subscriber %d has a new secret. Nothing shows it again; give it to the receiver:\n\n  %s\n", id, rotated.Secret)
	default:
		a.sayf("Subscriber %d has the new secret.\n", id)
	}
	if len(rotated.Subscriber.EarlierTokens) == 0 {
		a.sayf("It is the only one that is valid, from now on.")
		return
	}
	until := moment(rotated.Subscriber.EarlierTokens[0].Expires)
	a.sayf("Until %s deliveries are signed with the one before, too; where the scheme has room for one (magento, github), with\n"+
		"that one alone until then.", until)
}
