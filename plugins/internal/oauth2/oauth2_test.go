package oauth2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// endpoint is a token endpoint that knows one client.
func endpoint(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(answer))
	t.Cleanup(server.Close)
	return server.URL + "/token?tenant=secret-tenant"
}

func source(url string) *Source {
	return New(Config{TokenURL: url, ClientID: "id:1", ClientSecret: "s%cret", Scopes: []string{"a", "b"}, Parameters: map[string]string{"audience": "shop"}},
		&http.Client{Timeout: 5 * time.Second})
}

func TestATokenIsAskedForAsTheStandardSays(t *testing.T) {
	for _, inBody := range []bool{false, true} {
		url := endpoint(t, func(w http.ResponseWriter, r *http.Request) {
			id, secret, basic := r.BasicAuth()
			if !inBody && (id != "id%3A1" || secret != "s%25cret") || inBody && (basic || r.FormValue("client_id") != "id:1" || r.FormValue("client_secret") != "s%cret") {
				t.Errorf("in the body: %t: got the credentials %q, %q and the form %v", inBody, id, secret, r.Form)
			}
			if r.Method != "POST" || r.FormValue("grant_type") != "client_credentials" || r.FormValue("scope") != "a b" || r.FormValue("audience") != "shop" {
				t.Errorf("got %s of %v", r.Method, r.Form)
			}
			fmt.Fprint(w, `{"access_token":"t1","token_type":"Bearer","expires_in":"3600"}`)
		})
		s := source(url)
		s.config.InBody = inBody
		if token, err := s.Token(t.Context()); token != "t1" || err != nil {
			t.Errorf("got %q, %v", token, err)
		}
	}
}

func TestATokenIsKeptUntilItEndsOrIsForgotten(t *testing.T) {
	var asked atomic.Int32
	life := "3600"
	url := endpoint(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"access_token":"t%d","expires_in":%s}`, asked.Add(1), life)
	})
	s := source(url)
	token := func() string {
		t.Helper()
		token, err := s.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	if a, b := token(), token(); a != "t1" || b != "t1" {
		t.Errorf("got %s, then %s", a, b)
	}
	s.Forget("another")
	if a := token(); a != "t1" {
		t.Errorf("after another was forgotten: got %s", a)
	}
	s.Forget("t1")
	life = "1e-9" // over before it arrives
	if a, b := token(), token(); a != "t2" || b == "t2" {
		t.Errorf("after it was forgotten, and one that ends at once: got %s, then %s", a, b)
	}
}

func TestThoseWhoAskTogetherShareOneRequest(t *testing.T) {
	var asked atomic.Int32
	arrived, release := make(chan struct{}), make(chan struct{})
	url := endpoint(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			close(arrived)
		}
		<-release
		fmt.Fprint(w, `{"access_token":"t"}`)
	})
	s := source(url)
	first, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		if _, err := s.Token(first); !errors.Is(err, context.Canceled) {
			t.Errorf("the one that was cancelled: got %v", err)
		}
	})
	<-arrived
	cancel()
	group.Wait()
	for range 20 {
		group.Go(func() {
			if token, err := s.Token(t.Context()); token != "t" || err != nil {
				t.Errorf("got %q, %v", token, err)
			}
		})
	}
	close(release)
	group.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("the endpoint was asked %d times, want 1", n)
	}
}

func TestErrorsSayWhatTheEndpointSaidAndNoCredential(t *testing.T) {
	for want, answer := range map[string]func(w http.ResponseWriter){
		"401 Unauthorized (invalid_client): check": func(w http.ResponseWriter) {
			w.WriteHeader(401)
			io.WriteString(w, `{"error":"invalid_client","error_description":"secret-tenant s%cret"}`)
		},
		"503 Service Unavailable":          func(w http.ResponseWriter) { w.WriteHeader(503) },
		"302 Found":                        func(w http.ResponseWriter) { w.WriteHeader(302) },
		"but not with the JSON of a token": func(w http.ResponseWriter) { io.WriteString(w, "<html>s%cret") },
		"without an access_token":          func(w http.ResponseWriter) { fmt.Fprint(w, `{"access_token":"a\r\nX: y"}`) },
		"not of the type bearer":           func(w http.ResponseWriter) { fmt.Fprint(w, `{"access_token":"a","token_type":"mac"}`) },
	} {
		url := endpoint(t, func(w http.ResponseWriter, r *http.Request) { answer(w) })
		_, err := source(url).Token(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "no token from 127.0.0.1") {
			t.Errorf("got %v, want an error with %q", err, want)
			continue
		}
		if strings.Contains(err.Error(), "s%cret") || strings.Contains(err.Error(), "secret-tenant") {
			t.Errorf("a secret is in %v", err)
		}
	}
	closed := httptest.NewServer(nil)
	closed.Close()
	if _, err := source(closed.URL + "/?tenant=secret-tenant").Token(t.Context()); err == nil || strings.Contains(err.Error(), "secret-tenant") {
		t.Errorf("nobody there: got %v", err)
	}
}
