package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/core/config"
)

func TestAPluginsConfigurationTakesSecretsFromTheEnvironmentAndFromFiles(t *testing.T) {
	file := write(t, "p.yaml", `
plugins:
  erp: {config: {url: "https://shop:${env:ERP_PASSWORD}@erp/", keys: ["${file:key}", plain], price: "$${env:X} ${other}", n: 1}}
notifiers:
  signed: {plugin: http-signed, config: {token: "${file:key}"}}
`)
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "key"), []byte("k\"ey\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(file, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(c.Notifiers["signed"].Config); got != `{"token":"${file:key}"}` {
		t.Errorf("before they are asked for: got %s, want the reference", got)
	}
	if err := c.FillSecrets([]string{"ERP_PASSWORD=pa\\ss"}); err != nil {
		t.Fatal(err)
	}
	if got, want := string(c.Plugins["erp"].Config), `{"url":"https://shop:pa\\ss@erp/","keys":["k\"ey","plain"],"price":"${env:X} ${other}","n":1}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := string(c.Notifiers["signed"].Config); got != `{"token":"k\"ey"}` {
		t.Errorf("got %s", got)
	}
	if got := c.Plugins["erp"].Filled; len(got) != 2 || got[0] != `pa\ss` || got[1] != `k"ey` {
		t.Errorf("got %q, want both, to be hidden", got)
	}
}

func TestASecretThatIsNotThereIsNamedWithItsKeyAndLine(t *testing.T) {
	file := write(t, "p.yaml", `plugins:
  erp:
    config:
      auth: [{password: "${env:ERP_PASSWORD}"}]
      key: "${file:missing}"
`)
	c, err := config.Load(file, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = c.FillSecrets([]string{"ERP_PASSWORD="})
	if want := `p.yaml:4: key "plugins.erp.config.auth[0].password": ${env:ERP_PASSWORD}: the environment variable "ERP_PASSWORD" is not set, or empty`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	if err = c.FillSecrets([]string{"ERP_PASSWORD=x"}); err == nil || !strings.Contains(err.Error(), `p.yaml:5: key "plugins.erp.config.key"`) {
		t.Errorf("got %v, want one about plugins.erp.config.key", err)
	}
}

func TestThePluginsGetTheirLimits(t *testing.T) {
	c := load(t, "plugins: {erp: {user: nobody, memory: 256MiB, files: 256}}\n")
	if p := c.Plugins["erp"]; p.User != "nobody" || p.Memory != 256<<20 || p.Files != 256 {
		t.Errorf("got %+v", p)
	}
	for text, want := range map[string]string{
		"{memory: 1MiB}": "1: 1MiB is out of bounds", "{files: 3}": "from 32 to 1048576", "{user: [a]}": "plain text belongs",
	} {
		if _, err := config.Load(write(t, "p.yaml", "plugins: {erp: "+text+"}\n"), nil, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
