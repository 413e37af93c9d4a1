package host_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/host"
)

func misbehave(what string) host.Resolution {
	return host.Resolution{Class: "Subject", Method: "misbehave", Arguments: json.RawMessage(fmt.Sprintf(`{"what":%q}`, what)), EventID: "evt_1"}
}

func misbehaveSized(what string, size int) host.Resolution {
	r := misbehave(what)
	r.Arguments = json.RawMessage(fmt.Sprintf(`{"what":%q,"size":%d}`, what, size))
	return r
}

func echo(arguments string) host.Resolution {
	return host.Resolution{Class: "Subject", Method: "echo", Arguments: json.RawMessage(arguments)}
}

func wantEcho(t *testing.T, p *host.Process) {
	t.Helper()
	got, err := p.Resolve(t.Context(), echo(`{"text":"<still & there>"}`))
	if err != nil || string(got) != `"<still & there>"` {
		t.Errorf("echo: got %s, %v", got, err)
	}
}

func TestResolveReturnsWhatTheMethodReturns(t *testing.T) {
	wantEcho(t, launch(t, "resolver"))
}

func TestArgumentsThatDontFitAreRefusedByName(t *testing.T) {
	p := launch(t, "resolver")
	for arguments, want := range map[string]string{
		`{}`:                        `argument "text" is missing: what to give back`,
		`{"text":"a","txet":"b"}`:   `there is no argument "txet": there are text, times`,
		`{"text":1}`:                `argument "text" is an integer: it must be a string`,
		`{"text":"a","times":"b"}`:  `argument "times" is a string: it must be an integer`,
		`{"text":"a","times":1e30}`: `argument "times" is a number that doesn't fit a Go int`,
		`{"TEXT":"a"}`:              `there is no argument "TEXT"`,
		`[]`:                        `the arguments are an array: they must be an object`,
		`{"text":"a"} x`:            `the arguments are not valid JSON`,
		``:                          `the arguments are not valid JSON: there is nothing`,
	} {
		_, err := p.Resolve(t.Context(), echo(arguments))
		var e *host.PluginError
		if !errors.As(err, &e) || !e.InvalidArguments || !e.Permanent {
			t.Errorf("%s: got %#v, want a *PluginError about invalid arguments", arguments, err)
			continue
		}
		if !strings.HasPrefix(err.Error(), "plugin subject: Subject::echo: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %q, want %q", arguments, err, want)
		}
	}
	if got, err := p.Resolve(t.Context(), echo(`{"text":"a","times":null}`)); err != nil {
		t.Errorf("null for a pointer: got %s, %v", got, err)
	}
}

func TestErrorsOfTheAuthorsCodeNameItAndTheProcessLivesOn(t *testing.T) {
	p := launch(t, "resolver")
	for what, want := range map[string]struct {
		message            string
		permanent, invalid bool
	}{
		"panic":     {message: "panic: at the disco"},
		"goexit":    {message: "ended its goroutine without an answer"},
		"fail":      {message: "no such order"},
		"permanent": {message: "never", permanent: true},
		"invalid":   {message: `what is "invalid"`, permanent: true, invalid: true},
		"not json":  {message: "returned a json.RawMessage that is not valid JSON", permanent: true},
		"fetch":     {message: "127.0.0.1 is not reached because it is a loopback address: name it in egress.allow if it is meant"},
	} {
		_, err := p.Resolve(t.Context(), misbehave(what))
		var e *host.PluginError
		if !errors.As(err, &e) {
			t.Errorf("%s: got %v, want a *PluginError", what, err)
			continue
		}
		if e.Plugin != "subject" || e.Permanent != want.permanent || e.InvalidArguments != want.invalid ||
			!strings.HasPrefix(e.Message, "Subject::misbehave: ") || !strings.Contains(e.Message, want.message) {
			t.Errorf("%s: got %+v", what, e)
		}
	}
	_, err := p.Resolve(t.Context(), host.Resolution{Class: "No", Method: "where", Arguments: json.RawMessage(`{}`)})
	var e *host.PluginError
	if !errors.As(err, &e) || !e.Permanent || !strings.Contains(err.Error(), "No::where: resolver subject offers no such service") {
		t.Errorf("unknown service: got %v", err)
	}
	wantEcho(t, p)
}

func TestOneOversizePayloadFailsAloneAndTheStreamLivesOn(t *testing.T) {
	p := launch(t, "resolver")
	if _, err := p.Resolve(t.Context(), misbehaveSized("big", 6<<20)); !errors.Is(err, host.ErrTooLarge) || !strings.Contains(err.Error(), "Subject::misbehave") {
		t.Errorf("a payload of 6 MiB: got %v, want ErrTooLarge", err)
	}
	large := `{"text":"` + strings.Repeat("x", sdk.MaxPayload) + `"}`
	if _, err := p.Resolve(t.Context(), echo(large)); !errors.Is(err, host.ErrTooLarge) {
		t.Errorf("arguments of over 4 MiB: got %v, want ErrTooLarge", err)
	}
	var group sync.WaitGroup
	for range 16 { // together far more than one message holds
		group.Go(func() {
			got, err := p.Resolve(t.Context(), misbehaveSized("big", sdk.MaxPayload-2))
			if err != nil || len(got) != sdk.MaxPayload {
				t.Errorf("a payload of exactly 4 MiB: got %d bytes, %v", len(got), err)
			}
		})
	}
	group.Wait()
	wantEcho(t, p)
}

func TestTextThatProtobufCantCarryFailsAlone(t *testing.T) {
	p := launch(t, "notifier")
	if _, err := p.Notify(t.Context(), sdk.Delivery{ID: "a", URL: "http://\xff/", Envelope: "raw"}); err == nil || !strings.Contains(err.Error(), "UTF-8") {
		t.Errorf("got %v", err)
	}
	if _, err := p.Notify(t.Context(), sdk.Delivery{ID: "a", Envelope: "raw"}); err != nil {
		t.Errorf("the next one: %v", err)
	}
}

func TestCancellationReachesTheMethod(t *testing.T) {
	p, logs := launchLogged(t, "resolver")
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error)
	go func() {
		_, err := p.Resolve(ctx, misbehave("block"))
		answer <- err
	}()
	logs.waitFor(t, "blocking")
	cancel()
	if err := <-answer; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	logs.waitFor(t, "unblocked: context canceled")
	eventually(t, "nothing is in flight", func() bool { return p.InFlight() == 0 })
}

func TestTheDeadlineReachesTheMethodALittleEarlier(t *testing.T) {
	p := launch(t, "resolver")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	got, err := p.Resolve(ctx, misbehave("deadline"))
	var left int
	if err == nil {
		err = json.Unmarshal(got, &left)
	}
	if err != nil || left > 9800 || left < 8000 {
		t.Errorf("the plugin has %d ms of 10,000 (%v), want a little under 9,800", left, err)
	}
	short, cancelShort := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancelShort()
	if _, err := p.Resolve(short, misbehave("block")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a method that takes longer: got %v", err)
	}
	wantEcho(t, p)
}

func TestARequestThatNobodyWaitsForOccupiesItsPlaceUntilItIsAnswered(t *testing.T) {
	p := launch(t, "resolver")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var group sync.WaitGroup
	for range 20 { // the subject allows 16; four never get in
		group.Go(func() {
			if _, err := p.Resolve(ctx, misbehave("ignore")); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
	}
	group.Wait()
	if got := p.InFlight(); got != 16 {
		t.Errorf("%d are in flight, want 16", got)
	}
	if err := p.Health(t.Context()); err != nil { // unary: the process itself is well
		t.Errorf("health: %v", err)
	}
}

func TestTraceContextCrosses(t *testing.T) {
	const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	got, err := launch(t, "resolver").Resolve(sdk.WithTraceparent(t.Context(), traceparent), misbehave("trace"))
	if err != nil || string(got) != `"`+traceparent+`"` {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestWhatAPluginPrintsAndLogsReachesTheDaemonsLog(t *testing.T) {
	p, logs := launchLogged(t, "resolver")
	if _, err := p.Resolve(t.Context(), misbehave("print")); err != nil {
		t.Fatal(err)
	}
	logs.waitFor(t, `[INFO]  printed by the author: plugin=subject`)
	logs.waitFor(t, `[INFO]  printed to standard error: plugin=subject`)
	logs.waitFor(t, `[WARN]  logged by the author: plugin=subject answer=42 event=evt_1`)
	logs.waitFor(t, `{"@message":1}`)
	if _, err := p.Resolve(t.Context(), misbehave("panic")); err == nil {
		t.Fatal("no error of a panic")
	}
	logs.waitFor(t, `[ERROR] panic in Subject::misbehave: plugin=subject event=evt_1 panic="at the disco"`)
	logs.waitFor(t, "testdata/subject/main.go")
}

func TestAConfigurationIsRefusedByTheKeyAtFault(t *testing.T) {
	p, err := host.Launch(t.Context(), host.Config{Path: subject, SocketDir: socketDir(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, p) })
	if _, err := p.Resolve(t.Context(), echo(`{"text":"a"}`)); err == nil || !strings.Contains(err.Error(), "not configured yet") {
		t.Errorf("work before the configuration: got %v", err)
	}
	for configuration, want := range map[string][2]string{
		`{"greetin":"hi"}`:       {"greetin", `there is no key "greetin": there are greeting, sender`},
		`{"greeting":1}`:         {"greeting", `key "greeting" is an integer: it must be a string`},
		`{"sender":{"nam":"x"}}`: {"sender.nam", `there is no key "sender.nam"`},
		`{"sender":{}}`:          {"sender.name", `key "sender.name" is missing`},
		`{"greeting":"rude"}`:    {"", "the greeting must be polite"},
		`"hi"`:                   {"", "the keys are a string: they must be an object"},
		`{"greeting":"hi"`:       {"", "not valid JSON"},
	} {
		err := p.Configure(t.Context(), json.RawMessage(configuration), nil)
		var e *host.ConfigurationError
		if !errors.As(err, &e) || e.Key != want[0] || !strings.Contains(err.Error(), want[1]) || e.Plugin != "subject" {
			t.Errorf("%s: got %#v %v", configuration, err, err)
		}
	}
	if err := p.Configure(t.Context(), nil, []string{"http://10.0.0.1/"}); err == nil || !strings.Contains(err.Error(), `egress.allow: "http://10.0.0.1/"`) {
		t.Errorf("a bad egress.allow: got %v", err)
	}
	if err := p.Configure(t.Context(), json.RawMessage(`{"greeting":"hi"}`), nil); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Resolve(t.Context(), misbehave("greeting")); err != nil || string(got) != `"hi"` {
		t.Errorf("got %s, %v", got, err)
	}
	if err := p.Configure(t.Context(), nil, nil); err == nil || !strings.Contains(err.Error(), "configured already") {
		t.Errorf("a second configuration: got %v", err)
	}
}

func TestAPluginWithoutConfigurationRefusesOne(t *testing.T) {
	p, err := host.Launch(t.Context(), host.Config{Path: subject, Env: []string{"SUBJECT=notifier"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, p) })
	err = p.Configure(t.Context(), json.RawMessage(`{"channel":"#a"}`), nil)
	if e := new(host.ConfigurationError); !errors.As(err, &e) || e.Key != "channel" || !strings.Contains(err.Error(), "takes no configuration") {
		t.Errorf("got %v", err)
	}
	if err := p.Configure(t.Context(), json.RawMessage(`{}`), nil); err != nil {
		t.Errorf("an empty configuration: %v", err)
	}
}

func TestHealthTellsTheIllFromTheStuck(t *testing.T) {
	p := launch(t, "resolver")
	if err := p.Health(t.Context()); err != nil {
		t.Errorf("got %v", err)
	}
	if _, err := p.Resolve(t.Context(), misbehave("ill")); err != nil {
		t.Fatal(err)
	}
	if e := new(host.PluginError); !errors.As(p.Health(t.Context()), &e) || e.Message != "the database is away" {
		t.Errorf("ill: got %+v", e)
	}
	if _, err := p.Resolve(t.Context(), misbehave("hangs")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Health(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stuck: got %v", err)
	}
}

func TestAnOutcomeIsKeptWithinItsLimits(t *testing.T) {
	p := launch(t, "notifier")
	got, err := p.Notify(t.Context(), sdk.Delivery{Event: "long"})
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != sdk.StatusRetry || got.Code != 500 || !got.Gone || got.RetryAfter != time.Hour {
		t.Errorf("got %+v", got)
	}
	if len(got.Reason) > 4096 || !strings.HasSuffix(got.Reason, "é") || len(got.Excerpt) > 4100 || !strings.HasPrefix(got.Excerpt, "\uFFFDxx") {
		t.Errorf("got a reason of %d bytes and an excerpt of %d, %q…", len(got.Reason), len(got.Excerpt), got.Excerpt[:5])
	}
	for event, want := range map[string]string{"no.status": "make it with sdk.Delivered", "broken": "Notify: no template"} {
		var e *host.PluginError
		if _, err := p.Notify(t.Context(), sdk.Delivery{Event: event}); !errors.As(err, &e) || e.Permanent || !strings.Contains(e.Message, want) {
			t.Errorf("%s: got %v", event, err)
		}
	}
	_, err = p.Notify(t.Context(), sdk.Delivery{Settings: json.RawMessage(`{"channel":"#a"}`), Subscriber: 7})
	if e := new(host.PluginError); !errors.As(err, &e) || !e.Permanent || !strings.Contains(err.Error(), `settings of subscriber 7: there is no setting "channel"`) {
		t.Errorf("settings of a notifier that takes none: got %v", err)
	}
}

func TestAPluginOfOneRoleRefusesTheWorkOfTheOther(t *testing.T) {
	if _, err := launch(t, "notifier").Resolve(t.Context(), echo(`{}`)); err == nil || !strings.Contains(err.Error(), "is a notifier") {
		t.Errorf("got %v", err)
	}
	if _, err := launch(t, "resolver").Notify(t.Context(), sdk.Delivery{}); err == nil || !strings.Contains(err.Error(), "is a resolver") {
		t.Errorf("got %v", err)
	}
}
