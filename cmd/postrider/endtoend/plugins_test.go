package endtoend

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// ownPlugins gives an installation a plugin directory of its own, which holds copies of these plugins.
func (in *installation) ownPlugins(names ...string) {
	in.t.Helper()
	in.replace("postrider.yaml", filepath.Join(bin, "plugins"), filepath.Join(in.dir, "plugins"))
	if err := os.Mkdir(filepath.Join(in.dir, "plugins"), 0o755); err != nil {
		in.t.Fatal(err)
	}
	for _, name := range names {
		in.installPlugin(filepath.Join(bin, "plugins", name), name)
	}
}

// replace writes a file anew with other text in the place of some.
func (in *installation) replace(name, old, text string) {
	in.t.Helper()
	content, err := os.ReadFile(filepath.Join(in.dir, name))
	if err != nil {
		in.t.Fatal(err)
	}
	in.write(name, strings.Replace(string(content), old, text, 1))
}

// installPlugin copies a file into the installation's plugin directory as one should: under another name first.
func (in *installation) installPlugin(file, name string) {
	in.t.Helper()
	source, err := os.Open(file)
	if err != nil {
		in.t.Fatal(err)
	}
	defer source.Close()
	whole := filepath.Join(in.dir, "plugins", "."+name)
	target, err := os.OpenFile(whole, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		in.t.Fatal(err)
	}
	if _, err := io.Copy(target, source); err != nil {
		in.t.Fatal(err)
	}
	if err := target.Close(); err != nil {
		in.t.Fatal(err)
	}
	if err := os.Rename(whole, filepath.Join(in.dir, "plugins", name)); err != nil {
		in.t.Fatal(err)
	}
}

type pluginStatus struct {
	Name, State, Version, Reason, Update string
	Notifier                             string // "" where the process is the plugin's own
	PID, Restarts                        int
}

// plugin returns how the process of a plugin is, that of its own configuration.
func (d *daemon) plugin(name string) pluginStatus {
	d.in.t.Helper()
	for _, p := range get[page[pluginStatus]](d, "/v1/plugins").Items {
		if p.Name == name && p.Notifier == "" {
			return p
		}
	}
	return pluginStatus{}
}

func TestAPluginThatIsDroppedInServesAndOneThatIsTakenAwayIsWaitedFor(t *testing.T) {
	t.Parallel()
	in := install(t)
	in.ownPlugins("notifier-http")
	d := in.serve()
	r := receive(t, always(200))
	d.subscribe("sales.order.created", r.URL)
	d.call("POST", "/v1/events", `{"event":"sales.order.created","arguments":{"id":1}}`)

	in.installPlugin(filepath.Join(bin, "plugins", "resolver-orders"), "resolver-orders")
	eventually(t, "the order is resolved by the plugin that has come", func() bool { n, _ := r.counts(); return n == 1 })

	if err := os.Rename(filepath.Join(in.dir, "plugins/notifier-http"), filepath.Join(in.dir, "kept")); err != nil {
		t.Fatal(err)
	}
	if said := in.postrider("plugin", "reload"); !strings.Contains(said, "removed") {
		t.Errorf("plugin reload said: %s", said)
	}
	d.call("POST", "/v1/events", `{"event":"sales.order.created","arguments":{"id":2}}`)
	in.installPlugin(filepath.Join(in.dir, "kept"), "notifier-http")
	d.cmd.Process.Signal(syscall.SIGHUP)
	eventually(t, "what waited for the notifier arrives", func() bool { n, _ := r.counts(); return n == 2 })
	for _, one := range r.all() {
		if one.Attempt != "1" {
			t.Errorf("it came as attempt %s", one.Attempt)
		}
	}
	d.stop()
}

func TestABadNewVersionIsRefusedWhereTheOperatorLooks(t *testing.T) {
	t.Parallel()
	in := install(t)
	in.ownPlugins("notifier-http", "resolver-orders")
	if said := in.postrider("plugin", "trust"); !strings.Contains(said, "2 files are trusted") {
		t.Errorf("plugin trust said: %s", said)
	}
	d := in.serve()
	pid := d.plugin("http").PID
	in.installPlugin("/bin/true", "notifier-http")
	for step, want := range []string{"is not the file that plugins.sum lists", "without the handshake of a Postrider plugin"} {
		eventually(t, "the bad file is refused", func() bool { return strings.Contains(d.plugin("http").Update, want) })
		if said := in.postrider("plugin", "list"); !strings.Contains(said, want) {
			t.Errorf("plugin list says\n%s", said)
		}
		if !strings.Contains(in.log.tail(1<<20), want) {
			t.Errorf("the log does not say that it %s", want)
		}
		if step == 0 {
			in.postrider("plugin", "trust", "notifier-http")
		}
	}
	r := receive(t, always(200))
	d.subscribe("stock.item.changed", r.URL)
	in.postrider("publish", "stock.item.changed")
	eventually(t, "the old version delivers", func() bool { n, _ := r.counts(); return n == 1 })
	if now := d.plugin("http"); now.PID != pid || now.State != "running" {
		t.Errorf("the notifier is %+v, want the process %d running", now, pid)
	}
	d.stop()
}

func TestTheConfigurationOfAPluginTakesSecretsFromFilesAndShowsThemNowhere(t *testing.T) {
	t.Parallel()
	in := install(t, `plugins: {orders: {files: 256, memory: 1GiB, config: {file: "${file:secret}"}}}`)
	in.write("secret", "no-such-secret.json\n")
	d := in.serve()
	d.subscribe("sales.order.created", "http://127.0.0.1:9/")
	d.call("POST", "/v1/events", `{"id":"one","event":"sales.order.created","arguments":{"id":1}}`)
	type event struct{ Attempts []attempt }
	eventually(t, "the resolver has met the file that is not there", func() bool { return len(get[event](d, "/v1/events/one").Attempts) > 0 })
	shown := in.postrider("event", "show", "one") + in.postrider("plugin", "list", "--json") + in.log.tail(1<<20)
	if !strings.Contains(shown, "[secret]") || strings.Contains(shown, "no-such-secret") {
		t.Errorf("want [secret] in the place of the secret, got\n%s", shown)
	}
	d.stop()

	if err := os.Remove(filepath.Join(in.dir, "secret")); err != nil {
		t.Fatal(err)
	}
	if said := in.fails("serve"); !strings.Contains(said, `key "plugins.orders.config.file"`) {
		t.Errorf("without the file, serve said: %s", said)
	}
}
