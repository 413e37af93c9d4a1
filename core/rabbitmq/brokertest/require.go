package brokertest

import (
	"os"
	"testing"
)

// program returns where Debian and its relatives keep a program of RabbitMQ. Those in /usr/sbin are wrappers that switch to the user rabbitmq, and
// need that user's directories.
func program(name string) string { return "/usr/lib/rabbitmq/bin/" + name }

// require fails the test where RabbitMQ is not installed, or skips it where the environment allows that.
func require(t testing.TB) {
	t.Helper()
	if _, err := os.Stat(program("rabbitmq-server")); err == nil {
		return
	}
	if os.Getenv("SKIP_SERVICES") == "1" {
		t.Skip("not run, as SKIP_SERVICES=1 allows: RabbitMQ is not installed")
	}
	t.Fatal("RabbitMQ is not installed: `make test` installs it where it may; else run apt-get install rabbitmq-server, " +
		"or set SKIP_SERVICES=1 to leave out what needs it")
}
