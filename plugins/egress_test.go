// Package plugins_test looks at what all plugins that come with Postrider have in common.
package plugins_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/host"
	"github.com/postrider/postrider/sdk/sdktest"
)

// special are addresses that no plugin may reach unless egress.allow names them.
var special = []string{
	// IPv4: loopback, unspecified, private, link-local, shared, special purpose, documentation, benchmarking, multicast, reserved, broadcast
	"127.0.0.1", "127.8.9.10", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.1.1", "169.254.1.1", "100.64.0.1",
	"192.0.0.8", "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
	// clouds' metadata: AWS and most others, AWS over IPv6, Azure
	"169.254.169.254", "fd00:ec2::254", "168.63.129.16",
	// IPv6: loopback, unspecified, link-local, site-local, unique local, multicast, documentation, discard, segment routing
	"::1", "::", "fe80::1", "fec0::1", "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1", "3fff::1", "100::1", "5f00::1",
	// IPv4 within IPv6: mapped, compatible, translated, NAT64 (both prefixes), 6to4, Teredo
	"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::ffff:0:7f00:1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1",
	"2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:7f00:1::",
}

// spellings are other ways to write addresses that libraries understand, and the addresses.
var spellings = map[string]string{
	"127.1": "127.0.0.1", "127.0.1": "127.0.0.1", "2130706433": "127.0.0.1", "0x7f000001": "127.0.0.1", "0x7f.1": "127.0.0.1", "0X7F.0.0.1": "127.0.0.1",
	"0177.0.0.1": "127.0.0.1", "017700000001": "127.0.0.1", "127.0.0.1.": "127.0.0.1", "１２７.0.0.1": "127.0.0.1", "127。0。0。1": "127.0.0.1",
	"0": "0.0.0.0", "167772161": "10.0.0.1", "012.0.0.1": "10.0.0.1", "0xa9fea9fe": "169.254.169.254", "2852039166": "169.254.169.254",
	"0251.0376.0251.0376": "169.254.169.254", "[0:0:0:0:0:0:0:1]": "::1", "[::ffff:7f00:1]": "::ffff:127.0.0.1", "[::1%25lo]": "::1",
	"localhost": "127.0.0.1", "LocalHost": "127.0.0.1", "localhost.": "127.0.0.1", "shop.localhost": "127.0.0.1",
}

// dialler is a plugin that dials, or a part of one.
type dialler struct {
	name string
	// open returns what has the plugin dial a URL where it may reach allow, and returns why there was no answer; nil: there was.
	open func(t *testing.T, allow ...string) func(t *testing.T, url string) error
	// whatwg: it reads URLs as browsers do (https://url.spec.whatwg.org), where 127.0.0.2. is an address, and zones of addresses can't be read.
	whatwg bool
}

// binaries holds the plugins, each as it is but for the name server that it asks, under the names of their folders.
var binaries string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "plugins")
	if err != nil {
		log.Fatal(err)
	}
	binaries = dir
	if err := build(dir); err != nil {
		log.Fatal(err)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// folders are those of the plugins.
func folders() (list []string, err error) {
	mains, err := filepath.Glob("*/main.go")
	for _, main := range mains {
		list = append(list, filepath.Dir(main))
	}
	return list, err
}

func build(dir string) error {
	list, err := folders()
	if err != nil {
		return err
	}
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	replace := make(map[string]string)
	overlay := filepath.Join(dir, "overlay.json")
	arguments := []string{"build", "-overlay", overlay, "-o", dir + "/"}
	for _, folder := range list {
		replace[filepath.Join(here, folder, "name_server_of_tests.go")] = filepath.Join(here, "testdata/resolver.go.txt")
		arguments = append(arguments, "./"+folder)
	}
	content, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	if err := os.WriteFile(overlay, content, 0o600); err != nil {
		return err
	}
	if out, err := exec.Command("go", arguments...).CombinedOutput(); err != nil {
		return fmt.Errorf("build the plugins: %w\n%s", err, out)
	}
	return nil
}

// diallers are all plugins.
func diallers(t *testing.T, names *nameServer) (list []dialler) {
	t.Helper()
	plugins, err := folders()
	if err != nil || len(plugins) == 0 {
		t.Fatalf("no plugins here: %v", err)
	}
	for _, folder := range plugins {
		start := func(t testing.TB) *sdktest.Plugin {
			return sdktest.Launch(t, filepath.Join(binaries, folder), "TEST_NAME_SERVER="+names.address)
		}
		d := start(t).Description()
		switch {
		case d.Role == host.RoleNotifier:
			list = append(list, dialler{name: d.Name, open: notifies(start, recipient)})
			if d.Name == "http" || d.Name == "http-signed" {
				list = append(list, dialler{name: d.Name + " with TLS of a subscriber's", open: notifies(start, recipientWithTLS)},
					dialler{name: d.Name + "'s tokens", open: notifies(start, tokenURL)})
			}
		case d.Name == "http-api":
			list = append(list, dialler{name: d.Name, open: resolves(start, `"url":%q`)}, dialler{name: d.Name + "'s tokens",
				open: resolves(start, `"url":"https://shop.example.com","auth":{"oauth2":{"token_url":%q,"client_id":"a","client_secret":"b"}}`)})
		default:
			t.Fatalf("say here how %s is made to dial", d.Name)
		}
	}
	if script, ok := notifierNode(t); ok {
		list = append(list, dialler{name: "node", whatwg: true, open: notifies(func(t testing.TB) *sdktest.Plugin {
			return sdktest.Launch(t, script, "TEST_NAME_SERVER="+names.address)
		}, recipient)})
	}
	return list
}

// notifierNode returns the plugin in JavaScript, an example that others copy, as it is but for the name server that it asks; !ok: what it stands on is not
// installed, and it may be left out.
func notifierNode(t *testing.T) (script string, ok bool) {
	t.Helper()
	lookup, err := filepath.Abs("testdata/lookup.mjs")
	if err != nil {
		t.Fatal(err)
	}
	folder, err := filepath.Abs("../examples/notifier-node")
	if err != nil {
		t.Fatal(err)
	}
	_, err = exec.LookPath("node")
	if err == nil {
		_, err = os.Stat(filepath.Join(folder, "node_modules"))
	}
	switch {
	case err == nil:
	case os.Getenv("SKIP_SERVICES") == "1":
		t.Logf("the plugin in JavaScript is left out, as SKIP_SERVICES=1 allows: %v", err)
		return "", false
	default:
		t.Fatalf("%v: `make test` installs it where it may; else install Node.js and run npm ci in examples/notifier-node, or set SKIP_SERVICES=1 to leave it out", err)
	}
	script = filepath.Join(t.TempDir(), "notifier-node")
	content := fmt.Sprintf("#!/bin/sh\nexec node --import %q %q\n", lookup, filepath.Join(folder, "notifier.js"))
	if err := os.WriteFile(script, []byte(content), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	return script, true
}

// quick are configurations of notifiers that would wait otherwise.
var quick = map[string]string{"slack": `{"every":"1ms"}`}

// These make a delivery with which a notifier dials a URL. The number is another one each time.
func recipient(url string, _ int32) sdk.Delivery { return sdk.Delivery{URL: url} }

// recipientWithTLS has it dialled by a sender of the subscriber's own.
func recipientWithTLS(url string, _ int32) sdk.Delivery {
	return sdk.Delivery{URL: url, Settings: []byte(`{"tls":{"server_name":"shop.example.com"}}`)}
}

// tokenURL is for nobody, with a token of the URL; it is of another client each time, since tokens are kept.
func tokenURL(url string, n int32) sdk.Delivery {
	return sdk.Delivery{
		URL:      "http://nobody.test/",
		Settings: fmt.Appendf(nil, `{"auth":{"oauth2":{"token_url":%q,"client_id":"%d","client_secret":"b"}}}`, url, n),
	}
}

// notifies has a notifier make such a delivery.
func notifies(start func(testing.TB) *sdktest.Plugin, delivery func(url string, n int32) sdk.Delivery) func(*testing.T, ...string) func(*testing.T, string) error {
	return func(t *testing.T, allow ...string) func(*testing.T, string) error {
		p := start(t)
		if err := p.Configure(t.Context(), quick[p.Description().Name], allow...); err != nil {
			t.Fatal(err)
		}
		var deliveries atomic.Int32
		return func(t *testing.T, url string) error {
			d := delivery(url, deliveries.Add(1))
			d.Token = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
			outcome, err := p.Notify(t.Context(), d)
			switch {
			case err != nil:
				return err
			case outcome.Status == sdk.StatusDelivered:
				return nil
			case strings.Contains(outcome.Reason, "egress.allow") && outcome.Status != sdk.StatusRejected:
				t.Errorf("%s: it is refused, and tried again: %+v", url, outcome)
			}
			return errors.New(outcome.Reason)
		}
	}
}

// resolves has the resolver http-api call the URL, which stands in the configuration of an API.
func resolves(start func(testing.TB) *sdktest.Plugin, api string) func(*testing.T, ...string) func(*testing.T, string) error {
	return func(t *testing.T, allow ...string) func(*testing.T, string) error {
		return func(t *testing.T, url string) error {
			p := start(t)
			err := p.Configure(t.Context(), `{"apis":{"a":{`+fmt.Sprintf(api, url)+`}},"services":[{"class":"A","method":"b","request":{"path":"c"}}]}`, allow...)
			if err != nil {
				return err
			}
			_, err = p.Resolve(t.Context(), "A", "b", `{}`)
			if failure := new(host.PluginError); errors.As(err, &failure) && strings.Contains(failure.Message, "egress.allow") && !failure.Permanent {
				t.Errorf("%s: it is refused, and tried again: %v", url, err)
			}
			return err
		}
	}
}

// guard is what plugins are given as their rules. The test asks it first, so that it never makes a plugin dial what it would not refuse.
func guard(t *testing.T, allow ...string) *sdk.Egress {
	t.Helper()
	e, err := sdk.NewEgress(allow)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// permits is the guard's own verdict on dialling an address.
func permits(e *sdk.Egress, address string) bool {
	return e.Control("tcp", net.JoinHostPort(address, "80"), nil) == nil
}

func TestNoPluginReachesTheOperatorsOwnNetwork(t *testing.T) {
	names := startNameServer(t)
	var reached atomic.Int32
	port := listen(t, "127.0.0.1", &reached, nil)
	type row struct{ host, means string }
	var rows []row
	for i, address := range special {
		literal := address
		if netip.MustParseAddr(address).Is6() {
			literal = "[" + address + "]"
		}
		name := fmt.Sprintf("name-%d.test", i)
		names.set(name, address)
		rows = append(rows, row{literal, address}, row{name, address})
	}
	for spelling, address := range spellings {
		names.set(strings.ToLower(strings.TrimSuffix(spelling, ".")), address) // as a resolver would that understands it
		rows = append(rows, row{spelling, address})
	}
	const elsewhere = "elsewhere.test" // something is allowed, but not this
	e := guard(t, elsewhere)
	for _, d := range diallers(t, names) {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			try := d.open(t, elsewhere)
			for _, r := range rows {
				t.Run(r.host, func(t *testing.T) {
					if permits(e, r.means) {
						t.Fatalf("the guard permits %s: no plugin is asked to dial it", r.means)
					}
					url, want := "http://"+r.host+":"+port+"/", "egress.allow"
					if d.whatwg && strings.Contains(r.host, "%") {
						want = "can't be read"
					}
					if err := try(t, url); err == nil || !strings.Contains(err.Error(), want) {
						t.Errorf("%s: got %v, want it refused with what to do", url, err)
					}
				})
			}
		})
	}
	t.Cleanup(func() { // after the parallel ones
		if n := reached.Load(); n != 0 {
			t.Errorf("%d connections were made to this machine", n)
		}
	})
}

// listen serves on a free port of an address of this machine, and returns the port. See listenAt.
func listen(t *testing.T, address string, connections *atomic.Int32, answer http.HandlerFunc) (port string) {
	t.Helper()
	return listenAt(t, net.JoinHostPort(address, "0"), connections, answer)
}

// listenAt serves on an address, and counts the connections. A nil answer is that of an API and of a token endpoint alike, after which the connection is
// closed: each request is a dial.
func listenAt(t *testing.T, address string, connections *atomic.Int32, answer http.HandlerFunc) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if answer == nil {
		answer = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
			fmt.Fprint(w, `{"access_token":"a"}`)
		}
	}
	server := httptest.NewUnstartedServer(answer)
	server.Listener.Close()
	server.Listener = l
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
