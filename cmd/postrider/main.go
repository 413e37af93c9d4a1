// Command postrider delivers webhooks: `postrider serve` is the daemon, everything else looks at one or tries it out.
//
// Start reading at [run], which turns arguments into an exit status; every command is a file named after it, and what they share is in app.go,
// connection.go, input.go, list.go and output.go. Commands reach the world through [app] alone, so that tests run them in-process. What is more
// than a command lies in packages below internal: the client of the REST API, the receiver of `listen`, the measurements of `bench`, and the
// daemon of its own that `bench` and `demo` start.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"

	"github.com/postrider/postrider/cmd/postrider/internal/bench"
)

// oneSignal is the time within which signals count as one: timeout(1), for one, signals the process and then its group, it among them.
const oneSignal = 300 * time.Millisecond

func main() {
	switch strings.Join(os.Args[1:], " ") { // the helper processes that bench starts from this executable
	case bench.EchoCommand:
		bench.ServeEcho()
		return
	case bench.PublisherCommand:
		if err := bench.ServePublisher(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(exitError)
		}
		return
	}
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks every command to finish what it is doing; a later one finds the default action, which ends the process at once.
	context.AfterFunc(ctx, func() {
		time.Sleep(oneSignal)
		restore()
	})

	executable, err := os.Executable()
	if err != nil {
		executable = os.Args[0]
	}
	os.Exit(run(ctx, &app{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		environ:    os.Environ(),
		executable: executable,
		terminal:   isatty.IsTerminal(os.Stdout.Fd()),
		progress:   isatty.IsTerminal(os.Stderr.Fd()),
	}, os.Args[1:]))
}
