// Command subject is the plugin that the tests of package host launch: what it does, well or badly, is in its environment.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/sdk"
)

func main() {
	switch os.Getenv("SUBJECT") {
	case "garbage":
		fmt.Println("Hello, world!")
		select {}
	case "exit":
		fmt.Fprintln(os.Stderr, "no licence found")
		os.Exit(3)
	case "silent":
		fmt.Fprintln(os.Stderr, "waiting for a database")
		select {}
	case "netrpc":
		fmt.Println("1|1|unix|/nowhere|netrpc|")
		select {}
	case "version":
		fmt.Println("1|9|unix|/nowhere|grpc|")
		select {}
	case "unreachable":
		fmt.Println("1|1|unix|/nowhere|grpc|")
		select {}
	case "crash":
		panic("out of luck")
	case "notifier":
		sdk.ServeNotifier("subject-notifier", "1.0.0", sdk.NotifierFunc(notify), sdk.MaxInFlight(1024))
	case "resolver", "":
		sdk.ServeResolver("subject", "1.2.3",
			sdk.Method("Subject", "echo", echo, sdk.Description("Gives back its text.")),
			sdk.Method("Subject", "misbehave", misbehave),
			sdk.Configure(configure), sdk.Health(health), sdk.MaxInFlight(16))
	}
}

type settings struct {
	Greeting string   `json:"greeting,omitempty"`
	Sender   struct { // nested, for errors that name a path
		Name string `json:"name"`
	} `json:"sender,omitzero"`
}

var greeting atomic.Value

func configure(_ context.Context, s settings) error {
	if s.Greeting == "rude" {
		return errors.New("the greeting must be polite")
	}
	greeting.Store(s.Greeting)
	return nil
}

var ill atomic.Value

func health(ctx context.Context) error {
	switch ill.Load() {
	case "ill":
		return errors.New("the database is away")
	case "hangs":
		<-ctx.Done()
		time.Sleep(time.Hour)
	}
	return nil
}

type text struct {
	Text  string `json:"text" jsonschema:"what to give back"`
	Times *int   `json:"times"`
}

func echo(_ context.Context, a text) (string, error) { return a.Text, nil }

type deed struct {
	What string `json:"what"`
	Size int    `json:"size,omitempty"`
}

func misbehave(ctx context.Context, d deed) (json.RawMessage, error) {
	switch d.What {
	case "panic":
		panic("at the disco")
	case "goexit":
		runtime.Goexit()
	case "block": // until it is told to stop
		fmt.Println("blocking")
		<-ctx.Done()
		fmt.Println("unblocked:", ctx.Err())
		return nil, ctx.Err()
	case "ignore": // that it is told to stop
		select {}
	case "fail":
		return nil, errors.New("no such order")
	case "permanent":
		return nil, sdk.Permanent(errors.New("never"))
	case "invalid":
		return nil, sdk.InvalidArguments("what is %q", d.What)
	case "big":
		return json.RawMessage(`"` + strings.Repeat("x", d.Size) + `"`), nil
	case "not json":
		return json.RawMessage(`{`), nil
	case "print":
		fmt.Println("printed by the author")
		fmt.Fprintln(os.Stderr, "printed to standard error")
		sdk.Logger(ctx).Warn("logged by the author", "answer", 42)
		os.NewFile(2, "stderr").WriteString(`{"@message":1}` + "\n") // a trap for whoever reads hclog's JSON carelessly
	case "environment":
		return json.Marshal(os.Environ())
	case "trace":
		return json.Marshal(sdk.Traceparent(ctx))
	case "deadline":
		deadline, _ := ctx.Deadline()
		return json.Marshal(time.Until(deadline).Milliseconds())
	case "greeting":
		return json.Marshal(greeting.Load())
	case "child": // of its own, which must not outlive it
		c := exec.Command("sleep", "3600")
		if err := c.Start(); err != nil {
			return nil, err
		}
		return json.Marshal(c.Process.Pid)
	case "exit":
		os.Exit(7)
	case "fetch":
		_, err := sdk.HTTPClient(ctx).Get("http://127.0.0.1:9/")
		return nil, err
	case "ill", "hangs":
		ill.Store(d.What)
	}
	return json.RawMessage(`"ok"`), nil
}

func notify(_ context.Context, d sdk.Delivery) (sdk.Outcome, error) {
	switch d.Event {
	case "no.status":
		return sdk.Outcome{}, nil
	case "broken":
		return sdk.Outcome{}, errors.New("no template")
	case "long":
		return sdk.Outcome{Status: sdk.StatusRetry, Code: 500, Reason: strings.Repeat("é", 8000), Excerpt: "\xff" + strings.Repeat("x", 8000),
			RetryAfter: 48 * time.Hour, Gone: true}, nil
	}
	return sdk.Delivered(), nil
}
