package endtoend

import (
	"encoding/json"
	"strconv"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// verifies reports whether the library of Standard Webhooks takes the request as signed with the secret.
func verifies(t *testing.T, secret string, one received) bool {
	t.Helper()
	webhook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	return webhook.Verify(one.Body, one.Header) == nil
}

// rotation is a subscriber whose secret is changed, and its receiver.
type rotation struct {
	*receiver
	id       int
	old, new string
	expires  time.Time // of the old one
}

// rotate changes the secret as an operator does.
func (r *rotation) rotate(in *installation, overlap string) {
	in.t.Helper()
	var answer struct {
		Secret     string
		Subscriber struct {
			EarlierTokens []struct{ Expires time.Time } `json:"earlier_tokens"`
		}
	}
	out := in.postrider("subscriber", "rotate-secret", strconv.Itoa(r.id), "--overlap", overlap, "--json")
	if err := json.Unmarshal([]byte(out), &answer); err != nil || answer.Secret == "" || len(answer.Subscriber.EarlierTokens) != 1 {
		in.t.Fatalf("rotate-secret printed %s (%v)", out, err)
	}
	r.new, r.expires = answer.Secret, answer.Subscriber.EarlierTokens[0].Expires
}

// check holds the newest delivery, published at that time, against the secrets. What was on its way when the overlap ended may have either form.
func (r *rotation) check(t *testing.T, published time.Time) {
	t.Helper()
	all := r.all()
	last := all[len(all)-1]
	byOld, byNew := verifies(t, r.old, last), verifies(t, r.new, last)
	switch {
	case !byNew:
		t.Errorf("delivery %d does not verify with the new secret", len(all))
	case !byOld && last.At.Before(r.expires):
		t.Errorf("delivery %d came %s before the overlap ends, and does not verify with the old secret", len(all), r.expires.Sub(last.At))
	case byOld && published.After(r.expires):
		t.Errorf("delivery %d was published %s after the overlap ended, and verifies with the old secret", len(all), published.Sub(r.expires))
	}
}

func TestEveryDeliveryVerifiesWithBothSecretsUntilTheOverlapEndsAndWithTheNewOneAfterIt(t *testing.T) {
	t.Parallel()
	in := install(t)
	in.ownPlugins("notifier-http")
	in.installPlugin(built(t, "plugins/notifier-http-signed"), "notifier-http-signed")
	d := in.serve()
	long := &rotation{receiver: receive(t, always(200)), old: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
	short := &rotation{receiver: receive(t, always(200)), old: "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}
	for _, r := range []*rotation{long, short} {
		status, body := d.call("POST", "/v1/subscribers", map[string]any{"event": "stock.item.changed", "notifier": "http-signed", "url": r.URL, "token": r.old})
		var made struct{ ID int }
		if err := json.Unmarshal(body, &made); err != nil || status != 201 {
			t.Fatalf("subscribe: %d %s (%v)", status, body, err)
		}
		r.id = made.ID
	}
	published := 0
	deliver := func() (began time.Time) {
		began = time.Now()
		status, body := d.call("POST", "/v1/events", `{"event":"stock.item.changed"}`)
		var accepted struct{ ID string }
		if err := json.Unmarshal(body, &accepted); err != nil || status != 202 {
			t.Fatalf("publish: %d %s (%v)", status, body, err)
		}
		published++
		eventually(t, "both receivers have it", func() bool { return len(long.all()) == published && len(short.all()) == published })
		eventually(t, "that is noted, so that it does not come again after a kill", func() bool {
			return len(get[page[delivery]](d, "/v1/deliveries?state=delivered&event_id="+accepted.ID).Items) == 2
		})
		return began
	}

	deliver()
	long.rotate(in, "1h")
	short.rotate(in, "3s")
	for _, r := range []*rotation{long, short} {
		if first := r.all()[0]; !verifies(t, r.old, first) || verifies(t, r.new, first) {
			t.Error("before the rotation, the secret is not the old one alone")
		}
	}
	for began := (time.Time{}); !began.After(short.expires); {
		began = deliver()
		long.check(t, began)
		short.check(t, began)
	}
	t.Logf("%d deliveries until the overlap of 3 s had ended", published-1)
	d.kill()
	d = in.serve()
	for range 3 {
		began := deliver()
		long.check(t, began)
		short.check(t, began)
	}
	if last := len(short.all()) - 1; verifies(t, short.old, short.all()[last]) || !verifies(t, long.old, long.all()[last]) {
		t.Error("after a restart, the overlap that ended goes on, or the one that goes on has ended")
	}
	d.stop()
}
