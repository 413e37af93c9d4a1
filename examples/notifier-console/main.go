// Notifier-console is the plugin "console": it prints deliveries instead of sending them.
//
// It is the shortest notifier there can be: take a delivery, do something with it, say how it went.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/postrider/postrider/sdk"
)

func main() {
	sdk.ServeNotifier("console", "1.0.0", sdk.NotifierFunc(notify))
}

// notify prints one line, in one write, so that the lines of deliveries that run at once don't mix. What a plugin prints reaches the
// daemon's log.
func notify(_ context.Context, d sdk.Delivery) (sdk.Outcome, error) {
	body, _, err := d.Body()
	if err != nil {
		return sdk.Outcome{}, err
	}
	var line bytes.Buffer // a resolver may have indented its payload
	if err := json.Compact(&line, body); err != nil {
		return sdk.Outcome{}, sdk.Permanent(fmt.Errorf("the payload is not JSON: %w", err))
	}
	if _, err := fmt.Printf("%s attempt %d to %s: %s\n", d.ID, d.Attempt, d.URL, &line); err != nil {
		return sdk.Retry("standard output can't be written: " + err.Error()), nil
	}
	return sdk.Delivered(), nil
}
