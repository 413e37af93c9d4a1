package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/postrider/postrider/sdk"
)

// EchoCommand is the argument that makes the executable a plugin: the resolver that scenarios put into the path.
const EchoCommand = "bench-resolver"

const (
	echoClass  = "Bench"
	echoMethod = "echo"
)

// echoArguments are those of every event that bench publishes.
type echoArguments struct {
	Seq string `json:"seq"`
	Pad string `json:"pad"`
}

// ServeEcho is a resolver whose one service returns its arguments, through everything that any other resolver's go through: it decodes and checks
// them, and encodes the result.
func ServeEcho() {
	sdk.ServeResolver("bench", "1.0.0", sdk.Method(echoClass, echoMethod, func(_ context.Context, a echoArguments) (echoArguments, error) {
		return a, nil
	}))
}

// resolverFile makes a plugin of the executable: a script that starts it, since a plugin is a file that is run without arguments.
func resolverFile(s Settings) (file string, remove func(), err error) {
	dir, err := os.MkdirTemp(s.Dir, "postrider-")
	if err != nil {
		return "", nil, fmt.Errorf("make a temporary directory: %w", err)
	}
	remove = func() { os.RemoveAll(dir) }
	file = filepath.Join(dir, "resolver-bench")
	quoted := "'" + strings.ReplaceAll(s.Executable, "'", `'\''`) + "'"
	if err := os.WriteFile(file, []byte("#!/bin/sh\nexec "+quoted+" "+EchoCommand+"\n"), 0o700); err != nil {
		remove()
		return "", nil, fmt.Errorf("write the resolver: %w", err)
	}
	return file, remove, nil
}
