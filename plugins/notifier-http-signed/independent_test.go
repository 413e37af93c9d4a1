package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/sdktest"
	"github.com/postrider/postrider/sdk/signature"
)

// These tests deliver with the plugin as `make build` makes it, to receivers that verify with libraries which others wrote.

const (
	whsec  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	secret = "fv38u07Wdh$R@mRd"
)

// built returns the plugin, built and configured.
func built(t *testing.T, configuration string) *sdktest.Plugin {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notifier-http-signed")
	if output, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, output)
	}
	p := sdktest.Launch(t, path)
	if err := p.Configure(t.Context(), configuration); err != nil {
		t.Fatal(err)
	}
	return p
}

// path is one path of the receiver in testdata/receiver.
type path struct {
	Scheme string `json:"scheme"`
	Secret string `json:"secret"`
	Raw    bool   `json:"raw,omitempty"`
}

// startReceiver runs the receiver in testdata/receiver, and returns its URL.
func startReceiver(t *testing.T, paths map[string]path) string {
	t.Helper()
	for _, needed := range []func() error{
		func() error { _, err := exec.LookPath("node"); return err },
		func() error { _, err := os.Stat("testdata/receiver/node_modules/standardwebhooks"); return err },
	} {
		if err := needed(); err != nil {
			if os.Getenv("SKIP_SERVICES") == "1" {
				t.Skipf("needs Node.js and the packages of testdata/receiver: %v", err)
			}
			t.Fatalf("needs Node.js and the packages of testdata/receiver: %v; `.ci/services install` installs both, SKIP_SERVICES=1 leaves this out", err)
		}
	}
	argument, err := json.Marshal(paths)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("node", "testdata/receiver/receiver.mjs", string(argument))
	c.Stderr = t.Output()
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := c.Wait(); err != nil {
			t.Errorf("the receiver: %v", err)
		}
	})
	port, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the receiver told no port: %v", err)
	}
	return "http://127.0.0.1:" + strings.TrimSpace(port)
}

func TestLibrariesOfOthersVerifyWhatTheBuiltPluginSends(t *testing.T) {
	private := signature.NewEd25519()
	key, err := signature.Standard.Key(private)
	if err != nil {
		t.Fatal(err)
	}
	url := startReceiver(t, map[string]path{
		"/standard": {Scheme: "standard", Secret: whsec},
		"/raw":      {Scheme: "standard", Secret: secret, Raw: true},
		"/ed25519":  {Scheme: "ed25519", Secret: key.Public()},
		"/magento":  {Scheme: "magento", Secret: secret},
		"/github":   {Scheme: "github", Secret: secret},
		"/stripe":   {Scheme: "stripe", Secret: secret},
		"/whsec":    {Scheme: "stripe", Secret: whsec},
	})
	p := built(t, `{}`)
	for _, test := range []struct {
		name, path, scheme string
		token              string
		earlier            []string
		want               int
	}{
		{"v1", "/standard", "standard", whsec, nil, 204},
		{"v1 by a token as it stands", "/raw", "standard", secret, nil, 204},
		{"v1 by another secret", "/standard", "standard", secret, nil, 401},
		{"v1 during a rotation, the new one", "/standard", "standard", whsec, []string{secret, private}, 204},
		{"v1 during a rotation, the old one", "/raw", "standard", private, []string{whsec, secret}, 204},
		{"v1a", "/ed25519", "standard", private, nil, 204},
		{"v1a during a rotation", "/ed25519", "standard", whsec, []string{private}, 204},
		{"v1a by another key", "/ed25519", "standard", signature.NewEd25519(), nil, 401},
		{"magento", "/magento", "magento", secret, nil, 204},
		{"magento by another token", "/magento", "magento", "another", nil, 401},
		{"magento during a rotation, the old one", "/magento", "magento", "another", []string{secret}, 204},
		{"github", "/github", "github", secret, nil, 204},
		{"github by another secret", "/github", "github", "another", nil, 401},
		{"github during a rotation, the old one", "/github", "github", "newest", []string{"new", secret}, 204},
		{"stripe", "/stripe", "stripe", secret, nil, 204},
		{"stripe by another secret", "/stripe", "stripe", "another", nil, 401},
		{"stripe during a rotation, the new one", "/stripe", "stripe", secret, []string{"old"}, 204},
		{"stripe during a rotation, the old one", "/stripe", "stripe", "new", []string{secret}, 204},
		{"stripe with a secret of its form", "/whsec", "stripe", whsec, nil, 204},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := delivery(url + test.path)
			d.Payload = json.RawMessage(`{"name":"Zoë","emoji":"🐎","html":"<b>&"}`)
			d.Settings = json.RawMessage(`{"scheme":"` + test.scheme + `"}`)
			d.Token, d.EarlierTokens = test.token, test.earlier
			if got := notify(t, p, d); got.Code != test.want {
				t.Errorf("got %+v, want %d", got, test.want)
			}
		})
	}
}

func TestTheStandardWebhooksLibraryVerifiesWhatTheBuiltPluginSends(t *testing.T) {
	rawKey := []byte("twenty-four bytes, or so it is said")
	library, err := standardwebhooks.NewWebhookRaw(rawKey)
	if err != nil {
		t.Fatal(err)
	}
	verified := make(chan error, 1)
	url := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		verified <- library.Verify(body, r.Header)
	})
	p := built(t, `{}`)
	for _, tokens := range [][]string{
		{string(rawKey)},
		{"whsec_" + base64.StdEncoding.EncodeToString(rawKey)},
		{whsec, string(rawKey)},
		{string(rawKey), whsec},
	} {
		d := delivery(url)
		d.Token, d.EarlierTokens = tokens[0], tokens[1:]
		if got := notify(t, p, d); got.Status != sdk.StatusDelivered {
			t.Errorf("got %+v", got)
		}
		if err := <-verified; err != nil {
			t.Error(err)
		}
	}
	d := delivery(url)
	d.Token = whsec
	notify(t, p, d)
	if err := <-verified; err == nil {
		t.Error("the library verifies what is signed with another secret")
	}
}
