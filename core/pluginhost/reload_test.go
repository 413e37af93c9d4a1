package pluginhost

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/host"
)

// put installs a version of a plugin file as one should: by renaming it into place.
func put(t *testing.T, h *Host, name, content string) {
	t.Helper()
	whole := filepath.Join(t.TempDir(), name)
	if err := errors.Join(os.WriteFile(whole, []byte(content), 0o755), os.Rename(whole, filepath.Join(h.config.Dir, name))); err != nil {
		t.Fatal(err)
	}
}

// reloaded reloads, and returns what became of the files: "name change", by file.
func reloaded(t *testing.T, h *Host) map[string]string {
	t.Helper()
	changes, err := h.Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	became := map[string]string{}
	for _, c := range changes {
		became[filepath.Base(c.File)] = strings.TrimSpace(c.Name + " " + c.Change + " " + c.Reason)
	}
	return became
}

func wantChanges(t *testing.T, got map[string]string, want map[string]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for file, change := range want {
		if !strings.Contains(got[file], change) {
			t.Errorf("%s: got %q, want %q", file, got[file], change)
		}
	}
}

// versions makes a new process of version after version at each start.
func versions(name string, all ...*fake) func() (*fake, error) {
	started := 0
	return func() (*fake, error) {
		f := all[min(started, len(all)-1)]
		started++
		d := notifier(name)
		d.Version = f.describes.Version
		return &fake{describes: d, notify: f.notify}, nil
	}
}

func TestANewVersionTakesOverAndTheOldOneFinishesWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		slow := &fake{describes: host.Description{Version: "1"}}
		slow.notify = func(ctx context.Context, _ sdk.Delivery) (sdk.Outcome, error) {
			<-answer
			return sdk.Outcome{Status: sdk.StatusDelivered, Excerpt: "1"}, nil
		}
		fast := &fake{describes: host.Description{Version: "2"}}
		fast.notify = func(context.Context, sdk.Delivery) (sdk.Outcome, error) {
			return sdk.Outcome{Status: sdk.StatusDelivered, Excerpt: "2"}, nil
		}
		h, plugins := newFakeHost(t, Config{}, map[string]func() (*fake, error){"web": versions("web", slow, fast)})
		running(t, h)
		old := plugins.latest("web")
		first := make(chan core.Answer, 4)
		for range 4 { // as many as it takes
			go func() {
				a, err := h.Notify(t.Context(), to("web", "dlv_1"))
				if err != nil {
					t.Errorf("what was in flight: got %v", err)
				}
				first <- a
			}()
		}
		synctest.Wait()
		_, err := h.Notify(t.Context(), to("web", "dlv_2"))
		waits := awake(mustBeHeld(t, err))

		put(t, h, "web", "another")
		wantChanges(t, reloaded(t, h), map[string]string{"web": "web replaced"})
		if !isClosed(waits) {
			t.Error("who waited for room is not woken by the new version, which has room")
		}
		if a, err := h.Notify(t.Context(), to("web", "dlv_2")); err != nil || a.Excerpt != "2" {
			t.Errorf("got %+v, %v, want the answer of the new version", a, err)
		}
		if got := status(t, h, "web"); got.Version != "2" || got.State != stateRunning || got.Restarts != 0 || got.InFlight != 4 {
			t.Errorf("got %+v, want version 2 running, and 4 in flight in version 1", got)
		}
		close(answer)
		synctest.Wait()
		for range 4 {
			if a := <-first; a.Excerpt != "1" {
				t.Errorf("got %+v, want the answer of the old version", a)
			}
		}
		if !isClosed(old.done) || status(t, h, "web").InFlight != 0 {
			t.Error("the old version still runs")
		}
	})
}

func TestABadNewVersionLeavesTheOldOneRunningAndSaysSo(t *testing.T) {
	bad := map[string]func() (*fake, error){
		"exits at once":                    func() (*fake, error) { return nil, errors.New("exits at once") },
		`2 plugins call themselves "shop"`: func() (*fake, error) { return &fake{describes: notifier("shop")}, nil },
		"has no greeting": func() (*fake, error) {
			return &fake{describes: notifier("web"), configure: func(json.RawMessage) error {
				return &host.ConfigurationError{Plugin: "web", What: "it has no greeting"}
			}}, nil
		},
	}
	for why, start := range bad {
		t.Run(why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				next := always(&fake{describes: notifier("web")})
				h, plugins := newFakeHost(t, Config{}, map[string]func() (*fake, error){
					"web":  func() (*fake, error) { return next() },
					"shop": always(&fake{describes: notifier("shop")}),
				})
				running(t, h)
				good, next0 := plugins.latest("web"), next
				next = start
				put(t, h, "web", "bad")
				wantChanges(t, reloaded(t, h), map[string]string{"web": why})
				if got := status(t, h, "web"); got.State != stateRunning || !strings.Contains(got.Update, why) {
					t.Errorf("got %+v, want it running, and why its file isn't used", got)
				}
				if _, err := h.Notify(t.Context(), to("web", "dlv_1")); err != nil || isClosed(good.done) {
					t.Errorf("the old version: got %v", err)
				}
				next = next0
				put(t, h, "web", "good")
				wantChanges(t, reloaded(t, h), map[string]string{"web": "web replaced"})
				if got := status(t, h, "web"); got.Update != "" {
					t.Errorf("got %+v, want nothing said of a bad file any more", got)
				}
			})
		})
	}
}

func TestWhatANewFileOffersIsFoundByWhoWaitsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, plugins := newFakeHost(t, Config{Notifiers: map[string]Notifier{"default": {Plugin: "web"}}}, map[string]func() (*fake, error){})
		plugins.make["web"] = always(&fake{describes: notifier("web")})
		plugins.make["shop"] = always(&fake{describes: resolver("shop", "Shop", "get")})
		running(t, h)
		_, err := h.Notify(t.Context(), to("", "dlv_1"))
		delivery := awake(mustBeHeld(t, err))
		_, err = h.Resolve(t.Context(), get("Shop"))
		event := awake(mustBeHeld(t, err))
		put(t, h, "web", "x")
		put(t, h, "shop", "x")
		time.Sleep(2 * time.Second) // nobody reloads: it is found
		synctest.Wait()
		if !isClosed(delivery) || !isClosed(event) {
			t.Errorf("delivery woken: %t, event woken: %t; want both", isClosed(delivery), isClosed(event))
		}
		if _, err := h.Notify(t.Context(), to("", "dlv_1")); err != nil {
			t.Error(err)
		}
		if _, err := h.Resolve(t.Context(), get("Shop")); err != nil {
			t.Error(err)
		}
		if got := reloaded(t, h); len(got) != 0 {
			t.Errorf("got %v, want no change that is left", got)
		}
	})
}

func TestWhatNeedsAPluginWhoseFileWasTakenAwayWaitsUntilItIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, plugins := newFakeHost(t, Config{}, map[string]func() (*fake, error){"web": always(&fake{describes: notifier("web")})})
		running(t, h)
		gone := plugins.latest("web")
		if err := os.Rename(filepath.Join(h.config.Dir, "web"), filepath.Join(h.config.Dir, ".web")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if !isClosed(gone.done) {
			t.Error("it still runs")
		}
		if got := status(t, h, "web"); got.State != stateBroken || !strings.Contains(got.Reason, "put it there") {
			t.Errorf("got %+v, want it broken, and what to do", got)
		}
		_, err := h.Notify(t.Context(), to("web", "dlv_1"))
		woken := awake(mustBeHeld(t, err))
		if err := os.Rename(filepath.Join(h.config.Dir, ".web"), filepath.Join(h.config.Dir, "web")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if _, err := h.Notify(t.Context(), to("web", "dlv_1")); err != nil || !isClosed(woken) {
			t.Errorf("once it is back: got %v, woken %t", err, isClosed(woken))
		}
	})
}

func TestAFileIsRunOnceItHasStoppedChanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, plugins := newFakeHost(t, Config{}, map[string]func() (*fake, error){})
		plugins.make["web"] = always(&fake{describes: notifier("web")})
		running(t, h)
		file, err := os.OpenFile(filepath.Join(h.config.Dir, "web"), os.O_CREATE|os.O_WRONLY, 0o755)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		for range 10 {
			file.WriteString("more")
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if got := plugins.started("web"); got != 0 {
			t.Errorf("it was started %d times while it grew", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := plugins.started("web"); got != 1 {
			t.Errorf("it was started %d times since, want once", got)
		}
	})
}

func TestAPluginDirectoryThatVanishesStopsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := newFakeHost(t, Config{}, map[string]func() (*fake, error){"web": always(&fake{describes: notifier("web")})})
		running(t, h)
		if err := os.RemoveAll(h.config.Dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if _, err := h.Notify(t.Context(), to("web", "dlv_1")); err != nil {
			t.Error(err)
		}
		if _, err := h.Reload(t.Context()); err == nil {
			t.Error("a reload says nothing of it")
		}
	})
}

func TestAFileThatHoldsAnotherPluginNowEndsTheOneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name := "web"
		h, _ := newFakeHost(t, Config{}, map[string]func() (*fake, error){"file": func() (*fake, error) { return &fake{describes: notifier(name)}, nil }})
		running(t, h)
		name = "mail"
		put(t, h, "file", "another")
		wantChanges(t, reloaded(t, h), map[string]string{"file": "mail replaced"})
		if _, err := h.Notify(t.Context(), to("mail", "dlv_1")); err != nil {
			t.Error(err)
		}
		_, err := h.Notify(t.Context(), to("web", "dlv_2"))
		mustBeHeld(t, err) // it was there a moment ago: no reason to give the delivery up
	})
}

func TestTwoFilesThatTradeTheirServicesAreBothTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := "A", "B"
		h, _ := newFakeHost(t, Config{}, map[string]func() (*fake, error){
			"one": func() (*fake, error) { return &fake{describes: resolver("one", a, "get")}, nil },
			"two": func() (*fake, error) { return &fake{describes: resolver("two", b, "get")}, nil },
		})
		running(t, h)
		a, b = "B", "C" // "two" must make room first
		put(t, h, "one", "new")
		put(t, h, "two", "new")
		wantChanges(t, reloaded(t, h), map[string]string{"one": "one replaced", "two": "two replaced"})
		offered := map[string]string{}
		for _, s := range h.Services() {
			offered[s.Class] = s.Plugin
		}
		if want := map[string]string{"B": "one", "C": "two"}; !reflect.DeepEqual(offered, want) {
			t.Errorf("got %v, want %v", offered, want)
		}
	})
}
