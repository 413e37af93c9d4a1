package httpapi_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/httpapi"
)

func TestATokenIsRotatedAndNoneIsShown(t *testing.T) {
	d := newDaemon()
	d.store.subscribers = []core.Subscriber{{ID: 1, Event: "stock.item.changed", URL: "https://x", Notifier: "default", Token: secret}}
	before := time.Now()
	w := d.do(http.MethodPost, "/v1/subscribers/1/rotate-secret", `{"token":"brand-new"}`)
	got := decoded[httpapi.Subscriber](t, w, http.StatusOK)
	if len(got.EarlierTokens) != 1 || got.EarlierTokens[0].Expires.Before(before.Add(23*time.Hour)) || got.EarlierTokens[0].Expires.After(time.Now().Add(24*time.Hour)) {
		t.Errorf("got %+v, want one earlier token for a day", got.EarlierTokens)
	}
	if answer := w.Body.String(); strings.Contains(answer, secret) || strings.Contains(answer, "brand-new") {
		t.Errorf("the answer %s shows a token", answer)
	}
	stored, _ := d.store.Subscriber(1)
	if stored.Token != "brand-new" || !reflect.DeepEqual(stored.EarlierTokens(time.Now()), []string{secret}) {
		t.Errorf("got %+v in the store", stored)
	}

	decoded[httpapi.Subscriber](t, d.do(http.MethodPost, "/v1/subscribers/1/rotate-secret", `{"token":"newer","overlap":"1m"}`), http.StatusOK)
	if w := d.do(http.MethodGet, "/v1/subscribers", ""); strings.Contains(w.Body.String(), secret) || strings.Contains(w.Body.String(), "new") {
		t.Errorf("the list %s shows a token", w.Body)
	}
	got = decoded[httpapi.Subscriber](t, d.do(http.MethodPost, "/v1/subscribers/1/rotate-secret", `{"token":"newest","overlap":"0s"}`), http.StatusOK)
	if got.EarlierTokens != nil {
		t.Errorf("without an overlap: got %+v, want no earlier token", got.EarlierTokens)
	}
}

func TestATokenThatIsSetEndsThoseBeforeAtOnce(t *testing.T) {
	d := newDaemon()
	earlier := []core.EarlierToken{{Token: "older", Expires: time.Now().Add(time.Hour)}}
	d.store.subscribers = []core.Subscriber{{ID: 1, Event: "stock.item.changed", URL: "https://x", Notifier: "default", Token: secret, Earlier: earlier}}
	d.do(http.MethodPatch, "/v1/subscribers/1", `{"token":"`+secret+`"}`)
	if got, _ := d.store.Subscriber(1); len(got.Earlier) != 1 {
		t.Error("setting the token that it has already has ended the one before")
	}
	d.do(http.MethodPatch, "/v1/subscribers/1", `{"token":"another"}`)
	if got, _ := d.store.Subscriber(1); got.Token != "another" || got.Earlier != nil {
		t.Errorf("got %+v, want the new token alone", got)
	}
}

func TestARotationThatMakesNoSenseIsRefused(t *testing.T) {
	d := newDaemon()
	d.store.subscribers = []core.Subscriber{{ID: 1, Event: "stock.item.changed", URL: "https://x", Notifier: "default", Token: secret}}
	for body, text := range map[string]string{
		`{}`:                             "the new token is empty",
		`{"token":"` + secret + `"}`:     "has already",
		`{"token":"a","overlap":"soon"}`: "is no time",
		`{"token":"a","overlap":"721h"}`: "from 0s",
		`{"token":"a","overlp":"1h"}`:    "overlp",
	} {
		problem(t, d.do(http.MethodPost, "/v1/subscribers/1/rotate-secret", body), http.StatusUnprocessableEntity, text)
	}
	problem(t, d.do(http.MethodPost, "/v1/subscribers/2/rotate-secret", `{"token":"a"}`), http.StatusNotFound, "no subscriber 2")
	problem(t, d.do(http.MethodGet, "/v1/subscribers/1/rotate-secret", ""), http.StatusMethodNotAllowed, "POST")
}
