package endtoend

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestADefinitionWithAMistakeStopsTheDaemonAndSaysWhere(t *testing.T) {
	t.Parallel()
	in := install(t)
	in.write("webhooks.xml", strings.Replace(ordersXML, `<service class=`, `<servise class=`, 1))
	for _, command := range [][]string{{"serve"}, {"webhook", "check"}} {
		if said := in.fails(command...); !strings.Contains(said, "webhooks.xml:4") || !strings.Contains(said, "servise") {
			t.Errorf("%v said %q", command, said)
		}
	}
}

func TestADamagedDatabaseStopsTheDaemonAndSaysWhatToDo(t *testing.T) {
	t.Parallel()
	in := install(t)
	in.serve().stop()
	file := filepath.Join(in.dir, "data/postrider.db")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	in.write("data/postrider.db", string(content[:len(content)/2]))
	if said := in.fails("serve"); !strings.Contains(said, "postrider.db") || !strings.Contains(said, "restore") {
		t.Errorf("serve said %q", said)
	}
	if left, err := os.ReadFile(file); err != nil || len(left) != len(content)/2 {
		t.Errorf("of the damaged file, %d bytes are left, %v: it must stay as it is", len(left), err)
	}
}

func TestTheDataDirectoryIsTheDaemonsAloneAndItsTokenStays(t *testing.T) {
	t.Parallel()
	in := install(t)
	d := in.serve()
	for name, want := range map[string]os.FileMode{"": 0o700, "admin-token": 0o600, "postrider.db": 0o600} {
		info, err := os.Stat(filepath.Join(in.dir, "data", name))
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != want {
			t.Errorf("data/%s has mode %o, want %o", name, mode, want)
		}
	}
	token := d.token
	d.stop()
	if d = in.serve(); d.token != token {
		t.Error("the second start made another token")
	}
	d.stop()
}

func TestBrokenPluginsAndUnofferedServicesAreSaidAndTheRestWorks(t *testing.T) {
	t.Parallel()
	in := install(t)
	plugins := filepath.Join(in.dir, "plugins")
	if err := os.MkdirAll(filepath.Join(plugins, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	notifier, err := os.ReadFile(filepath.Join(bin, "plugins/notifier-http"))
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]struct {
		content string
		mode    os.FileMode
	}{
		"notifier-http": {string(notifier), 0o755},
		"garbage":       {"#!/bin/sh\necho what is this\nexec sleep 100\n", 0o755},
		"exits":         {"#!/bin/sh\nexit 7\n", 0o755},
		"stranger":      {"#!/bin/sh\necho hello, world\n", 0o755},
		"open":          {"#!/bin/sh\nexit 0\n", 0o777},
		"asleep":        {"#!/bin/sh\nexit 0\n", 0o644},
	} {
		path := filepath.Join(plugins, name)
		if err := os.WriteFile(path, []byte(file.content), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, file.mode); err != nil { // whatever the umask
			t.Fatal(err)
		}
	}
	in.write("postrider.yaml", "listen: 127.0.0.1:0\nwebhooks: [webhooks.xml]\nplugin_dir: plugins\negress: {allow: [127.0.0.1]}\n")
	d := in.serve()

	type plugin struct{ File, State, Reason string }
	got := map[string]plugin{}
	for _, p := range get[page[plugin]](d, "/v1/plugins").Items {
		got[filepath.Base(p.File)] = p
	}
	for name, want := range map[string]plugin{
		"notifier-http": {State: "running"},
		"garbage":       {State: "broken", Reason: "what is this"},
		"exits":         {State: "broken", Reason: "7"},
		"stranger":      {State: "broken", Reason: "hello, world"},
		"open":          {State: "skipped", Reason: "writ"},
		"asleep":        {State: "skipped", Reason: "execut"},
		"folder":        {State: "skipped", Reason: "directory"},
	} {
		if p := got[name]; p.State != want.State || !strings.Contains(p.Reason, want.Reason) {
			t.Errorf("%s: got %+v, want %+v", name, p, want)
		}
	}

	type webhook struct{ Name, State string }
	for _, w := range get[page[webhook]](d, "/v1/webhooks").Items {
		if want := map[string]string{"sales.order.created": "unoffered", "stock.item.changed": "ok"}[w.Name]; w.State != want {
			t.Errorf("webhook %s is %q, want %q", w.Name, w.State, want)
		}
	}
	if log := in.log.tail(64 << 10); !strings.Contains(log, "[WARN]") || !strings.Contains(log, "sales.order.created") || !strings.Contains(log, "no resolver") {
		t.Errorf("the log says nothing of the service that nobody offers:\n%s", log)
	}

	r := receive(t, always(200))
	d.subscribe("stock.item.changed", r.URL)
	in.postrider("publish", "stock.item.changed", "--args", `{"id":"works"}`)
	eventually(t, "the event arrives", func() bool { return r.got("works") })
	d.stop()
}
