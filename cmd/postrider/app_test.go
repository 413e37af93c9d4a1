package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/core/daemon"
	"github.com/postrider/postrider/core/httpapi"
)

// result is what became of one command line.
type result struct {
	status         int
	stdout, stderr string
}

// terminal runs command lines in-process, as from a shell.
type terminal struct {
	t       *testing.T
	environ []string
	stdin   string

	executable string // "": one that isn't there
}

func (term terminal) run(args ...string) result {
	term.t.Helper()
	var stdout, stderr bytes.Buffer
	status := run(context.Background(), &app{
		stdin: strings.NewReader(term.stdin), stdout: &stdout, stderr: &stderr, environ: term.environ,
		executable: cmp.Or(term.executable, "/nowhere/postrider"),
	}, args)
	return result{status, stdout.String(), stderr.String()}
}

// mustRun runs a command line that is to succeed, and returns what it printed.
func (term terminal) mustRun(args ...string) string {
	term.t.Helper()
	r := term.run(args...)
	if r.status != exitOK {
		term.t.Fatalf("postrider %s: exit status %d: %s", strings.Join(args, " "), r.status, r.stderr)
	}
	return r.stdout
}

// call is one request that a fake daemon got.
type call struct{ line, authorization, body string }

// fakeDaemon answers what it is told, and remembers what it was asked.
type fakeDaemon struct {
	*httptest.Server
	mu      sync.Mutex
	answers map[string]any // by "METHOD /path?query": a value (200), or an *httpapi.Problem
	calls   []call
}

func newFakeDaemon(t *testing.T, answers map[string]any) *fakeDaemon {
	d := &fakeDaemon{answers: answers}
	d.Server = httptest.NewServer(d)
	t.Cleanup(d.Close)
	return d
}

func (d *fakeDaemon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	line := r.Method + " " + r.URL.RequestURI()
	d.calls = append(d.calls, call{line, r.Header.Get("Authorization"), string(body)})
	answer, ok := d.answers[line]
	if !ok {
		answer = &httpapi.Problem{Status: http.StatusNotFound, Detail: "the fake daemon has no answer to " + line}
	}
	if p, ok := answer.(*httpapi.Problem); ok {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(p.Status)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// terminal returns one whose environment names the daemon.
func (d *fakeDaemon) terminal(t *testing.T) terminal {
	return terminal{t: t, environ: []string{"POSTRIDER_URL=" + d.URL, "POSTRIDER_TOKEN=secret"}}
}

// lastCall returns the newest request.
func (d *fakeDaemon) lastCall(t *testing.T) call {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.calls) == 0 {
		t.Fatal("the daemon was not called")
	}
	return d.calls[len(d.calls)-1]
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in:\n%s", part, text)
		}
	}
}

func TestAWrongCommandLineExitsWith2AndSaysWhatIsWrong(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"bogus", `no command "bogus"`},
		{"subscriber lst", "did you mean list?"},
		{"version extra", `"extra"`},
		{"listen --bogus", "unknown flag: --bogus"},
		{"subscriber add a.b", "URL is missing"},
		{"subscriber show x", `"x" is no subscriber`},
		{"subscriber update 1", "nothing to change"},
		{"publish", "wants an EVENT"},
		{"dead-letter replay", "say --all"},
		{"dead-letter purge dlv_1 --all", "not both"},
		{"listen --status 99", "--status 99"},
		{"bench --events 0", "at least 1"},
		{"bench --scenario bogus", `no scenario "bogus": it is all, or of burst,`},
		{"bench --scenario all --svg x.svg", "--svg draws one scenario"},
		{"bench --slow-share 1", "between 0 and 1"},
		{"bench --event a.b", "give its --url"},
		{"delivery list --limit x", `--limit "x" can't be read: it takes a whole number from 0`},
		{"dead-letter list --limit -1", `--limit "-1"`},
		{"bench --rate 1e3", `--rate "1e3" can't be read: it takes a whole number`},
		{"bench --duration 5", `--duration "5" can't be read: it takes a time, as 30s or 5m`},
		{"demo --once=maybe", `--once "maybe" can't be read: it takes true or false`},
	} {
		r := terminal{t: t}.run(strings.Fields(test.line)...)
		if r.status != exitUsage {
			t.Errorf("%s: got exit status %d, want %d", test.line, r.status, exitUsage)
		}
		contains(t, r.stderr, test.want, "--help` shows how it is used")
	}
}

func TestAConfigurationFileThatIsNotThereIsToldWithWhatToDo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "nope.yaml")
	for _, command := range [][]string{{"serve"}, {"webhook", "check"}, {"queue", "depths"}} {
		r := terminal{t: t}.run(append(command, "--config", file)...)
		if r.status != exitError {
			t.Errorf("%v: got exit status %d, want %d", command, r.status, exitError)
		}
		contains(t, r.stderr, "there is no configuration file "+file+": correct --config, or leave it out")
	}
}

func TestTheDefaultOfANewSubscriberIsNoneOfAChange(t *testing.T) {
	contains(t, terminal{t: t}.mustRun("subscriber", "add", "--help"), "the notifier that delivers (default: default)")
	if got := (terminal{t: t}).mustRun("subscriber", "update", "--help"); strings.Contains(got, "default: default") {
		t.Errorf("a change has no default:\n%s", got)
	}
}

func TestAnEmptyListOfAWebhookThatDoesNotExistIsAMistake(t *testing.T) {
	empty := httpapi.Page[any]{Items: []any{}}
	d := newFakeDaemon(t, map[string]any{
		"GET /v1/webhooks": httpapi.Page[httpapi.Webhook]{Items: []httpapi.Webhook{{Name: "order.created"}}},
		"GET /v1/subscribers?event=order.creatd&limit=1000":  empty,
		"GET /v1/deliveries?event=order.creatd&limit=50":     empty,
		"GET /v1/dead-letters?event=order.creatd&limit=50":   empty,
		"GET /v1/subscribers?event=order.created&limit=1000": empty,
		"GET /v1/deliveries?event=order.created&limit=50":    empty,
	})
	for _, list := range []string{"subscriber", "delivery", "dead-letter"} {
		r := d.terminal(t).run(list, "list", "--event", "order.creatd")
		if r.status != exitError {
			t.Errorf("%s: got exit status %d, want %d", list, r.status, exitError)
		}
		contains(t, r.stderr, `no webhook is called "order.creatd" (did you mean "order.created"?)`, "`postrider webhook list` shows them")
	}
	contains(t, d.terminal(t).mustRun("subscriber", "list", "--event", "order.created"),
		"No subscribers of order.created. Add one: postrider subscriber add order.created URL")
	contains(t, d.terminal(t).mustRun("delivery", "list", "--event", "order.created"), "No deliveries.")
}

func TestACommandThatHoldsOthersShowsThem(t *testing.T) {
	contains(t, terminal{t: t}.mustRun(), "serve", "publish", "dead-letter", "db", "COMMAND")
	contains(t, terminal{t: t}.mustRun("dead-letter"), "list", "show", "replay", "purge")
}

func TestEveryCommandThatPrintsHasJSON(t *testing.T) {
	without := map[string]bool{"serve": true, "help": true, "bash": true, "zsh": true, "fish": true, "powershell": true}
	visited := 0
	root := (&app{}).root()
	for _, c := range root.Commands() {
		leaves := c.Commands()
		if len(leaves) == 0 {
			leaves = append(leaves, c)
		}
		for _, leaf := range leaves {
			visited++
			if !without[leaf.Name()] && leaf.Flags().Lookup("json") == nil {
				t.Errorf("%s has no --json", leaf.CommandPath())
			}
		}
	}
	if visited < 20 {
		t.Errorf("saw %d commands only", visited)
	}
}

func TestFindsTheDaemonAndTheTokenOfTheDataDirectory(t *testing.T) {
	d := newFakeDaemon(t, map[string]any{"GET /v1/queues": httpapi.Page[httpapi.Depth]{Items: []httpapi.Depth{{Queue: "event", Ready: 12345}}}})
	dir := t.TempDir()
	for name, content := range map[string]string{"address": strings.TrimPrefix(d.URL, "http://") + "\n", "admin-token": "prt_local\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	contains(t, terminal{t: t}.mustRun("queue", "depths", "--data-dir", dir), "event", "12,345")
	if got, want := d.lastCall(t).authorization, "Bearer prt_local"; got != want {
		t.Errorf("authorization: got %q, want %q", got, want)
	}
	contains(t, terminal{t: t, environ: []string{"POSTRIDER_DATA_DIR=" + dir}}.mustRun("queue", "depths"), "event")

	// A URL of this machine gets the local token, one of another machine never does.
	terminal{t: t}.mustRun("queue", "depths", "--data-dir", dir, "--url", d.URL)
	if got, want := d.lastCall(t).authorization, "Bearer prt_local"; got != want {
		t.Errorf("authorization with --url: got %q, want %q", got, want)
	}
	a := &app{}
	elsewhere, err := a.connect(&connection{url: "http://shop.example:8075", dataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if elsewhere.Token() != "" {
		t.Error("the local admin token would be sent to another machine")
	}
}

func TestADaemonThatListensEverywhereIsCalledOnLoopback(t *testing.T) {
	for content, want := range map[string]string{
		"0.0.0.0:8075": "http://127.0.0.1:8075", "[::]:8075": "http://[::1]:8075", ":8075": "http://127.0.0.1:8075",
		"10.0.0.7:80": "http://10.0.0.7:80",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "address"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readAddress(dir, "postrider serve")
		if got != want || err != nil {
			t.Errorf("%s: got %q %v, want %q", content, got, err, want)
		}
	}
}

func TestADaemonThatDoesNotRunSaysHowToStartIt(t *testing.T) {
	dir := t.TempDir()
	r := terminal{t: t}.run("plugin", "list", "--data-dir", dir)
	if r.status != exitError {
		t.Errorf("got exit status %d, want %d", r.status, exitError)
	}
	contains(t, r.stderr, "no daemon is running", "`postrider serve --data-dir "+dir+"`")

	gone := httptest.NewServer(nil)
	gone.Close()
	if err := os.WriteFile(filepath.Join(dir, "address"), []byte(strings.TrimPrefix(gone.URL, "http://")), 0o600); err != nil {
		t.Fatal(err)
	}
	r = terminal{t: t}.run("plugin", "list", "--data-dir", dir)
	contains(t, r.stderr, "no daemon answers at "+gone.URL+" (connection refused)", "`postrider serve --data-dir "+dir+"`")
}

func TestTellsWhatTheDaemonRefusedInItsOwnWords(t *testing.T) {
	problem := &httpapi.Problem{Status: 422, Title: "Unprocessable", Detail: "the event was refused", Errors: []httpapi.FieldError{
		{Field: "arguments.id", Message: "it must be a number"},
	}}
	d := newFakeDaemon(t, map[string]any{"POST /v1/events": problem})
	r := d.terminal(t).run("publish", "a.b", "--args", `{"id":"x"}`)
	if r.status != exitError {
		t.Errorf("got exit status %d, want %d", r.status, exitError)
	}
	contains(t, r.stderr, "postrider: the event was refused", "arguments.id: it must be a number")

	d = newFakeDaemon(t, map[string]any{"GET /v1/plugins": &httpapi.Problem{Status: 401}})
	contains(t, d.terminal(t).run("plugin", "list").stderr, "does not know this token")
	contains(t, terminal{t: t, environ: []string{"POSTRIDER_URL=" + d.URL, "POSTRIDER_DATA_DIR=" + t.TempDir()}}.run("plugin", "list").stderr, "wants a token")

	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	contains(t, terminal{t: t}.run("plugin", "list", "--url", other.URL, "--token", "x").stderr, "is it a Postrider daemon?")
}

func TestPublishesOneEvent(t *testing.T) {
	d := newFakeDaemon(t, map[string]any{"POST /v1/events": httpapi.Published{ID: "evt_1", Event: "a.b"}})
	contains(t, d.terminal(t).mustRun("publish", "a.b", "--args", `{"id":1}`, "--id", "order-1"), "Published a.b as evt_1")
	if got, want := d.lastCall(t).body, `{"id":"order-1","event":"a.b","arguments":{"id":1}}`; got != want {
		t.Errorf("body: got %s, want %s", got, want)
	}
	term := d.terminal(t)
	term.stdin = `{"id":2}`
	term.mustRun("publish", "a.b", "--file", "-")
	if got, want := d.lastCall(t).body, `{"event":"a.b","arguments":{"id":2}}`; got != want {
		t.Errorf("body: got %s, want %s", got, want)
	}
	r := d.terminal(t).run("publish", "a.b", "--args", "{id:1}")
	contains(t, r.stderr, "not JSON", `--args '{"id":1}'`)
}

func TestPublishesABatchFromAFile(t *testing.T) {
	d := newFakeDaemon(t, map[string]any{"POST /v1/events": []httpapi.Published{{ID: "1", Event: "a.b"}, {ID: "2", Event: "a.b"}}})
	want := `[{"event":"a.b"},{"event":"a.b"}]`
	for _, content := range []string{want, "{\"event\":\"a.b\"}\n{\"event\":\"a.b\"}\n"} {
		term := d.terminal(t)
		term.stdin = content
		contains(t, term.mustRun("publish", "--file", "-"), "1  a.b\n2  a.b\n")
		if got := d.lastCall(t).body; got != want {
			t.Errorf("body: got %s, want %s", got, want)
		}
	}
}

func TestSubscribesAndChangesOnlyWhatIsGiven(t *testing.T) {
	s := httpapi.Subscriber{ID: 3, Event: "a.b", URL: "https://x.example", Notifier: "default", Enabled: true}
	d := newFakeDaemon(t, map[string]any{"POST /v1/subscribers": s, "PATCH /v1/subscribers/3": s})
	contains(t, d.terminal(t).mustRun("subscriber", "add", "a.b", "https://x.example", "--retry", `["5s"]`), "https://x.example", "enabled")
	if got, want := d.lastCall(t).body, `{"event":"a.b","url":"https://x.example","retry":["5s"]}`; got != want {
		t.Errorf("add: got %s, want %s", got, want)
	}
	d.terminal(t).mustRun("subscriber", "update", "3", "--settings", "null", "--envelope", "")
	if got, want := d.lastCall(t).body, `{"settings":null,"envelope":""}`; got != want {
		t.Errorf("update: got %s, want %s", got, want)
	}
	contains(t, d.terminal(t).mustRun("subscriber", "disable", "3"), "Subscriber 3 is disabled.")
	if got, want := d.lastCall(t).body, `{"enabled":false}`; got != want {
		t.Errorf("disable: got %s, want %s", got, want)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.terminal(t).mustRun("subscriber", "update", "3", "--verification-token-file", secret)
	if got, want := d.lastCall(t).body, `{"token":"hush"}`; got != want {
		t.Errorf("token: got %s, want %s", got, want)
	}
}

func TestReadsAListPageByPage(t *testing.T) {
	page := func(next string, ids ...string) httpapi.Page[httpapi.DeadLetter] {
		p := httpapi.Page[httpapi.DeadLetter]{Next: next}
		for _, id := range ids {
			p.Items = append(p.Items, httpapi.DeadLetter{ID: id, Kind: "delivery", Event: "a.b", SubscriberID: 1, Reason: "answered 500"})
		}
		return p
	}
	d := newFakeDaemon(t, map[string]any{
		"GET /v1/dead-letters?limit=1000":           page("c1", "dlv_1", "dlv_2"),
		"GET /v1/dead-letters?cursor=c1&limit=1000": page("", "dlv_3"),
		"GET /v1/dead-letters?limit=2":              page("c1", "dlv_1", "dlv_2"),
	})
	contains(t, d.terminal(t).mustRun("dead-letter", "list", "--limit", "0"), "dlv_1", "dlv_2", "dlv_3")
	contains(t, d.terminal(t).mustRun("dead-letter", "list", "--limit", "2"), "dlv_2", "There are more than these 2")
	var got httpapi.Page[httpapi.DeadLetter]
	if err := json.Unmarshal([]byte(d.terminal(t).mustRun("dead-letter", "list", "--limit", "2", "--json")), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Items) != 2 || got.Next != "c1" {
		t.Errorf("--json: got %d items, next %q; want 2, c1", len(got.Items), got.Next)
	}
}

func TestReplaysASelectionToItsEnd(t *testing.T) {
	d := newFakeDaemon(t, nil)
	d.answers = map[string]any{"POST /v1/dead-letters/replay": httpapi.Replayed{
		Replayed: []string{"dlv_1"}, Failed: []httpapi.FailedReplay{{ID: "dlv_2", Message: "its subscriber is gone"}},
	}}
	r := d.terminal(t).run("dead-letter", "replay", "--event", "a.b", "--subscriber", "4")
	if r.status != exitError {
		t.Errorf("got exit status %d, want %d, because one failed", r.status, exitError)
	}
	contains(t, r.stdout, "dlv_1 is back at work")
	contains(t, r.stderr, "dlv_2 was not replayed: its subscriber is gone")
	if got, want := d.lastCall(t).body, `{"event":"a.b","subscriber_id":4}`; got != want {
		t.Errorf("body: got %s, want %s", got, want)
	}
}

func TestPurgesWhatIsSelected(t *testing.T) {
	d := newFakeDaemon(t, map[string]any{
		"GET /v1/dead-letters?limit=1000&subscriber=4": httpapi.Page[httpapi.DeadLetter]{Items: []httpapi.DeadLetter{{ID: "dlv_1"}, {ID: "a/b"}, {ID: "gone"}}},
		"DELETE /v1/dead-letters/dlv_1":                nil,
		"DELETE /v1/dead-letters/a%2Fb":                nil,
	})
	contains(t, d.terminal(t).mustRun("dead-letter", "purge", "--subscriber", "4"), "2 dead letters are gone")
	r := d.terminal(t).run("dead-letter", "purge", "gone")
	if r.status != exitError {
		t.Errorf("a named one that is not there: got exit status %d, want %d", r.status, exitError)
	}
}

func TestShowsADeliveryWithItsAttempts(t *testing.T) {
	attempts := []httpapi.Attempt{
		{Number: 1, DurationMS: 3.14, Outcome: "retry", StatusCode: 500, Reason: "the receiver answered 500", Excerpt: "oops\x1b[31m\nmore"},
		{Number: 2, DurationMS: 1234, Outcome: "delivered", StatusCode: 204},
	}
	d := newFakeDaemon(t, map[string]any{"GET /v1/deliveries/dlv_1": httpapi.Delivery{
		ID: "dlv_1", Event: "a.b", EventID: "evt_1", SubscriberID: 2, State: "delivered", Last: &attempts[1], Attempts: attempts,
	}})
	got := d.terminal(t).mustRun("delivery", "show", "dlv_1")
	contains(t, got, "delivered", "3.1 ms", "1.2 s", "the receiver answered 500", `oops\x1b[31m more`)
	if strings.Contains(got, "\x1b") {
		t.Error("a receiver's answer reached the terminal with its control characters")
	}
}

func TestAttemptsHaveNoColumnInWhichThereIsNothing(t *testing.T) {
	attempts := []httpapi.Attempt{{Number: 1, Outcome: "retry", Reason: "no order 99"}, {Number: 2, Outcome: "delivered"}}
	d := newFakeDaemon(t, map[string]any{"GET /v1/dead-letters/evt_1": httpapi.DeadLetter{ID: "evt_1", Kind: "event", Attempts: attempts}})
	got := d.terminal(t).mustRun("dead-letter", "show", "evt_1")
	contains(t, got, "#   STARTED", "TOOK", "OUTCOME     REASON\n", "retry       no order 99\n", "delivered\n")
	for _, header := range []string{"STATUS", "ANSWER"} {
		if strings.Contains(got, header) {
			t.Errorf("no attempt has anything under %s, which is shown:\n%s", header, got)
		}
	}
}

func TestAnEventThatWaitsForItsPayloadSaysWhyAndUntilWhen(t *testing.T) {
	due := time.Date(2026, 11, 23, 15, 36, 26, 0, time.Local)
	d := newFakeDaemon(t, map[string]any{
		"GET /v1/events/evt_1": httpapi.EventStatus{ID: "evt_1", Event: "a.b", State: "accepted", Attempts: []httpapi.Attempt{
			{Number: 1, Outcome: "retry", Reason: "the shop is closed", Due: &due}, {Number: 2, Outcome: "retry", Reason: "no order 99", Due: &due},
		}},
		"GET /v1/events/evt_2": httpapi.EventStatus{ID: "evt_2", Event: "a.b", State: "accepted"},
	})
	contains(t, d.terminal(t).mustRun("event", "show", "evt_1"),
		"accepted: waits for its payload, which 2 attempts did not get", "next attempt   2026-11-23 15:36:26\n",
		"#   STARTED", "retry     the shop is closed\n", "retry     no order 99\n")
	contains(t, d.terminal(t).mustRun("event", "show", "evt_2"), "accepted: waits for its payload; `postrider webhook list` shows")
}

func TestThePayloadOfAnEventIsIndented(t *testing.T) {
	d := newFakeDaemon(t, map[string]any{"GET /v1/events/evt_1": httpapi.EventStatus{
		ID: "evt_1", Event: "a.b", State: "dispatched", Arguments: json.RawMessage(`{"id":1}`), Payload: json.RawMessage(`{"id":1,"note":"x"}`),
	}})
	got := d.terminal(t).mustRun("event", "show", "evt_1")
	contains(t, got, "\n\npayload\n{\n  \"id\": 1,\n  \"note\": \"x\"\n}\n")
}

func TestADeadEventSaysWhereItsReasonIs(t *testing.T) {
	d := newFakeDaemon(t, map[string]any{"GET /v1/events/evt_1": httpapi.EventStatus{ID: "evt_1", Event: "a.b", State: "dead"}})
	contains(t, d.terminal(t).mustRun("event", "show", "evt_1"), "dead: `postrider dead-letter show evt_1` says why")
}

func TestWhyAPluginIsNotRunningStandsBehindTheTable(t *testing.T) {
	d := newFakeDaemon(t, map[string]any{"GET /v1/plugins": httpapi.Page[httpapi.Plugin]{Items: []httpapi.Plugin{
		{Name: "http", File: "/p/notifier-http", Role: "notifier", Version: "1.0.0", State: "running", PID: 7,
			Errors: 1, Memory: 12 << 20, Latency: &httpapi.Latency{P50: 1, P99: 2.5}, Update: "it is not in plugins.sum"},
		{Name: "notes", File: "/p/notes", State: "broken", Reason: "/p/notes is not a program that this machine can run"},
	}}})
	contains(t, d.terminal(t).mustRun("plugin", "list"),
		"http    notifier   1.0.0     running   7     0           2.5 ms   1        0          12 MiB   notifier-http   "+
			"its file is not used, and the version before it runs: it is not in plugins.sum\n",
		"notes                        broken          0                    0        0                   notes           /p/notes is not a program that this machine can run\n")
	contains(t, d.terminal(t).mustRun("plugin", "show", "http"), "half within 1.0 ms, 99 of 100 within 2.5 ms\n", "12 MiB\n", "it is not in plugins.sum\n")
	contains(t, d.terminal(t).run("plugin", "show", "htpt").stderr, `no plugin "htpt" (did you mean "http"?)`)
}

func TestADamagedDatabaseIsNotBlamedOnADaemonThatWasKilled(t *testing.T) {
	dir := t.TempDir()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{daemon.AddressFile: address + "\n", daemon.DatabaseFile: strings.Repeat("no database ", 1000)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := terminal{t: t}.run("db", "check", "--data-dir", dir)
	if r.status != exitError || strings.Contains(r.stderr, "a daemon listens") {
		t.Errorf("got exit status %d and %q", r.status, r.stderr)
	}
}

func TestTheDemoTakesItsOwnPluginsAndNoneOfTheUsers(t *testing.T) {
	bin := t.TempDir()
	shipped := []string{filepath.Join("plugins", "notifier-http"), filepath.Join("examples", "resolver-orders"), filepath.Join("examples", "notifier-console")}
	users := []string{filepath.Join("plugins", "resolver-orders"), filepath.Join("plugins", "console")} // as README.md has them copied
	for _, file := range slices.Concat(shipped, users) {
		path := filepath.Join(bin, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	got, err := demoPlugins(bin)
	if err != nil {
		t.Fatal(err)
	}
	for i := range shipped {
		shipped[i] = filepath.Join(bin, shipped[i])
	}
	if !slices.Equal(got, shipped) {
		t.Errorf("got %q, want %q", got, shipped)
	}
	if err := os.Remove(shipped[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := demoPlugins(bin); err == nil || !strings.Contains(err.Error(), shipped[0]) {
		t.Errorf("without %s: got %v", shipped[0], err)
	}
}

func TestNothingToReplayOrPurgeIsSaidInWords(t *testing.T) {
	d := newFakeDaemon(t, map[string]any{
		"POST /v1/dead-letters/replay":    httpapi.Replayed{Replayed: []string{}},
		"GET /v1/dead-letters?limit=1000": httpapi.Page[httpapi.DeadLetter]{Items: []httpapi.DeadLetter{}},
	})
	contains(t, d.terminal(t).mustRun("dead-letter", "replay", "--all"), "There was nothing to replay.")
	contains(t, d.terminal(t).mustRun("dead-letter", "purge", "--all"), "There was nothing to purge.")
}

func TestNumbersAreGrouped(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234", -123: "-123"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
	if got := fmt.Sprint(count(1, "event"), count(2000, "event")); got != "1 event2,000 events" {
		t.Error(got)
	}
}
