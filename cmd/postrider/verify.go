package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/sdk/signature"
)

// verifyOptions are the flags of listen that say how to verify what comes.
type verifyOptions struct {
	secrets, files []string
	scheme         string
	header         string
}

func verifyFlags(c *cobra.Command) *verifyOptions {
	var o verifyOptions
	c.Flags().StringArrayVar(&o.secrets, "secret", nil, "verify with this `secret`, or public key (whpk_…); several times: any of them will do; others can see it in the process list")
	c.Flags().StringArrayVar(&o.files, "secret-file", nil, "a `file` that holds it; - is standard input")
	c.Flags().StringVar(&o.scheme, "scheme", string(signature.Standard), "how it is signed: standard, magento, github or stripe")
	c.Flags().StringVar(&o.header, "signature-header", "", "the `name` of the header field with the signature, where it is not the scheme's own")
	return &o
}

// verifier returns what verifies a request, or nil where no secret was given.
func (o *verifyOptions) verifier(a *app, c *cobra.Command) (func(http.Header, []byte) error, error) {
	secrets := o.secrets
	for _, name := range o.files {
		content, err := a.readFile(name)
		if err != nil {
			return nil, fmt.Errorf("read the secret: %w", err)
		}
		secrets = append(secrets, strings.TrimRight(string(content), "\r\n"))
	}
	if len(secrets) == 0 {
		if c.Flags().Changed("scheme") || c.Flags().Changed("signature-header") {
			return nil, usagef("--scheme and --signature-header say how to verify: give the --secret to verify with, too")
		}
		return nil, nil
	}
	v := signature.Verifier{Scheme: signature.Scheme(o.scheme), Names: signature.Names{Signature: o.header}}
	if err := v.Scheme.Check(); err != nil {
		return nil, usagef("--scheme: %s", err)
	}
	for _, secret := range secrets {
		key, err := v.Scheme.Key(secret)
		if err != nil {
			return nil, usagef("--secret: %s", err)
		}
		v.Keys = append(v.Keys, key)
	}
	return remembering(v), nil
}

// remembering verifies one request at a time, and tells more of a mismatch than one signature can say: a secret that verified something before
// is not another one.
func remembering(v signature.Verifier) func(http.Header, []byte) error {
	verified := 0
	return func(header http.Header, body []byte) error {
		err := v.Verify(header, body, time.Now())
		if err == nil {
			verified++
			return nil
		}
		if mismatch := (*signature.Mismatch)(nil); verified > 0 && errors.As(err, &mismatch) && mismatch.Cause == signature.Wrong {
			return &signature.Mismatch{Cause: signature.Body, What: fmt.Sprintf("the body was changed on its way, most likely, or what is signed with it: "+
				"this secret has verified %s before; else the sender's secret is another one by now", count(verified, "request"))}
		}
		return err
	}
}
