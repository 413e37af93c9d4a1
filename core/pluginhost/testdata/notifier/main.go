// A notifier that is called like its file (up to the first dot) and misbehaves on request: the payload says how.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/postrider/postrider/sdk"
)

type settings struct {
	Channel string `json:"channel,omitempty"`
}

type configuration struct {
	Greeting string `json:"greeting,omitempty"`
}

var greeting string

func main() {
	name, _, _ := strings.Cut(filepath.Base(os.Args[0]), ".")
	sdk.ServeNotifier(name, "1.2.3", sdk.NotifierFunc(notify), sdk.Settings[settings](),
		sdk.Configure(func(_ context.Context, c configuration) error {
			greeting = c.Greeting
			return nil
		}))
}

func notify(ctx context.Context, d sdk.Delivery) (sdk.Outcome, error) {
	var what string
	if err := json.Unmarshal(d.Payload, &what); err != nil {
		return sdk.Outcome{}, err
	}
	if file, ok := strings.CutPrefix(what, "until "); ok {
		return sdk.Delivered(), until(ctx, file)
	}
	switch what {
	case "crash":
		os.Exit(3)
	case "grow":
		return sdk.Outcome{}, grow(ctx)
	case "tell":
		fmt.Println("printed", greeting)
		sdk.Logger(ctx).Info("logged " + greeting)
		return sdk.Retry("it is " + greeting), nil
	case "panic":
		panic("as told")
	case "wait":
		<-ctx.Done()
		return sdk.Outcome{}, ctx.Err()
	case "linger":
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
	outcome := sdk.Delivered()
	outcome.Excerpt = greeting
	return outcome, nil
}

// grow takes 256 MiB of memory, and keeps it until ctx ends.
func grow(ctx context.Context) error {
	var kept [][]byte
	for range 256 {
		kept = append(kept, bytes.Repeat([]byte{1}, 1<<20))
	}
	<-ctx.Done()
	runtime.KeepAlive(kept)
	return ctx.Err()
}

// until returns when there is such a file.
func until(ctx context.Context, file string) error {
	for {
		if _, err := os.Stat(file); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}
