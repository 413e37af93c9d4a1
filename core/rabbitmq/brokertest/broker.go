package brokertest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a node may take to start or to answer on a busy machine.
const patience = 90 * time.Second

// Config is what a node may have beside a plain listener.
type Config struct {
	TLS *TLS // nil: none
}

// TLS has a node listen for amqps, too. All fields are PEM files.
type TLS struct {
	CA        string // that client certificates must be signed by; without one of those, nobody gets in
	Cert, Key string // of the node
}

// Broker is one running node. Its methods are for one test at a time.
type Broker struct {
	dir      string
	ports    struct{ amqp, amqps, dist, mapper int }
	tokens   []net.Listener // see reservePort
	env      []string
	tls      bool
	mapper   *process
	node     *process
	stopping sync.Once
}

// Start runs a node of the test's own and stops it with the test, whose log gets the end of the node's when the test fails.
func Start(t testing.TB, c Config) *Broker {
	t.Helper()
	require(t)
	dir, err := os.MkdirTemp("", "postrider-broker-") // short, and not t.TempDir: that can't be removed while a node still ends
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	b, err := start(dir, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.stop()
		if t.Failed() {
			t.Logf("the broker's log ends with:\n%s", b.logTail())
		}
	})
	return b
}

// deadLetterAgain is how long the node waits, in milliseconds, until it sends once more what left a delay queue and was not confirmed by its target. A
// node that was killed and starts again may send before the target has a leader, and then the usual three minutes are longer than any test waits.
const deadLetterAgain = "5000"

// start runs a node in dir and returns when clients can connect.
func start(dir string, c Config) (*Broker, error) {
	b := &Broker{dir: dir, tls: c.TLS != nil}
	if err := b.start(c); err != nil {
		b.stop()
		return nil, err
	}
	return b, nil
}

func (b *Broker) start(c Config) error {
	for _, port := range []*int{&b.ports.amqp, &b.ports.amqps, &b.ports.dist, &b.ports.mapper} {
		number, token, err := reservePort()
		if err != nil {
			return err
		}
		*port, b.tokens = number, append(b.tokens, token)
	}
	config := fmt.Sprintf("listeners.tcp.1 = 127.0.0.1:%d\n", b.ports.amqp)
	if c.TLS != nil {
		config += fmt.Sprintf("listeners.ssl.1 = 127.0.0.1:%d\nssl_options.cacertfile = %s\nssl_options.certfile = %s\nssl_options.keyfile = %s\n"+
			"ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n", b.ports.amqps, c.TLS.CA, c.TLS.Cert, c.TLS.Key)
	}
	cookie := rand.Text()
	if err := errors.Join(
		os.WriteFile(b.path("rabbitmq.conf"), []byte(config), 0o600),
		os.WriteFile(b.path("enabled_plugins"), []byte("[].\n"), 0o600),
		os.WriteFile(b.path(".erlang.cookie"), []byte(cookie), 0o400),
	); err != nil {
		return err
	}
	b.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + b.dir, "LANG=C.UTF-8",
		"ERL_EPMD_PORT=" + strconv.Itoa(b.ports.mapper), "ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_NODENAME=test-" + strconv.Itoa(b.ports.amqp) + "@localhost",
		"RABBITMQ_DIST_PORT=" + strconv.Itoa(b.ports.dist),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1} -rabbit dead_letter_worker_publisher_confirm_timeout " + deadLetterAgain,
		"RABBITMQ_MNESIA_BASE=" + b.path("data"), "RABBITMQ_LOG_BASE=" + b.path("log"), "RABBITMQ_LOGS=-",
		"RABBITMQ_CONFIG_FILE=" + b.path("rabbitmq.conf"), "RABBITMQ_ADVANCED_CONFIG_FILE=" + b.path("advanced.config"),
		"RABBITMQ_CONF_ENV_FILE=" + b.path("rabbitmq-env.conf"), "RABBITMQ_ENABLED_PLUGINS_FILE=" + b.path("enabled_plugins"),
		"RABBITMQ_PID_FILE=" + b.path("pid"),
		"RUNNING_UNDER_SYSTEMD=true", // has the script become the node, rather than its parent: what we start is what we kill
	}
	var err error
	b.mapper, err = run(b.path("epmd.log"), b.env, "epmd", "-port", strconv.Itoa(b.ports.mapper), "-address", "127.0.0.1")
	if err != nil {
		return err
	}
	return b.run()
}

// run starts the node and waits until clients can connect.
func (b *Broker) run() error {
	node, err := run(b.path("node.log"), b.env, program("rabbitmq-server"))
	if err != nil {
		return err
	}
	b.node = node
	deadline := time.Now().Add(patience)
	for !b.greets() {
		select {
		case <-node.ended:
			return fmt.Errorf("the broker ended while it started; its log ends with:\n%s", b.logTail())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the broker did not start within %v; its log ends with:\n%s", patience, b.logTail())
		}
	}
	return nil
}

// greets reports whether the broker answers the protocol header with a frame of its own (AMQP 0-9-1, 2.2.4).
func (b *Broker) greets() bool {
	c, err := net.DialTimeout("tcp", "127.0.0.1:"+strconv.Itoa(b.ports.amqp), time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Write([]byte("AMQP\x00\x00\x09\x01")); err != nil {
		return false
	}
	frame := make([]byte, 1)
	n, err := c.Read(frame)
	return err == nil && n == 1 && frame[0] == 1
}

// URL is where the broker is, with a user and a password that may do everything.
func (b *Broker) URL() string { return fmt.Sprintf("amqp://guest:guest@127.0.0.1:%d/", b.ports.amqp) }

// VHost makes a vhost of the test's own, which goes with the test, and returns its URL: names on it may be those that users have.
func (b *Broker) VHost(t testing.TB) string {
	t.Helper()
	name := strings.ToLower(rand.Text()[:8])
	b.Ctl(t, "eval", fmt.Sprintf(`rabbit_vhost:add(<<"%s">>, <<"test">>), `+
		`rabbit_auth_backend_internal:set_permissions(<<"guest">>, <<"%[1]s">>, <<".*">>, <<".*">>, <<".*">>, <<"test">>).`, name)) // one start of rabbitmqctl, not two
	t.Cleanup(func() { b.Ctl(t, "delete_vhost", name) })
	return b.URL() + name
}

// SecureURL is where the broker is for clients with a certificate; it needs Config.TLS. The host is localhost, which the node's certificate must name.
func (b *Broker) SecureURL() string {
	return fmt.Sprintf("amqps://guest:guest@localhost:%d/", b.ports.amqps)
}

// Addr is host:port of the plain listener.
func (b *Broker) Addr() string { return fmt.Sprintf("127.0.0.1:%d", b.ports.amqp) }

// Kill ends the node with SIGKILL, in the middle of whatever it does, and returns when it is gone.
func (b *Broker) Kill() { b.node.kill() }

// Restart starts the node again on what is on its disk, killing it first if it still runs.
func (b *Broker) Restart(t testing.TB) {
	t.Helper()
	b.node.kill()
	if err := b.run(); err != nil {
		t.Fatal(err)
	}
}

// Ctl runs rabbitmqctl and returns what it printed.
func (b *Broker) Ctl(t testing.TB, args ...string) string {
	t.Helper()
	c := exec.Command(program("rabbitmqctl"), append([]string{"--quiet"}, args...)...)
	c.Env, c.Dir = b.env, b.dir
	output, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("rabbitmqctl %s: %v\n%s", strings.Join(args, " "), err, output)
	}
	return string(output)
}

// stop ends the node and its port mapper. Nothing is kept, so nothing needs to be shut down with care.
func (b *Broker) stop() {
	b.stopping.Do(func() {
		if b.node != nil {
			b.node.kill()
		}
		if b.mapper != nil {
			b.mapper.kill()
		}
		for _, token := range b.tokens {
			token.Close()
		}
	})
}

func (b *Broker) path(name string) string { return filepath.Join(b.dir, name) }

func (b *Broker) logTail() string {
	content, _ := os.ReadFile(b.path("node.log"))
	return string(content[max(0, len(content)-3000):])
}

// Ports come in pairs: the first is listened at for as long as the second is given away, by which all tests at work on this machine know that it is. A node
// listens at its own only seconds after it was chosen, and not while it is dead. They lie below those that the kernel gives to outgoing connections (32768
// and up on Linux), so that nothing else takes one.
const (
	firstPort = 20_000
	portPairs = 6_000
)

// reservePort returns a port that nobody listens at, and that no test is given before token is closed.
func reservePort() (number int, token net.Listener, err error) {
	for range 100 {
		n, err := rand.Int(rand.Reader, big.NewInt(portPairs))
		if err != nil {
			return 0, nil, err
		}
		number := firstPort + 2*int(n.Int64()) + 1
		if token, err = listen(number - 1); err != nil {
			continue
		}
		if free, err := listen(number); err == nil {
			return number, token, free.Close()
		}
		token.Close()
	}
	return 0, nil, fmt.Errorf("found no free port from %d to %d", firstPort, firstPort+2*portPairs-1)
}

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
}
