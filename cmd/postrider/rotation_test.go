package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/core/httpapi"
)

func TestRotatesASecretAndShowsItOnce(t *testing.T) {
	until := time.Now().Add(24 * time.Hour)
	s := httpapi.Subscriber{ID: 3, Event: "a.b", URL: "https://x.example", EarlierTokens: []httpapi.EarlierToken{{Expires: until}}}
	d := newFakeDaemon(t, map[string]any{"POST /v1/subscribers/3/rotate-secret": s, "GET /v1/subscribers/3": s})
	sent := func() (rotation httpapi.RotateSecret) {
		t.Helper()
		if err := json.Unmarshal([]byte(d.lastCall(t).body), &rotation); err != nil {
			t.Fatal(err)
		}
		return rotation
	}

	printed := d.terminal(t).mustRun("subscriber", "rotate-secret", "3")
	if got := sent(); !strings.HasPrefix(got.Token, "whsec_") || got.Overlap != "24h0m0s" || !strings.Contains(printed, got.Token) {
		t.Errorf("sent %q for %s, and printed:\n%s", got.Token, got.Overlap, printed)
	}
	contains(t, printed, "Until "+moment(until), "magento, github")

	printed = d.terminal(t).mustRun("subscriber", "rotate-secret", "3", "--ed25519", "--overlap", "0s")
	if got := sent(); !strings.HasPrefix(got.Token, "whsk_") || got.Overlap != "0s" || strings.Contains(printed, got.Token) {
		t.Errorf("sent %q for %s, and printed:\n%s", got.Token, got.Overlap, printed)
	}
	contains(t, printed, "whpk_")

	term := d.terminal(t)
	term.stdin = "hush\n"
	printed = term.mustRun("subscriber", "rotate-secret", "3", "--verification-token-file", "-")
	if got := sent(); got.Token != "hush" || strings.Contains(printed, "hush") {
		t.Errorf("sent %q, and printed:\n%s", got.Token, printed)
	}

	var asJSON rotatedJSON
	if err := json.Unmarshal([]byte(d.terminal(t).mustRun("subscriber", "rotate-secret", "3", "--json")), &asJSON); err != nil {
		t.Fatal(err)
	}
	if asJSON.Secret != sent().Token || asJSON.Subscriber.ID != 3 || asJSON.PublicKey != "" {
		t.Errorf("got %+v, want the subscriber and the secret that was sent", asJSON)
	}
	contains(t, d.terminal(t).mustRun("subscriber", "show", "3"), "token before   valid until")

	r := d.terminal(t).run("subscriber", "rotate-secret", "3", "--ed25519", "--verification-token", "x")
	if r.status == exitOK || len(d.calls) != 5 {
		t.Errorf("a token and --ed25519: got exit status %d after %d calls, want it refused before any more", r.status, len(d.calls))
	}
}
