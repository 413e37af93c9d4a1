package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/host"
)

func TestWhatWasInFlightAtACrashIsHeldAndThenSentAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var inFlight, most atomic.Int32
		answer := make(chan struct{})
		h, plugins := newFakeHost(t, Config{}, map[string]func() (*fake, error){"web": func() (*fake, error) {
			f := &fake{describes: notifier("web")}
			f.notify = func(ctx context.Context, _ sdk.Delivery) (sdk.Outcome, error) {
				most.Store(max(most.Load(), inFlight.Add(1)))
				defer inFlight.Add(-1)
				return sdk.Delivered(), f.lives(ctx, answer)
			}
			return f, nil
		}})
		running(t, h)

		results := make(chan error, 10)
		send := func(id string) {
			go func() {
				_, err := h.Notify(t.Context(), to("web", id))
				results <- err
			}()
			synctest.Wait()
		}
		send("dlv_1")
		send("dlv_2")
		if most.Load() != 2 {
			t.Fatalf("got %d in flight, want 2", most.Load())
		}
		plugins.latest("web").Kill()
		synctest.Wait()
		one, two := awake(mustBeHeld(t, <-results)), awake(mustBeHeld(t, <-results))
		if isClosed(one) || isClosed(two) {
			t.Error("awake though the plugin is down")
		}
		time.Sleep(firstDelay)
		synctest.Wait()
		if !isClosed(one) || !isClosed(two) {
			t.Error("not awake though the plugin runs")
		}

		most.Store(0)
		send("dlv_1") // runs alone
		send("dlv_2") // held: a suspect is alone
		send("dlv_3") // held: so is everybody else
		held := mustBeHeld(t, <-results)
		mustBeHeld(t, <-results)
		woken := awake(held)
		if isClosed(woken) {
			t.Error("awake though a suspect runs alone")
		}
		close(answer)
		synctest.Wait()
		if err := <-results; err != nil || most.Load() != 1 {
			t.Errorf("got error %v and %d in flight, want none and 1", err, most.Load())
		}
		if !isClosed(woken) {
			t.Error("not awake though the suspect has left")
		}
		send("dlv_2")
		if err := <-results; err != nil {
			t.Error(err)
		}
		if h.table.Load().notifiers["web"].by.suspects.has("dlv_1") {
			t.Error("a suspect that ran is still one")
		}
	})
}

func TestWhatCrashesThePluginThreeTimesWhileAloneCanNeverWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, plugins := newFakeHost(t, Config{}, map[string]func() (*fake, error){"web": func() (*fake, error) {
			f := &fake{describes: notifier("web")}
			f.notify = func(ctx context.Context, d sdk.Delivery) (sdk.Outcome, error) {
				if d.ID == "dlv_poison" {
					f.Kill()
					return sdk.Outcome{}, host.ErrCrashed
				}
				return sdk.Delivered(), nil
			}
			return f, nil
		}})
		running(t, h)
		for i := range 4 {
			_, err := h.Notify(t.Context(), to("web", "dlv_poison"))
			if i == 3 {
				if !errors.Is(err, core.ErrPermanent) {
					t.Errorf("got %v, want ErrPermanent", err)
				}
				if got, want := fmt.Sprint(err), "then replay it"; !strings.HasSuffix(got, want) { // a dead letter's reason
					t.Errorf("got %q, want it to end with what to do, %q", got, want)
				}
				break
			}
			woken := awake(mustBeHeld(t, err))
			<-woken
		}
		if got := plugins.started("web"); got != 4 {
			t.Errorf("got %d starts, want 4: one crash with others, three alone", got)
		}
		time.Sleep(time.Minute)
		if _, err := h.Notify(t.Context(), to("web", "dlv_other")); err != nil {
			t.Errorf("another delivery: %v", err)
		}
	})
}

func TestASuspectWaitsForTheOthersToLeaveAndKeepsItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, plugins := newFakeHost(t, Config{}, map[string]func() (*fake, error){"web": func() (*fake, error) {
			f := &fake{describes: notifier("web")}
			f.notify = func(ctx context.Context, d sdk.Delivery) (sdk.Outcome, error) {
				answer := make(chan struct{})
				timer := time.AfterFunc(20*time.Second, func() { close(answer) })
				defer timer.Stop()
				return sdk.Delivered(), f.lives(ctx, answer)
			}
			return f, nil
		}})
		running(t, h)
		suspect := make(chan error, 1)
		go func() {
			_, err := h.Notify(t.Context(), to("web", "dlv_1"))
			suspect <- err
		}()
		synctest.Wait()
		plugins.latest("web").Kill()
		mustBeHeld(t, <-suspect)
		time.Sleep(time.Second)
		go h.Notify(t.Context(), to("web", "dlv_2"))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		started := time.Now()
		if _, err := h.Notify(ctx, to("web", "dlv_1")); err != nil { // 20 s until it is alone, and 20 s of its own
			t.Error(err)
		}
		if got := time.Since(started); got != 40*time.Second {
			t.Errorf("took %v, want 40s", got)
		}
	})
}

func TestARequestThatFindsNoRoomIsHeldUntilOneLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		h, _ := newFakeHost(t, Config{}, map[string]func() (*fake, error){"web": func() (*fake, error) {
			f := &fake{describes: notifier("web")} // takes 4
			f.notify = func(ctx context.Context, d sdk.Delivery) (sdk.Outcome, error) {
				return sdk.Delivered(), f.lives(ctx, answer)
			}
			return f, nil
		}})
		running(t, h)
		for i := range 4 {
			go h.Notify(t.Context(), to("web", fmt.Sprint("dlv_", i)))
		}
		synctest.Wait()
		if got := status(t, h, "web").InFlight; got != 4 {
			t.Errorf("got %d in flight, want 4", got)
		}
		_, err := h.Notify(t.Context(), to("web", "dlv_4"))
		woken := awake(mustBeHeld(t, err))
		if isClosed(woken) {
			t.Error("awake though there is no room")
		}
		close(answer)
		synctest.Wait()
		if !isClosed(woken) {
			t.Error("not awake though there is room")
		}
	})
}

func TestTheCallersContextReachesThePlugin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := newFakeHost(t, Config{}, map[string]func() (*fake, error){"web": func() (*fake, error) {
			f := &fake{describes: notifier("web")}
			f.notify = func(ctx context.Context, d sdk.Delivery) (sdk.Outcome, error) {
				return sdk.Outcome{}, f.lives(ctx, nil)
			}
			return f, nil
		}})
		running(t, h)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := h.Notify(ctx, to("web", "dlv_1")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("past the deadline: got %v", err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := h.Notify(ctx, to("web", "dlv_1")); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: got %v", err)
		}
	})
}

func TestARequestThatTimesOutBeforeThePluginIsKnownToBeStuckIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var well atomic.Bool
		h, _ := newFakeHost(t, Config{HealthInterval: time.Hour}, map[string]func() (*fake, error){"web": func() (*fake, error) {
			f := &fake{describes: notifier("web")}
			f.health = func(ctx context.Context) error {
				if well.Load() {
					return nil
				}
				return f.lives(ctx, nil)
			}
			f.notify = func(ctx context.Context, _ sdk.Delivery) (sdk.Outcome, error) {
				return sdk.Outcome{}, f.lives(ctx, nil)
			}
			return f, nil
		}})
		running(t, h)
		notify := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := h.Notify(ctx, to("web", "dlv_1"))
			return err
		}
		held := mustBeHeld(t, notify())
		if isClosed(awake(held)) {
			t.Error("awake though the plugin answers nothing")
		}
		well.Store(true)
		time.Sleep(time.Hour)
		synctest.Wait()
		if err := notify(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a plugin that is well, but slow: got %v, want the deadline's error", err)
		}
	})
}

func TestErrorsSayWhetherTryingAgainHelps(t *testing.T) {
	var answer error
	h, _ := newFakeHost(t, Config{}, map[string]func() (*fake, error){"shop": always(&fake{
		describes: resolver("shop", "Shop", "get"),
		resolve:   func(context.Context, host.Resolution) ([]byte, error) { return nil, answer },
	})})
	running(t, h)
	plain := errors.New("database is down")
	for _, test := range []struct {
		name                         string
		answer                       error
		invalid, tooLarge, permanent bool
	}{
		{"an error of the plugin is tried again", &host.PluginError{}, false, false, false},
		{"invalid arguments", &host.PluginError{InvalidArguments: true}, true, false, false},
		{"a permanent error", &host.PluginError{Permanent: true}, false, false, true},
		{"too large", fmt.Errorf("payload of 6 MiB: %w", host.ErrTooLarge), false, true, false},
		{"any other error is tried again", plain, false, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer = test.answer
			_, err := h.Resolve(t.Context(), core.Resolution{Service: core.Service{Class: "Shop", Method: "get"}, Event: "evt_1"})
			if !core.IsInvalid(err) && !errors.Is(err, answer) {
				t.Errorf("got %v, want one that wraps %v", err, answer)
			}
			if got := core.IsInvalid(err); got != test.invalid {
				t.Errorf("invalid: got %t", got)
			}
			if got := errors.Is(err, core.ErrTooLarge); got != test.tooLarge {
				t.Errorf("too large: got %t", got)
			}
			if got := errors.Is(err, core.ErrPermanent); got != test.permanent {
				t.Errorf("permanent: got %t", got)
			}
		})
	}
}

func TestAnEventWaitsForAServiceThatNobodyOffers(t *testing.T) {
	h, _ := newFakeHost(t, Config{}, nil)
	running(t, h)
	_, err := h.Resolve(t.Context(), core.Resolution{Service: core.Service{Class: "Shop", Method: "get"}, Event: "evt_1"})
	if held := mustBeHeld(t, err); isClosed(awake(held)) {
		t.Error("awake though nobody offers it")
	}
}

func TestAnUnknownNotifierIsInvalidAndOneWithoutItsPluginWaits(t *testing.T) {
	h, _ := newFakeHost(t, Config{Notifiers: map[string]Notifier{"default": {Plugin: "http"}}},
		map[string]func() (*fake, error){"web": always(&fake{describes: notifier("web")})})
	running(t, h)
	if _, err := h.Notify(t.Context(), to("wed", "dlv_1")); !core.IsInvalid(err) {
		t.Errorf("unknown notifier: got %v, want an Invalid", err)
	}
	_, err := h.Notify(t.Context(), to("", "dlv_1"))
	mustBeHeld(t, err)
	if got := status(t, h, "http"); got.State != stateBroken || got.Config != "default" || got.Reason == "" {
		t.Errorf("got status %+v, want broken, for default, with the reason", got)
	}
}

func TestAfterCloseEverythingIsHeld(t *testing.T) {
	h, _ := newFakeHost(t, Config{}, map[string]func() (*fake, error){"web": always(&fake{describes: notifier("web")})})
	running(t, h)
	for range 2 {
		if err := h.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	_, err := h.Notify(t.Context(), to("web", "dlv_1"))
	mustBeHeld(t, err)
	if got := status(t, h, "web").State; got != stateStopped {
		t.Errorf("got state %s, want stopped", got)
	}
}

func BenchmarkNotify(b *testing.B) {
	f := &fake{describes: notifier("web"), done: make(chan struct{})}
	f.describes.MaxInFlight = 256
	d, err := describe(f.describes)
	if err != nil {
		b.Fatal(err)
	}
	w := newWorker("web", Config{RestartDelay: time.Second, HealthTimeout: time.Second})
	w.become(d, share{names: []string{"web"}})
	w.gate.open(f, 256)
	h, err := New(Config{})
	if err != nil {
		b.Fatal(err)
	}
	h.table.Store(tableOf([]*worker{w}, nil))
	n := to("web", "dlv_1")
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := h.Notify(context.Background(), n); err != nil {
				b.Fatal(err)
			}
		}
	})
}
