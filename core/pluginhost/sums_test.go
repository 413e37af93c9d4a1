package pluginhost

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestOnlyWhatTheListOfTrustedPluginsHasMayRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := always(&fake{describes: notifier("web")})
		h, plugins := newFakeHost(t, Config{}, map[string]func() (*fake, error){"web": web, "mail": always(&fake{describes: notifier("mail")})})
		if _, err := Trust(h.config.Dir, "web"); err != nil {
			t.Fatal(err)
		}
		running(t, h)
		if got := status(t, h, "mail"); got.State != stateSkipped || !strings.Contains(got.Reason, "postrider plugin trust mail") {
			t.Errorf("got %+v, want it skipped, and what to do", got)
		}
		_, err := h.Notify(t.Context(), to("mail", "dlv_1"))
		trusted := awake(mustBeHeld(t, err)) // for all we know, it is in the file that may not run
		if plugins.started("mail") != 0 {
			t.Error("it was started")
		}

		put(t, h, "web", "tampered with")
		wantChanges(t, reloaded(t, h), map[string]string{"web": "is not the file that plugins.sum lists", "mail": "is not in plugins.sum"})
		if got := status(t, h, "web"); got.State != stateRunning || !strings.Contains(got.Update, "postrider plugin trust web") || plugins.started("web") != 1 {
			t.Errorf("got %+v, want the one that is trusted running, and what to do about the other", got)
		}
		plugins.latest("web").Kill()
		time.Sleep(firstDelay)
		synctest.Wait()
		if got := status(t, h, "web"); got.State != stateRunning {
			t.Errorf("got %+v, want the trusted one restarted from what was opened", got)
		}

		if _, err := Trust(h.config.Dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second) // the list is watched too
		synctest.Wait()
		if !isClosed(trusted) {
			t.Error("who waited for the plugin that is trusted now is not woken")
		}
		if got := status(t, h, "web"); got.Update != "" {
			t.Errorf("got %+v, want the new file in use", got)
		}
	})
}

func TestTheListOfTrustedPluginsIsOneOfSha256sum(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"web", "with space", "web.json"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	written, err := Trust(dir)
	if err != nil || len(written) != 2 || written[0].Name != "web" || len(written[0].Sum) != 64 {
		t.Errorf("got %+v, %v, want lines for web and with space", written, err)
	}
	check := exec.Command("sha256sum", "-c", "--strict", SumsFile)
	check.Dir = dir
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("sha256sum: %v\n%s", err, out)
	}
	before, err := readSums(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "web"), []byte("new"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Trust(dir, "web"); err != nil {
		t.Fatal(err)
	}
	if after, err := readSums(dir); err != nil || after["web"] == before["web"] || after["with space"] != before["with space"] {
		t.Errorf("got %v, %v, want another sum for web alone", after, err)
	}
}

func TestAListOfTrustedPluginsThatCannotBeTrustedStopsTheStart(t *testing.T) {
	for what, spoil := range map[string]func(path string) error{
		"plugins.sum:2: this is no line": func(path string) error { return os.WriteFile(path, []byte("# ours\nweb\n"), 0o644) },
		"is writable by everybody":       func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o644), os.Chmod(path, 0o666)) },
	} {
		t.Run(what, func(t *testing.T) {
			h, _ := newFakeHost(t, Config{}, map[string]func() (*fake, error){"web": always(&fake{describes: notifier("web")})})
			if err := spoil(filepath.Join(h.config.Dir, SumsFile)); err != nil {
				t.Fatal(err)
			}
			if err := h.Start(t.Context()); err == nil || !strings.Contains(err.Error(), what) {
				t.Errorf("got %v, want %q", err, what)
			}
		})
	}
}

func TestOnlyFilesThatMayRunAreTrusted(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "web"), nil, 0o755), os.WriteFile(filepath.Join(dir, "notes"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"notes": "is not executable", "wbe": `did you mean "web"?`, "../web": "there is no plugin file"} {
		if _, err := Trust(dir, name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, SumsFile)); err == nil {
		t.Error("a list was written all the same")
	}
}
