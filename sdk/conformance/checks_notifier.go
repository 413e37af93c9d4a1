package conformance

import (
	"context"
	"fmt"
	"strings"
)

var delivers = Check{
	Name:   "delivers in every envelope",
	Rule:   "A delivery is answered with an outcome: DELIVERED where the receiver took it, and otherwise a reason. The envelopes are standard, cloudevents and raw.",
	Advice: "Set either outcome or failure: an outcome is the receiver's word, a failure says that the plugin itself failed.",
	run: func(ctx context.Context, t *trial) error {
		p, err := t.ready(ctx)
		if err != nil {
			return err
		}
		d, err := t.delivery()
		if err != nil {
			return err
		}
		for _, envelope := range []string{"standard", "cloudevents", "raw"} {
			d.Envelope = envelope
			a, err := p.answer(ctx, request{delivery: d})
			if err != nil {
				return fmt.Errorf("envelope %s: %w", envelope, err)
			}
			if wrong := a.wrong(); wrong != "" {
				t.problem("its answer to a delivery in the envelope %s %s", envelope, wrong)
			} else if !a.delivered() {
				t.problem("a delivery in the envelope %s was answered with %v", envelope, a)
			}
		}
		return nil
	},
}

var refusesUnknownSettings = Check{
	Name:   "refuses settings that it doesn't know",
	Rule:   "A delivery whose settings don't fit is answered with a failure of the kind KIND_PERMANENT that names the setting. Without a schema, every setting is unknown.",
	Advice: "Check the settings against the schema that you describe; the subscriber may have been made for another version of the plugin.",
	run: func(ctx context.Context, t *trial) error {
		p, err := t.ready(ctx)
		if err != nil {
			return err
		}
		d, err := t.delivery()
		if err != nil {
			return err
		}
		good := d.Settings
		for _, b := range misfits(p.Process.Description().SettingsSchema, good) {
			d.Settings = b.document
			a, err := p.answer(ctx, request{delivery: d})
			if err != nil {
				return fmt.Errorf("settings %s: %w", b.document, err)
			}
			if !a.refused(b.member) {
				t.problem("the settings %s were answered with %v; want a failure of the kind KIND_PERMANENT that names %q", b.document, a, b.member)
			}
		}
		return nil
	},
}

var keepsOutOfTheNetwork = Check{
	Name: "keeps out of the operator's network",
	Rule: "What dials an address that somebody else wrote reaches public addresses alone, and in the operator's network (loopback, private, link-local, …) only what " +
		"Configure's egress_allow names. The address is checked after the name was resolved.",
	Advice: "Check each address at the moment of dialling (in Go, use sdk.HTTPClient). Otherwise a subscriber's URL can lead into the operator's own network.",
	run: func(ctx context.Context, t *trial) error {
		free, err := t.ready(ctx)
		if err != nil {
			return err
		}
		r, err := t.receive()
		if err != nil {
			return err
		}
		d, err := t.delivery()
		if err != nil {
			return err
		}
		d.URL = r.takes()
		if _, err := free.answer(ctx, request{delivery: d}); err != nil {
			return err
		}
		if !drained(r.came) {
			return skipf("it doesn't send requests to the recipient's URL")
		}
		confined, err := t.start(ctx)
		if err != nil {
			return err
		}
		if err := confined.Process.Configure(ctx, t.subject.Configuration, nil); err != nil {
			return skipf("it takes its configuration only with egress.allow: %w", err)
		}
		for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433"} {
			d.URL = strings.Replace(r.takes(), "127.0.0.1", host, 1)
			a, err := confined.answer(ctx, request{delivery: d})
			if err != nil {
				return fmt.Errorf("a delivery to %s: %w", d.URL, err)
			}
			if drained(r.came) {
				t.problem("it sent a request to %s, although egress_allow is empty", d.URL)
			} else if a.delivered() {
				t.problem("it says that it delivered to %s, which got nothing", d.URL)
			}
		}
		return nil
	},
}

// drained takes all tokens, and reports whether there was one.
func drained(c chan struct{}) (any bool) {
	for {
		select {
		case <-c:
			any = true
		default:
			return any
		}
	}
}
