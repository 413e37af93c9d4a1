package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// listening runs `postrider listen` and returns the lines it prints, the address it listens on, and how to end it.
func listening(t *testing.T, args ...string) (lines *bufio.Scanner, url string, end func() (rest string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	stdout, write := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, &app{stdout: write, stderr: io.Discard}, append([]string{"listen", "--address", "127.0.0.1:0"}, args...))
		write.Close()
	}()
	lines = bufio.NewScanner(stdout)
	if !lines.Scan() {
		t.Fatal("listen said nothing")
	}
	_, url, _ = strings.Cut(lines.Text(), "Listening on ")
	url, _, _ = strings.Cut(url, ";")
	return lines, url, func() string {
		cancel()
		var rest strings.Builder
		for lines.Scan() {
			rest.WriteString(lines.Text() + "\n")
		}
		if status := <-done; status != exitOK {
			t.Errorf("listen ended with status %d", status)
		}
		return rest.String()
	}
}

func deliver(t *testing.T, url, id, body string) int {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, url+"/orders", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("webhook-id", id)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

func TestListenShowsWhatComesAndFailsTheFirstAttempts(t *testing.T) {
	lines, url, end := listening(t, "--fail-first", "1")
	shown := make(chan string, 1)
	go func() { // the two requests print 2 × 7 lines: blank, what, webhook-id, 4 of body
		var b strings.Builder
		for range 14 {
			lines.Scan()
			b.WriteString(lines.Text() + "\n")
		}
		shown <- b.String()
	}()
	body := `{"data":{},"type":"a.b"}`
	if got := deliver(t, url, "dlv_1", body); got != 500 {
		t.Errorf("first attempt: got %d, want 500", got)
	}
	if got := deliver(t, url, "dlv_1", body); got != 200 {
		t.Errorf("second attempt: got %d, want 200", got)
	}
	contains(t, <-shown, "POST /orders  answered 500", "POST /orders  answered 200", "webhook-id   dlv_1", "  \"type\": \"a.b\"")
	contains(t, end(), "2 requests for 1 delivery: 1 taken, 1 failed, 0 came again")
}

func TestListenQuietlySaysOnlyWhatItCounted(t *testing.T) {
	_, url, end := listening(t, "--quiet", "--status", "204")
	for range 3 {
		if got := deliver(t, url, "dlv_1", "{}"); got != 204 {
			t.Errorf("got %d, want 204", got)
		}
	}
	if got, want := end(), "\n3 requests for 1 delivery: 1 taken, 0 failed, 2 came again after they were taken.\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestListenPrintsOneObjectPerLine(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stdout, write := io.Pipe()
	address := freeAddress(t)
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, &app{stdout: write, stderr: io.Discard}, []string{"listen", "--address", address, "--json"})
		write.Close()
	}()
	go func() {
		awaitAddress(t, address)
		deliver(t, "http://"+address, "dlv_1", `{"type":"a.b"}`)
	}()
	lines := bufio.NewScanner(stdout)
	lines.Scan()
	var got receivedJSON
	if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, lines.Text())
	}
	if got.Headers["webhook-id"] != "dlv_1" || string(got.Body) != `{"type":"a.b"}` || got.Answered != 200 || got.Path != "/orders" {
		t.Errorf("got %+v", got)
	}
	cancel()
	lines.Scan()
	if want := `{"summary":{"requests":1,"taken":1,"failed":0,"duplicates":0,"deliveries":1}}`; lines.Text() != want {
		t.Errorf("summary: got %s, want %s", lines.Text(), want)
	}
	if status := <-done; status != exitOK {
		t.Errorf("listen ended with status %d", status)
	}
}

// freeAddress returns an address that was free a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// awaitAddress returns when something listens there.
func awaitAddress(t *testing.T, address string) {
	for {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return
		}
		select {
		case <-t.Context().Done():
			return
		case <-time.After(time.Millisecond):
		}
	}
}
