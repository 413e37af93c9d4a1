// A resolver that is called like its file (up to the first dot). It offers Size::of (a payload of that many bytes), and a service of its own name.
package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/postrider/postrider/sdk"
)

type size struct {
	Bytes int `json:"bytes"`
}

func main() {
	name, _, _ := strings.Cut(filepath.Base(os.Args[0]), ".")
	sdk.ServeResolver(name, "1.2.3",
		sdk.Method("Size", "of", func(_ context.Context, s size) (json.RawMessage, error) {
			return json.RawMessage(`"` + strings.Repeat("x", s.Bytes-2) + `"`), nil
		}),
		sdk.Method(name, "get", func(context.Context, struct{}) (string, error) { return name, nil }))
}
