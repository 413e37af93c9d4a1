package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/sdk/signature"
)

// signedRequest is a delivery that is signed by token at a time, and then changed.
func signedRequest(t *testing.T, url string, s signature.Scheme, token string, at time.Time, change func(*http.Request)) *http.Request {
	t.Helper()
	key, err := s.Key(token)
	if err != nil {
		t.Fatal(err)
	}
	const body = `{"type":"a.b"}`
	value, err := s.Sign(signature.Message{ID: "dlv_1", Time: at, Body: []byte(body)}, key)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("webhook-id", "dlv_1")
	r.Header.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	r.Header.Set(s.Names().Signature, value)
	if change != nil {
		change(r)
	}
	return r
}

func setBody(text string) func(*http.Request) {
	return func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	}
}

// verifying runs `postrider listen --json` with args, and returns a function that sends a request and returns what listen printed of it.
func verifying(t *testing.T, args ...string) (url string, send func(*http.Request) (int, receivedJSON)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	stdout, write := io.Pipe()
	address := freeAddress(t)
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, &app{stdin: strings.NewReader("hush\n"), stdout: write, stderr: t.Output()}, append([]string{"listen", "--address", address, "--json"}, args...))
		write.Close()
	}()
	lines := bufio.NewScanner(stdout)
	t.Cleanup(func() {
		cancel()
		for lines.Scan() {
		}
		if status := <-done; status != exitOK {
			t.Errorf("listen ended with status %d", status)
		}
	})
	awaitAddress(t, address)
	return "http://" + address, func(r *http.Request) (int, receivedJSON) {
		t.Helper()
		printed := make(chan receivedJSON, 1)
		go func() {
			var got receivedJSON
			if lines.Scan() {
				_ = json.Unmarshal(lines.Bytes(), &got)
			}
			printed <- got
		}()
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode, <-printed
	}
}

func TestListenVerifiesEveryScheme(t *testing.T) {
	for _, s := range signature.Schemes() {
		url, send := verifying(t, "--secret", "another", "--secret-file", "-", "--scheme", string(s))
		if status, got := send(signedRequest(t, url, s, "hush", time.Now(), nil)); status != 200 || got.Verified == nil || !*got.Verified {
			t.Errorf("%s: answered %d, and printed %+v", s, status, got)
		}
		if status, got := send(signedRequest(t, url, s, "hush", time.Now(), setBody(`{"type":"c.d"}`))); status != 401 || got.Verified == nil || *got.Verified {
			t.Errorf("%s: answered %d to another body, and printed %+v", s, status, got)
		}
	}
	key := signature.NewEd25519()
	private, err := signature.Standard.Key(key)
	if err != nil {
		t.Fatal(err)
	}
	url, send := verifying(t, "--secret", private.Public())
	if status, got := send(signedRequest(t, url, signature.Standard, key, time.Now(), nil)); status != 200 {
		t.Errorf("ed25519: answered %d, and printed %+v", status, got)
	}
}

func TestListenExplainsAMismatch(t *testing.T) {
	url, send := verifying(t, "--secret", "hush")
	expect := func(cause signature.Cause, text string, r *http.Request) {
		t.Helper()
		status, got := send(r)
		if status != http.StatusUnauthorized || got.Cause != cause || !strings.Contains(got.Problem, text) {
			t.Errorf("answered %d because of %q: %s; want 401, %q and %q", status, got.Cause, got.Problem, cause, text)
		}
	}
	standard := signature.Standard
	expect(signature.Wrong, "the secret is another", signedRequest(t, url, standard, "wrong", time.Now(), nil))
	expect(signature.Clock, "this clock is ahead", signedRequest(t, url, standard, "hush", time.Now().Add(-time.Hour), nil))
	expect(signature.Clock, "this clock is behind", signedRequest(t, url, standard, "hush", time.Now().Add(time.Hour), nil))
	expect(signature.Header, "no webhook-signature", signedRequest(t, url, standard, "hush", time.Now(), func(r *http.Request) { r.Header.Del("webhook-signature") }))
	expect(signature.Header, "by the scheme github", signedRequest(t, url, signature.GitHub, "hush", time.Now(), nil))
	expect(signature.Body, "without white space", signedRequest(t, url, standard, "hush", time.Now(), setBody("{ \"type\" : \"a.b\" }")))
	if status, got := send(signedRequest(t, url, standard, "hush", time.Now(), nil)); status != 200 {
		t.Fatalf("answered %d: %s", status, got.Problem)
	}
	expect(signature.Body, "this secret has verified 1 request before", signedRequest(t, url, standard, "hush", time.Now(), setBody(`{"type":"a.c"}`)))
}

func TestListenTakesAnotherNameOfTheSignature(t *testing.T) {
	url, send := verifying(t, "--secret", "hush", "--scheme", "github", "--signature-header", "x-shop-signature")
	r := signedRequest(t, url, signature.GitHub, "hush", time.Now(), func(r *http.Request) {
		r.Header.Set("X-Shop-Signature", r.Header.Get("X-Hub-Signature-256"))
		r.Header.Del("X-Hub-Signature-256")
	})
	if status, got := send(r); status != 200 {
		t.Errorf("answered %d: %s", status, got.Problem)
	}
}

func TestListenSaysInWordsWhatItVerified(t *testing.T) {
	lines, url, end := listening(t, "--secret", "hush")
	shown := make(chan string, 1)
	go func() {
		var b strings.Builder
		for strings.Count(b.String(), "\n}\n") < 2 && lines.Scan() { // listen answers once all of a body is read
			fmt.Fprintln(&b, lines.Text())
		}
		shown <- b.String()
	}()
	for _, token := range []string{"hush", "wrong"} {
		answer, err := http.DefaultClient.Do(signedRequest(t, url, signature.Standard, token, time.Now(), nil))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
	contains(t, <-shown, "answered 200", "\nverified\n", "answered 401", "not verified: the body was changed")
	contains(t, end(), "1 delivery: 1 taken, 1 failed", "1 could not be verified")
}

func TestListenRefusesASecretThatIsNoneWithoutShowingIt(t *testing.T) {
	for line, want := range map[string]string{
		"--secret whsec_hidden!":        "not base64",
		"--secret x --scheme sha1":      "standard, magento, github or stripe",
		"--scheme github":               "give the --secret",
		"--secret-file /nowhere/at/all": "read the secret",
	} {
		r := terminal{t: t}.run(append([]string{"listen"}, strings.Fields(line)...)...)
		if r.status == exitOK || !strings.Contains(r.stderr, want) || strings.Contains(r.stderr, "hidden") {
			t.Errorf("%s: exit status %d: %s, want %q", line, r.status, r.stderr, want)
		}
	}
}
