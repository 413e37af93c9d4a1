package config_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/config"
)

// write puts a file into a new directory and returns its path.
func write(t *testing.T, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// load reads a file that says content.
func load(t *testing.T, content string) config.Config {
	t.Helper()
	c, err := config.Load(write(t, "postrider.yaml", content), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEverySettingHasItsDefault(t *testing.T) {
	t.Chdir(t.TempDir())
	work, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Load("", []string{"HOME=/x", "PATH=/y"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Base(c.PluginDir) != "plugins" || !filepath.IsAbs(c.PluginDir) {
		t.Errorf("plugin_dir: got %s, want plugins/ beside the executable", c.PluginDir)
	}
	c.PluginDir = ""
	retrySchedule, err := json.Marshal(c.Retry)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(retrySchedule), `{"schedule":"quadratic","max_retries":5}`; got != want {
		t.Errorf("retry: got %s, want %s", got, want)
	}
	want := config.Config{
		Listen: "127.0.0.1:8075", DataDir: filepath.Join(work, "data"),
		Queue: config.Queue{URL: "bolt:", Prefix: "webhook", Trigger: config.Trigger{
			Exchange: "magento", Key: "webhook.trigger", Queue: "webhook.trigger",
		}},
		Store:     config.Store{URL: "bolt:", Retention: 72 * time.Hour},
		Plugins:   map[string]config.Plugin{},
		Notifiers: map[string]config.Notifier{"default": {Plugin: "http"}},
		Envelope:  core.EnvelopeStandard, Retry: c.Retry,
		Lanes:    config.Lanes{Concurrency: 64, MaxAge: 24 * time.Hour},
		Limits:   config.Limits{Body: 1 << 20},
		Timeouts: config.Timeouts{Attempt: 30 * time.Second, Resolve: 30 * time.Second, Drain: 20 * time.Second},
		Log:      config.Log{Level: "info", Format: "text"},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

func TestAFileIsFoundInTheWorkingDirectory(t *testing.T) {
	t.Chdir(filepath.Dir(write(t, "postrider.yaml", "listen: 127.0.0.1:1\n")))
	c, err := config.Load("", nil, nil)
	if err != nil || c.Listen != "127.0.0.1:1" {
		t.Errorf("got %q, %v", c.Listen, err)
	}
}

func TestAFileThatIsNamedMustExist(t *testing.T) {
	_, err := config.Load(filepath.Join(t.TempDir(), "none.yaml"), nil, nil)
	if err == nil || !strings.Contains(err.Error(), "none.yaml: no such file") {
		t.Errorf("got %v", err)
	}
}

func TestFlagsWinOverVariablesOverTheFileOverDefaults(t *testing.T) {
	file := write(t, "p.yaml", "listen: 127.0.0.1:1\nlog: {level: warn, format: json}\nlanes: {concurrency: 7}\n")
	env := []string{"POSTRIDER_LISTEN=127.0.0.1:2", "POSTRIDER_LOG_LEVEL=error"}
	c, err := config.Load(file, env, map[string]string{"listen": "127.0.0.1:3"})
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(c.Listen, c.Log, c.Lanes.Concurrency, c.Limits.Body)
	if want := "127.0.0.1:3{error json} 7 1048576"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestRelativePathsAreRelativeToWhereTheyStand(t *testing.T) {
	work := t.TempDir()
	t.Chdir(work)
	file := write(t, "p.yaml", "data_dir: d\nplugin_dir: ../p\nwebhooks: [a.yaml, /b.xml]\n")
	home := filepath.Dir(file)
	c, err := config.Load(file, nil, map[string]string{"data_dir": "there"})
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(work, "there"); c.DataDir != want {
		t.Errorf("data_dir of a flag: got %s, want %s", c.DataDir, want)
	}
	if want := filepath.Join(filepath.Dir(home), "p"); c.PluginDir != want {
		t.Errorf("plugin_dir of the file: got %s, want %s", c.PluginDir, want)
	}
	if want := []string{filepath.Join(home, "a.yaml"), "/b.xml"}; !slices.Equal(c.Webhooks, want) {
		t.Errorf("webhooks: got %v, want %v", c.Webhooks, want)
	}
}

func TestDefinitionsBesideTheFileAreTakenUnasked(t *testing.T) {
	file := write(t, "p.yaml", "")
	xml := filepath.Join(filepath.Dir(file), "webhooks.xml")
	if err := os.WriteFile(xml, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(file, nil, nil)
	if err != nil || !slices.Equal(c.Webhooks, []string{xml}) {
		t.Errorf("got %v, %v, want %s", c.Webhooks, err, xml)
	}
}

func TestStructuredSettingsCanComeFromAVariable(t *testing.T) {
	c, err := config.Load(write(t, "p.yaml", "webhooks: [x.yaml]\n"), []string{
		"POSTRIDER_WEBHOOKS=/a.yaml, /b.xml", "POSTRIDER_EGRESS_ALLOW=[10.0.0.0/8]", "POSTRIDER_QUEUE_URL=bolt:",
		"POSTRIDER_RETRY=[5s, 5m]", "POSTRIDER_PLUGINS={orders: {config: {file: o.json}}}",
		"POSTRIDER_LISTEN=", "POSTRIDER_URL=http://x", "POSTRIDER_TOKEN=t", "POSTRIDER_SERVICE_HOST=10.0.0.1", "POSTRIDER_PORT_8075_TCP=tcp://10.0.0.1:8075",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%v %v %v %s", c.Webhooks, c.Egress.Allow, c.Retry.Span(), c.Plugins["orders"].Config)
	if want := `[/a.yaml /b.xml] [10.0.0.0/8] 5m5s {"file":"o.json"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestThePluginsGetTheirConfigurationAsJSON(t *testing.T) {
	c := load(t, `
plugins:
  orders: {config: {file: orders.json, depth: 3, tags: [a, 2]}}
  bare:
notifiers:
  shop: {plugin: http-signed, config: {scheme: standard}}
  plain: {plugin: http}
`)
	if got, want := string(c.Plugins["orders"].Config), `{"file":"orders.json","depth":3,"tags":["a",2]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := c.Plugins["bare"].Config; got != nil {
		t.Errorf("a plugin with nothing written: got %s, want none", got)
	}
	want := map[string]config.Notifier{
		"default": {Plugin: "http"},
		"shop":    {Plugin: "http-signed", Config: json.RawMessage(`{"scheme":"standard"}`)},
		"plain":   {Plugin: "http"},
	}
	if !reflect.DeepEqual(c.Notifiers, want) {
		t.Errorf("got %+v, want %+v", c.Notifiers, want)
	}
}

func TestTheDefaultNotifierCanBeAnother(t *testing.T) {
	c := load(t, "notifiers: {default: {plugin: console}}\n")
	if got := c.Notifiers["default"].Plugin; got != "console" {
		t.Errorf("got %s", got)
	}
}

func TestSizesAndDurationsHaveUnits(t *testing.T) {
	for text, want := range map[string]int64{"1MiB": 1 << 20, "512 KiB": 512 << 10, "2000": 2000, "2kB": 2000, "5MB": 5e6, "4096B": 4096} {
		if got := load(t, "limits: {body: "+text+"}\n").Limits.Body; got != want {
			t.Errorf("%s: got %d, want %d", text, got, want)
		}
	}
	if got := load(t, "timeouts: {attempt: 1m30s}\n").Timeouts.Attempt; got != 90*time.Second {
		t.Errorf("got %s", got)
	}
}

func TestAMistakeInTheFileIsNamedWithItsLine(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"\nlisten: [1]", "2: there is a list here, where plain text belongs"},
		{"listen: 8075", `1: listen: "8075" is not an address: write host:port`},
		{"listen: 'x:http'", `1: listen: "http" is not a port`},
		{"listen: ':70000'", `1: listen: "70000" is not a port`},
		{"\n\nlisen: :1", `3: unknown key "lisen" (did you mean "listen"?): a configuration has listen, data_dir, `},
		{"queue: {uri: 'bolt:'}", `1: unknown key "uri" (did you mean "url"?): queue has url`},
		{"queue: 'bolt:'", `1: there is "bolt:" here, where keys with values belong`},
		{"queue:\n  url: redis://u:secret@h/v", `2: queue.url: the scheme "redis" is unknown`},
		{"queue:\n  url: amqp://u:secret@/v", "2: queue.url: it names no host"},
		{"queue:\n  url: amqp://u:secret@h:port/v", "2: queue.url: this is not a URL"},
		{"queue:\n  url: amqp://u:secret/@h/v", "2: queue.url: this is not a URL"},
		{"queue:\n  url: amqp://u:secret@h/v/w", "2: queue.url: its path is the name of one vhost"},
		{"queue:\n  url: amqps://u:secret@h/v?cacertfile=x", "2: queue.url: it takes nothing after the vhost"},
		{"queue: {trigger: {key: ''}}", "1: a name at RabbitMQ has 1 to 255 bytes, and this one 0"},
		{"queue: {trigger: {keys: ''}}", `1: unknown key "keys" (did you mean "key"?): queue.trigger has exchange, key, queue`},
		{"store: {url: 'postgres://u:secret@h/db'}", "1: store.url: postgres:// is not built into this version"},
		{"store: {url: 'mysql://u:secret@h/db'}", `1: store.url: the scheme "mysql" is unknown`},
		{"store: {url: 'bolt:x.db'}", `1: store.url: "bolt:" takes nothing after it`},
		{"store: {url: '%secret'}", `1: store.url: this is not a URL`},
		{"store: {url: 'http://secret:x y@%'}", `1: store.url: this is not a URL`},
		{"data_dir: ''", "1: a path must not be empty"},
		{"webhooks: a.yaml", `1: there is "a.yaml" here, where a list belongs`},
		{"plugins: {orders: {file: x}}", `1: unknown key "file" (did you mean "files"?): plugin orders has config, user, memory, files`},
		{"plugins: {orders: {config: x}}", `1: there is "x" here, where keys with values belong`},
		{"plugins:\n  orders:\n    config:\n      1: x", `4: a key must be text: put "1" in quotes`},
		{"notifiers: {shop: {config: {}}}", `1: notifier "shop" must say its plugin`},
		{"notifiers: {shop: {plugn: http}}", `1: unknown key "plugn" (did you mean "plugin"?)`},
		{"envelope: cloudevent", `1: "cloudevent" is unknown (did you mean "cloudevents"?): it is standard, cloudevents or raw`},
		{"retry: {schedule: quadratic, max_retry: 5}", "1: retry: max_retry: a schedule that is quadratic has no such key"},
		{"retry: [5]", `1: retry: schedule: delay 1: 5 is not a delay`},
		{"egress: {allow: ['http://shop']}", `1: egress.allow: "http://shop" is neither a CIDR`},
		{"egress: {allow: [10.0.0.0/99]}", `1: egress.allow: "10.0.0.0/99" is not a CIDR`},
		{"lanes: {concurrency: 0}", `1: "0" is out of bounds: it must be a whole number from 1 to 10000`},
		{"lanes: {max_age: -1h}", `1: -1h is out of bounds`},
		{"timeouts: {drain: 20}", `1: "20" is not a duration: write a number and its unit`},
		{"limits: {body: 1TB}", `1: "1TB" is not a size`},
		{"store: {retention: 12h}", `1: 12h0m0s is too short: repeated publishes are recognised for at least 24h`},
		{"limits: {body: 9999999999GiB}", `1: 9999999999GiB is out of bounds`},
		{"log: {level: verbose}", `1: "verbose" is unknown: it is trace, debug, info, warn, error or off`},
		{"listen: :1\nlisten: :2", `2: "listen" stands here again`},
		{"a: [", `not YAML`},
	} {
		t.Run(test.want, func(t *testing.T) {
			_, err := config.Load(write(t, "p.yaml", test.text), nil, nil)
			if err == nil || !strings.Contains(err.Error(), "p.yaml:") || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got error %v, want one that says %q", err, test.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error gives a password away: %v", err)
			}
		})
	}
}

func TestAMistakeElsewhereIsNamedWithItsSource(t *testing.T) {
	for _, test := range []struct {
		env   string
		flags map[string]string
		want  string
	}{
		{env: "POSTRIDER_LISEN=:1", want: `environment variable POSTRIDER_LISEN: there is no such setting (did you mean "POSTRIDER_LISTEN"?)`},
		{env: "POSTRIDER_LISTEN=x", want: `environment variable POSTRIDER_LISTEN: listen: "x" is not an address`},
		{env: "POSTRIDER_RETRY={", want: `environment variable POSTRIDER_RETRY: not YAML`},
		{flags: map[string]string{"log.level": "loud"}, want: `flag --log-level: "loud" is unknown`},
		{flags: map[string]string{"log.lvl": "x"}, want: `flag for log.lvl: there is no such setting`},
	} {
		_, err := config.Load(write(t, "p.yaml", ""), []string{test.env}, test.flags)
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("got error %v, want one that starts with %q", err, test.want)
		}
	}
}

func TestAllMistakesAreReportedTogether(t *testing.T) {
	_, err := config.Load(write(t, "p.yaml", "lisen: 1\nlimits: {body: x}\negress: {allow: [a b, c d]}\n"), []string{"POSTRIDER_LOG_LEVEL=x"}, nil)
	if err == nil || strings.Count(err.Error(), "\n") != 4 {
		t.Errorf("got %v, want five lines", err)
	}
}

func TestAnEndpointPrintsWithoutItsPassword(t *testing.T) {
	e := config.Store{URL: "postgres://user:secret@host/v"}
	if got, want := fmt.Sprint(e), "postgres://user:xxxxx@host/v"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
