// Notifier-http-signed is the plugin "http-signed": it delivers by an HTTP POST that is signed with the subscriber's verification token.
//
// What makes a POST safe and fast is in [post], and how signatures are made in [signature]; signing.go brings them together. What a receiver gets, and
// how it verifies that, is in the README.
package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/postrider/postrider/plugins/internal/post"
	"github.com/postrider/postrider/sdk"
)

const version = "1.0.0"

// maxInFlight is high because an attempt that waits for its answer costs little (some 32 KiB), and because all subscribers share it: a
// few that don't answer must not take it all.
const maxInFlight = 4096

// configuration is the `config` of the notifier.
type configuration struct {
	post.Configuration
	signing
}

// settings is what a subscriber may say for itself.
type settings struct {
	post.Settings
	signing
}

// notifier is complete once configure has returned, which is before the first delivery.
type notifier struct {
	poster *post.Poster
	signer *signer
}

func main() {
	n := new(notifier)
	sdk.ServeNotifier("http-signed", version, n, sdk.Configure(n.configure), sdk.Settings[settings](), sdk.MaxInFlight(maxInFlight))
}

func (n *notifier) configure(ctx context.Context, c configuration) (err error) {
	if n.signer, err = c.signing.signer(standard); err != nil {
		return err
	}
	if err = n.signer.leaves(c.Headers); err != nil {
		return err
	}
	n.poster, err = c.Configuration.Open(ctx, "Postrider/"+version)
	return err
}

// Notify makes one attempt. What is wrong with the settings or the token is so until someone changes them, and replays.
func (n *notifier) Notify(ctx context.Context, d sdk.Delivery) (sdk.Outcome, error) {
	message, err := post.MessageOf(d)
	if err != nil {
		return sdk.Outcome{}, err
	}
	signer, own, err := n.settingsOf(d)
	if err != nil {
		return sdk.Outcome{}, sdk.Permanent(fmt.Errorf("settings of subscriber %d: %w", d.Subscriber, err))
	}
	if err := signer.sign(&message, d); err != nil {
		return sdk.Outcome{}, sdk.Permanent(err)
	}
	outcome, err := n.poster.Post(ctx, message, own)
	if err != nil {
		return sdk.Outcome{}, sdk.Permanent(fmt.Errorf("settings of subscriber %d: %w", d.Subscriber, err))
	}
	return outcome, nil
}

// settingsOf returns how the subscriber's deliveries are signed, and its other settings; nil: it has none.
func (n *notifier) settingsOf(d sdk.Delivery) (*signer, *post.Settings, error) {
	if len(d.Settings) == 0 {
		return n.signer, nil, nil
	}
	var own settings
	if err := json.Unmarshal(d.Settings, &own); err != nil {
		return nil, nil, err
	}
	signer, err := own.signing.signer(n.signer)
	if err != nil {
		return nil, nil, err
	}
	return signer, &own.Settings, signer.leaves(own.Headers)
}
