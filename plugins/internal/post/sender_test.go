package post

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/sdk"
)

func newSender(t testing.TB, c Config, allow ...string) *Sender {
	t.Helper()
	egress, err := sdk.NewEgress(allow)
	if err != nil {
		t.Fatal(err)
	}
	c.Egress = egress
	s := New(c)
	t.Cleanup(s.Close)
	return s
}

func rule(t testing.TB, s Success) *Rule {
	t.Helper()
	r, err := s.Rule()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func receiver(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server
}

func message(url string) Message {
	return Message{URL: url, ID: "dlv_1", Attempt: 2, Time: time.Unix(1700000000, 5), Body: []byte(`{"a":1}`), ContentType: "application/json"}
}

func TestAReceiverSeesOnePOSTWithItsNames(t *testing.T) {
	type seen struct {
		method, body string
		length       int64
		header       http.Header
	}
	got := make(chan seen, 1)
	server := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- seen{r.Method, string(body), r.ContentLength, r.Header}
		fmt.Fprint(w, "thanks")
	})
	m := message(server.URL + "/orders?shop=1")
	m.Header = []Field{{"Webhook-Signature", "v1,abc"}}

	outcome := newSender(t, Config{UserAgent: "Postrider/1.2.3"}, "127.0.0.1").Send(
		sdk.WithTraceparent(t.Context(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), m, rule(t, Success{}))

	want := sdk.Outcome{Status: sdk.StatusDelivered, Code: 200, Excerpt: "thanks"}
	if outcome != want {
		t.Errorf("outcome: got %+v, want %+v", outcome, want)
	}
	r := <-got
	if r.method != "POST" || r.body != `{"a":1}` || r.length != 7 {
		t.Errorf("got %s of %q with Content-Length %d", r.method, r.body, r.length)
	}
	for name, want := range map[string]string{
		"Traceparent":  "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"Content-Type": "application/json", "User-Agent": "Postrider/1.2.3", "Webhook-Id": "dlv_1",
		"Webhook-Timestamp": "1700000000", "Webhook-Attempt": "2", "Webhook-Signature": "v1,abc", "Accept-Encoding": "",
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestAStatusDecidesTheOutcome(t *testing.T) {
	server := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.URL.Query().Get("status"))
		w.Header().Set("Retry-After", "7")
		if status >= 300 && status < 400 {
			w.Header().Set("Location", "https://user:pw@elsewhere.example/new?token=secret")
		}
		w.WriteHeader(status)
	})
	host := strings.TrimPrefix(server.URL, "http://")
	onlyServerErrors := Success{Retry: []StatusPattern{"5xx", "429"}}
	tests := []struct {
		status int
		rule   Success
		want   sdk.Outcome
	}{
		{200, Success{}, sdk.Outcome{Status: sdk.StatusDelivered}},
		{204, Success{}, sdk.Outcome{Status: sdk.StatusDelivered}},
		{302, Success{}, sdk.Outcome{Status: sdk.StatusRetry, RetryAfter: 7 * time.Second,
			Reason: host + " answered 302 Found and points to https://elsewhere.example/new, but redirects are not followed:" +
				" if that is where deliveries belong, make it the recipient_url"}},
		{400, Success{}, sdk.Outcome{Status: sdk.StatusRetry, RetryAfter: 7 * time.Second, Reason: host + " answered 400 Bad Request"}},
		{410, Success{}, sdk.Outcome{Status: sdk.StatusRejected, Gone: true, Reason: host + " answered 410 Gone: it wants no more deliveries"}},
		{500, Success{}, sdk.Outcome{Status: sdk.StatusRetry, RetryAfter: 7 * time.Second, Reason: host + " answered 500 Internal Server Error"}},
		{599, Success{}, sdk.Outcome{Status: sdk.StatusRetry, RetryAfter: 7 * time.Second, Reason: host + " answered 599"}},
		{404, onlyServerErrors, sdk.Outcome{Status: sdk.StatusRejected,
			Reason: host + " answered 404 Not Found, which the success rule does not count as worth another try"}},
		{503, onlyServerErrors, sdk.Outcome{Status: sdk.StatusRetry, RetryAfter: 7 * time.Second,
			Reason: host + " answered 503 Service Unavailable"}},
		{410, Success{Delivered: []StatusPattern{"4xx"}}, sdk.Outcome{Status: sdk.StatusRejected, Gone: true,
			Reason: host + " answered 410 Gone: it wants no more deliveries"}},
		{409, Success{Delivered: []StatusPattern{"2xx", "409"}}, sdk.Outcome{Status: sdk.StatusDelivered}},
		{201, Success{Delivered: []StatusPattern{"200"}}, sdk.Outcome{Status: sdk.StatusRetry, RetryAfter: 7 * time.Second,
			Reason: host + " answered 201 Created"}},
	}
	sender := newSender(t, Config{}, "127.0.0.1")
	for _, test := range tests {
		t.Run(fmt.Sprintf("%d by %+v", test.status, test.rule), func(t *testing.T) {
			got := sender.Send(t.Context(), message(fmt.Sprintf("%s/?status=%d", server.URL, test.status)), rule(t, test.rule))
			test.want.Code = test.status
			if got != test.want {
				t.Errorf("\n got %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestAnErrorsMemberInADeliveredAnswerFailsWhereTheRuleSaysSo(t *testing.T) {
	tests := []struct {
		body string
		want sdk.Status
	}{
		{`{"errors":["no such SKU"]}`, sdk.StatusRetry},
		{`{"errors":{"sku":"unknown"}}`, sdk.StatusRetry},
		{`{"errors":"broken"}`, sdk.StatusRetry},
		{`{"errors":1}`, sdk.StatusRetry},
		{`{"errors":[]}`, sdk.StatusDelivered},
		{`{"errors":{}}`, sdk.StatusDelivered},
		{`{"errors":null}`, sdk.StatusDelivered},
		{`{"errors":false}`, sdk.StatusDelivered},
		{`{"data":{"errors":["nested"]}}`, sdk.StatusDelivered},
		{`ok`, sdk.StatusDelivered},
		{``, sdk.StatusDelivered},
		{`{"pad":"` + strings.Repeat("x", bodyLimit) + `"}`, sdk.StatusRetry},
	}
	sender, strict := newSender(t, Config{}, "127.0.0.1"), rule(t, Success{ErrorsMemberFails: true})
	for _, test := range tests {
		t.Run(test.body[:min(40, len(test.body))], func(t *testing.T) {
			server := receiver(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, test.body) })
			got := sender.Send(t.Context(), message(server.URL), strict)
			if got.Status != test.want {
				t.Errorf("got %+v, want status %d", got, test.want)
			}
			if got.Status != sdk.StatusDelivered && !strings.Contains(got.Reason, "`errors`") {
				t.Errorf("reason %q does not name the member", got.Reason)
			}
			if got := sender.Send(t.Context(), message(server.URL), rule(t, Success{})); got.Status != sdk.StatusDelivered {
				t.Errorf("without the rule: got %+v", got)
			}
		})
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	var followed atomic.Bool
	target := receiver(t, func(http.ResponseWriter, *http.Request) { followed.Store(true) })
	server := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, target.URL, http.StatusTemporaryRedirect)
	})
	got := newSender(t, Config{}, "127.0.0.1").Send(t.Context(), message(server.URL), rule(t, Success{}))
	if got.Status != sdk.StatusRetry || got.Code != 307 || followed.Load() {
		t.Errorf("got %+v, followed: %v", got, followed.Load())
	}
}

// Where it would be cut off, a secret in it would not be known for one.
func TestALongRedirectIsToldByItsHostAlone(t *testing.T) {
	server := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "https://elsewhere.example/"+strings.Repeat("x", 300))
		w.WriteHeader(http.StatusFound)
	})
	got := newSender(t, Config{}, "127.0.0.1").Send(t.Context(), message(server.URL), rule(t, Success{}))
	if !strings.Contains(got.Reason, "points to https://elsewhere.example, but") {
		t.Errorf("got %+v", got)
	}
}

func TestAPrivateAddressIsRejectedUnlessAllowed(t *testing.T) {
	var reached atomic.Int32
	server := receiver(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	byName := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)

	for _, url := range []string{server.URL, byName} {
		got := newSender(t, Config{}).Send(t.Context(), message(url), rule(t, Success{}))
		if got.Status != sdk.StatusRejected || !strings.Contains(got.Reason, "egress.allow") || reached.Load() != 0 {
			t.Errorf("%s: got %+v after %d requests", url, got, reached.Load())
		}
	}
	for _, allow := range []string{"127.0.0.0/8", "localhost"} {
		got := newSender(t, Config{}, allow, "127.0.0.1").Send(t.Context(), message(byName), rule(t, Success{}))
		if got.Status != sdk.StatusDelivered {
			t.Errorf("with %s allowed: got %+v", allow, got)
		}
	}
}

func TestAnAddressThatCannotBePostedToIsRejected(t *testing.T) {
	sender := newSender(t, Config{}, "127.0.0.1")
	for _, url := range []string{"", "://", "ftp://127.0.0.1/", "http:///path", "http://user:pw@127.0.0.1/", "file:///etc/passwd", "127.0.0.1:80"} {
		got := sender.Send(t.Context(), message(url), rule(t, Success{}))
		if got.Status != sdk.StatusRejected || !strings.Contains(got.Reason, "recipient_url") {
			t.Errorf("%q: got %+v", url, got)
		}
	}
}

// listen answers the first request of each connection with what serve does.
func listen(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	return accept(t, func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			serve(conn)
		}
	})
}

// accept does serve on each connection, on which nothing was read yet.
func accept(t testing.TB, serve func(net.Conn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return listener.Addr().String()
}

func TestAnEndlessAnswerIsCutOff(t *testing.T) {
	written := make(chan int, 1)
	address := listen(t, func(conn net.Conn) {
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\n\r\n")
		chunk, total := []byte(strings.Repeat("x", 1<<10)), 0
		for {
			n, err := conn.Write(chunk)
			total += n
			if err != nil {
				written <- total
				return
			}
		}
	})
	got := newSender(t, Config{}, "127.0.0.1").Send(t.Context(), message("http://"+address), rule(t, Success{}))
	if got.Status != sdk.StatusDelivered || got.Excerpt != strings.Repeat("x", excerptLimit) {
		t.Errorf("got %d with %d bytes of excerpt (%s)", got.Status, len(got.Excerpt), got.Reason)
	}
	if n := <-written; n > 16<<20 { // the kernel's buffers take some
		t.Errorf("the receiver could send %d bytes", n)
	}
}

func TestAHugeHeaderIsRefused(t *testing.T) {
	server := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Big", strings.Repeat("x", 2*headerLimit))
	})
	got := newSender(t, Config{}, "127.0.0.1").Send(t.Context(), message(server.URL), rule(t, Success{}))
	if got.Status != sdk.StatusRetry || !strings.Contains(got.Reason, "headers exceeded") {
		t.Errorf("got %+v", got)
	}
}

func TestNetworkErrorsAreRetriedWithASentence(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	hangsUp := listen(t, func(net.Conn) {})
	garbage := listen(t, func(conn net.Conn) { fmt.Fprint(conn, "SSH-2.0-OpenSSH_9.2\r\n\r\n") })
	plain := receiver(t, func(http.ResponseWriter, *http.Request) {})
	selfSigned := httptest.NewUnstartedServer(http.NotFoundHandler())
	selfSigned.Config.ErrorLog = log.New(io.Discard, "", 0) // it will complain, as it should
	selfSigned.StartTLS()
	t.Cleanup(selfSigned.Close)

	tests := map[string]struct{ url, want string }{
		"nothing listens":      {"http://" + closed.Addr().String(), "connection refused: nothing listens at " + closed.Addr().String()},
		"unknown host":         {"http://no-such-host.invalid/path?secret=1", "no-such-host.invalid"},
		"hangs up":             {"http://" + hangsUp, hangsUp + " closed the connection before it answered"},
		"no HTTP":              {"http://" + garbage, "malformed HTTP"},
		"no TLS":               {strings.Replace(plain.URL, "http:", "https:", 1), "doesn't speak TLS"},
		"self-signed":          {selfSigned.URL, "can't be trusted"},
		"TLS where plain HTTP": {strings.Replace(selfSigned.URL, "https:", "http:", 1), "400"},
	}
	sender := newSender(t, Config{}, "127.0.0.1")
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := sender.Send(t.Context(), message(test.url), rule(t, Success{}))
			if got.Status != sdk.StatusRetry || !strings.Contains(got.Reason, test.want) || strings.Contains(got.Reason, "secret") {
				t.Errorf("got %+v, want a reason with %q", got, test.want)
			}
		})
	}
}

func TestAnAttemptEndsAtItsTimeout(t *testing.T) {
	release := make(chan struct{})
	silent := receiver(t, func(w http.ResponseWriter, r *http.Request) { <-release })
	drips := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		<-release
	})
	t.Cleanup(func() { close(release) })
	sender := newSender(t, Config{Limits: Limits{All: 90 * time.Millisecond}}, "127.0.0.1")

	if got := sender.Send(t.Context(), message(silent.URL), rule(t, Success{})); got.Status != sdk.StatusRetry || got.Code != 0 || got.Reason == "" {
		t.Errorf("silent: got %+v", got)
	}
	if got := sender.Send(t.Context(), message(drips.URL), rule(t, Success{})); got.Status != sdk.StatusDelivered || got.Code != 200 {
		t.Errorf("a 200 whose body never ends: got %+v", got)
	}
	strict := rule(t, Success{ErrorsMemberFails: true})
	if got := sender.Send(t.Context(), message(drips.URL), strict); got.Status != sdk.StatusRetry || !strings.Contains(got.Reason, "was not complete within 90ms") {
		t.Errorf("a body that never ends, by a rule that needs it: got %+v", got)
	}
}

func TestAnAttemptEndsALittleBeforeTheCallsDeadline(t *testing.T) {
	release := make(chan struct{})
	silent := receiver(t, func(w http.ResponseWriter, r *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	got := newSender(t, Config{}, "127.0.0.1").Send(ctx, message(silent.URL), rule(t, Success{}))
	if got.Status != sdk.StatusRetry || !strings.Contains(got.Reason, "no answer from") {
		t.Errorf("got %+v", got)
	}
	if err := ctx.Err(); err != nil {
		t.Errorf("the answer came too late for the daemon: %v", err)
	}
}

func TestCancellationCrossesToTheReceiver(t *testing.T) {
	arrived, gone := make(chan struct{}), make(chan struct{})
	server := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(arrived)
		<-r.Context().Done()
		close(gone)
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-arrived
		cancel(errors.New("drained"))
	}()
	got := newSender(t, Config{}, "127.0.0.1").Send(ctx, message(server.URL), rule(t, Success{}))
	if got.Status != sdk.StatusRetry || !strings.Contains(got.Reason, "called off") {
		t.Errorf("got %+v", got)
	}
	<-gone
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	var opened atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.URL.Query().Get("status"))
		w.WriteHeader(status)
		fmt.Fprint(w, strings.Repeat("x", 20<<10))
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	sender := newSender(t, Config{}, "127.0.0.1")
	for i := range 40 {
		status := []int{200, 500, 404, 302}[i%4]
		got := sender.Send(t.Context(), message(fmt.Sprintf("%s/?status=%d", server.URL, status)), rule(t, Success{}))
		if got.Code != status {
			t.Fatalf("got %+v", got)
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("40 attempts, one after the other, opened %d connections, want 1", n)
	}
}

func TestAConnectionThatTheReceiverClosedCostsNoAttempt(t *testing.T) {
	noticed := make(chan struct{})
	address := listen(t, func(conn net.Conn) {
		fmt.Fprint(conn, "HTTP/1.1 204 No Content\r\n\r\n")
		conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, conn) // until the sender has closed its end too
		noticed <- struct{}{}
	})
	sender := newSender(t, Config{}, "127.0.0.1")
	for range 3 {
		if got := sender.Send(t.Context(), message("http://"+address), rule(t, Success{})); got.Status != sdk.StatusDelivered {
			t.Fatalf("got %+v", got)
		}
		<-noticed
	}
}

func TestARequestThatIsNotReadEndsInAReasonThatSaysSo(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	m := message("http://" + listener.Addr().String())
	m.Body = make([]byte, 64<<20) // more than the kernel takes
	got := newSender(t, Config{Limits: Limits{All: 300 * time.Millisecond}}, "127.0.0.1").Send(t.Context(), m, rule(t, Success{}))
	if got.Status != sdk.StatusRetry || !strings.Contains(got.Reason, "not the whole request within 300ms") {
		t.Errorf("got %+v", got)
	}
}
