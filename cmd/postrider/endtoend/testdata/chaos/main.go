// A plugin that does what no plugin should. Called like its file, it is the notifier chaos, whose payloads say how to misbehave, or the resolver
// chaos-resolver, whose payloads are as large as one asks for.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/postrider/postrider/sdk"
)

func main() {
	if filepath.Base(os.Args[0]) == "chaos-resolver" {
		sdk.ServeResolver("chaos-resolver", "1.0.0", sdk.Method("Chaos", "size", size))
		return
	}
	sdk.ServeNotifier("chaos", "1.0.0", sdk.NotifierFunc(notify))
}

type sizeOf struct {
	Bytes int `json:"bytes"`
}

func size(_ context.Context, s sizeOf) (string, error) { return strings.Repeat("x", s.Bytes), nil }

func notify(ctx context.Context, d sdk.Delivery) (sdk.Outcome, error) {
	var payload struct{ Do string }
	if json.Unmarshal(d.Payload, &payload) != nil { // one of the resolver's
		return sdk.Delivered(), nil
	}
	switch payload.Do {
	case "say":
		sdk.Logger(ctx).Info("as told")
	case "crash":
		os.Exit(3)
	case "wait":
		time.Sleep(100 * time.Millisecond)
	case "noise":
		noise := "1|1|unix|/tmp/nowhere|grpc|\x00\xff{\"@message\":1}\n" + strings.Repeat("y", 100<<10)
		fmt.Print(noise)                // what the library sees
		syscall.Write(1, []byte(noise)) // and what it doesn't
		syscall.Write(2, []byte(noise))
	}
	return sdk.Delivered(), nil
}
