package httpapi_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/postrider/postrider/core/httpapi"
)

// unreadable fails the test that reads it.
type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body was read before the token was checked")
	return 0, errors.New("unreadable")
}

func TestStrangersAreRefusedBeforeTheirBodyIsRead(t *testing.T) {
	d := newDaemon()
	for _, path := range []string{"/v1/events", "/v1/subscribers", "/rest/V1/webhook", "/nowhere", "/healthz/", "//healthz", "/v1/../readyz"} {
		for _, header := range []string{"", "Bearer", "Bearer ", "Bearer wrong", "Basic " + adminToken, adminToken, "Bearer " + adminToken + "x"} {
			r := httptest.NewRequest(http.MethodPost, path, unreadable{t})
			r.Header.Set("Authorization", header)
			w := httptest.NewRecorder()
			d.handler.ServeHTTP(w, r)
			problem(t, w, http.StatusUnauthorized, "admin-token")
			if got := w.Header().Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer ") {
				t.Errorf("got challenge %q, want a Bearer one", got)
			}
		}
	}
}

func TestAnEmptyTokenLetsNobodyIn(t *testing.T) {
	handler := httpapi.New(httpapi.Config{})
	for _, header := range []string{"", "Bearer", "Bearer "} {
		r := httptest.NewRequest(http.MethodGet, "/v1/plugins", nil)
		r.Header.Set("Authorization", header)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		problem(t, w, http.StatusUnauthorized, "bearer token")
	}
}

func TestTheSchemeOfTheTokenMayBeWrittenInAnyCase(t *testing.T) {
	if w := newDaemon().do(http.MethodGet, "/v1/plugins", "", "Authorization", "bearer "+adminToken); w.Code != http.StatusOK {
		t.Errorf("got status %d, want 200", w.Code)
	}
}

func TestAnybodyMayAskForHealth(t *testing.T) {
	d := newDaemon()
	ask := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		d.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	if got := decoded[httpapi.Health](t, ask("/healthz"), http.StatusOK); got.Status != "alive" {
		t.Errorf("got health %+v", got)
	}
	if got := decoded[httpapi.Ready](t, ask("/readyz"), http.StatusOK); got.Status != "ready" {
		t.Errorf("got %+v, want ready", got)
	}
	d.reasons = []string{"the disk is full"}
	if got := decoded[httpapi.Ready](t, ask("/readyz"), http.StatusServiceUnavailable); len(got.Reasons) != 1 || got.Reasons[0] != d.reasons[0] {
		t.Errorf("got %+v, want the reason", got)
	}
}

func TestUnknownRoutesAndMethodsSayWhatThereIs(t *testing.T) {
	d := newDaemon()
	problem(t, d.do(http.MethodGet, "/v2/events", ""), http.StatusNotFound, "/v2/events")
	problem(t, d.do(http.MethodGet, "/v1/events/", ""), http.StatusNotFound, "/v1/events/")
	w := d.do(http.MethodDelete, "/v1/subscribers", "")
	problem(t, w, http.StatusMethodNotAllowed, "GET, HEAD, POST")
	if got := w.Header().Get("Allow"); got != "GET, HEAD, POST" {
		t.Errorf("got Allow %q", got)
	}
}

func TestAHeadRequestIsAnsweredLikeAGet(t *testing.T) {
	d := newDaemon()
	server := httptest.NewServer(d.handler)
	defer server.Close()
	response, err := http.Head(server.URL + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusOK || len(body) != 0 {
		t.Errorf("got status %d and body %q", response.StatusCode, body)
	}
}
