package pluginhost

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/host"
)

func TestAPluginThatCrashesIsRestartedWithBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, plugins := newFakeHost(t, Config{}, map[string]func() (*fake, error){"web": always(&fake{describes: notifier("web")})})
		running(t, h)
		for i, delay := range []time.Duration{100, 200, 400} {
			plugins.latest("web").Kill()
			synctest.Wait()
			if got := status(t, h, "web"); got.State != stateRestarting || !strings.Contains(got.Reason, "killed") || got.PID != 0 {
				t.Errorf("after crash %d: got %+v, want restarting, the reason and no PID", i+1, got)
			}
			time.Sleep(delay*time.Millisecond - 1)
			synctest.Wait()
			if got := plugins.started("web"); got != i+1 {
				t.Errorf("before the delay after crash %d: got %d starts, want %d", i+1, got, i+1)
			}
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			if got := status(t, h, "web"); got.State != stateRunning || got.Restarts != i+1 || got.PID != 42 {
				t.Errorf("after the delay after crash %d: got %+v, want running, %d restarts", i+1, got, i+1)
			}
		}
	})
}

func TestACrashLoopIsReportedAndTriedAgainEvery30Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var healthy atomic.Bool
		healthy.Store(true)
		h, plugins := newFakeHost(t, Config{}, map[string]func() (*fake, error){"web": func() (*fake, error) {
			if healthy.Load() {
				return &fake{describes: notifier("web")}, nil
			}
			return nil, errors.New("exits at once")
		}})
		running(t, h)
		healthy.Store(false)
		plugins.latest("web").Kill()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		got := status(t, h, "web")
		if got.State != stateBroken || !strings.Contains(got.Reason, "exits at once") {
			t.Errorf("got %+v, want broken and why", got)
		}
		starts := plugins.started("web")
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if got := plugins.started("web") - starts; got != 10 {
			t.Errorf("tried %d times in 5 minutes, want 10", got)
		}
		_, err := h.Notify(t.Context(), to("web", "dlv_1"))
		woken := awake(mustBeHeld(t, err))
		healthy.Store(true)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if got := status(t, h, "web"); got.State != stateRunning || !isClosed(woken) {
			t.Errorf("once it can start: got %+v and awake %t, want running and true", got, isClosed(woken))
		}
	})
}

func TestAPluginThatAnswersNoHealthCheckIsKilledAndRestarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var started atomic.Int32
		h, plugins := newFakeHost(t, Config{}, map[string]func() (*fake, error){"web": func() (*fake, error) {
			f := &fake{describes: notifier("web")}
			stuck := started.Add(1) == 1
			f.health = func(ctx context.Context) error {
				if stuck {
					return f.lives(ctx, nil)
				}
				return nil
			}
			f.notify = func(ctx context.Context, _ sdk.Delivery) (sdk.Outcome, error) {
				if stuck {
					return sdk.Outcome{}, f.lives(ctx, nil)
				}
				return sdk.Delivered(), nil
			}
			return f, nil
		}})
		running(t, h)

		answers := make(chan error, 2)
		patient, impatient := t.Context(), context.Context(nil)
		impatient, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		defer cancel()
		for i, ctx := range []context.Context{patient, impatient} {
			go func() {
				_, err := h.Notify(ctx, to("web", "dlv_"+string(rune('a'+i))))
				answers <- err
			}()
		}
		time.Sleep(12 * time.Second)
		synctest.Wait()
		mustBeHeld(t, <-answers) // its deadline passed while the plugin was silent: not the receiver's fault
		if _, err := h.Notify(t.Context(), to("web", "dlv_c")); err == nil {
			t.Error("a plugin that doesn't answer is given more work")
		}
		time.Sleep(3*time.Second + firstDelay)
		synctest.Wait()
		held := mustBeHeld(t, <-answers)
		if got := plugins.started("web"); got != 3 {
			t.Fatalf("got %d starts, want 3: the restart, and a process for the suspects", got)
		}
		if !isClosed(awake(held)) {
			t.Error("what was in flight isn't awake though the plugin runs again")
		}
		if a, err := h.Notify(t.Context(), to("web", "dlv_a")); err != nil {
			t.Errorf("delivering again: got %+v, %v", a, err)
		}
	})
}

func TestOneUnansweredHealthCheckHoldsRequestsUntilTheNextIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var checks atomic.Int32
		h, plugins := newFakeHost(t, Config{}, map[string]func() (*fake, error){"web": always(&fake{
			describes: notifier("web"),
			health: func(ctx context.Context) error {
				if checks.Add(1) == 1 {
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			},
		})})
		running(t, h)
		time.Sleep(10*time.Second - 1)
		if _, err := h.Notify(t.Context(), to("web", "dlv_1")); err != nil {
			t.Errorf("before the check is over: %v", err)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait() // the second check follows at once
		if _, err := h.Notify(t.Context(), to("web", "dlv_1")); err != nil || plugins.started("web") != 1 {
			t.Errorf("after the second check: got error %v and %d starts, want none and 1", err, plugins.started("web"))
		}
	})
}

func TestAPluginThatSaysItIsNotWellIsReportedAndLeftRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ailment := &host.PluginError{Plugin: "web", Message: "no database"}
		var well atomic.Bool
		h, plugins := newFakeHost(t, Config{}, map[string]func() (*fake, error){"web": always(&fake{
			describes: notifier("web"),
			health: func(context.Context) error {
				if well.Load() {
					return nil
				}
				return ailment
			},
		})})
		running(t, h)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := status(t, h, "web"); got.State != stateRunning || got.Reason != ailment.Error() || plugins.started("web") != 1 {
			t.Errorf("got %+v and %d starts, want it running with its reason, started once", got, plugins.started("web"))
		}
		well.Store(true)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := status(t, h, "web"); got.Reason != "" {
			t.Errorf("when it is well again: got reason %q", got.Reason)
		}
	})
}

func TestAFileThatDescribesItselfLateIsTakenIntoService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var late atomic.Bool
		late.Store(true)
		h, _ := newFakeHost(t, Config{}, map[string]func() (*fake, error){"slow": func() (*fake, error) {
			if late.Load() {
				return nil, errors.New("didn't describe itself within 10s")
			}
			return &fake{describes: notifier("slow-web")}, nil
		}})
		running(t, h)
		if got := status(t, h, "slow"); got.State != stateBroken {
			t.Errorf("got %+v, want broken", got)
		}
		_, err := h.Notify(t.Context(), to("slow-web", "dlv_1"))
		held := mustBeHeld(t, err) // not invalid: that file may be the one
		woken := awake(held)
		late.Store(false)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if !isClosed(woken) {
			t.Error("who waited for the notifier isn't awake")
		}
		if _, err := h.Notify(t.Context(), to("slow-web", "dlv_1")); err != nil {
			t.Error(err)
		}
	})
}

func TestAPluginWhoseFileNowDescribesAnotherIsNotTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var name atomic.Value
		name.Store("web")
		h, plugins := newFakeHost(t, Config{}, map[string]func() (*fake, error){"file": func() (*fake, error) {
			return &fake{describes: notifier(name.Load().(string))}, nil
		}})
		running(t, h)
		name.Store("other")
		plugins.latest("file").Kill()
		time.Sleep(time.Second)
		synctest.Wait()
		if got := status(t, h, "web"); got.State != stateRestarting || !strings.Contains(got.Reason, `now the notifier "other"`) {
			t.Errorf("got %+v, want restarting, and what it is now", got)
		}
	})
}

func TestARestartedResolverMayOfferOtherServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var method atomic.Value
		method.Store("get")
		h, plugins := newFakeHost(t, Config{}, map[string]func() (*fake, error){
			"shop": func() (*fake, error) { return &fake{describes: resolver("shop", "Shop", method.Load().(string))}, nil },
			"crm":  always(&fake{describes: resolver("crm", "CRM", "get")}),
		})
		running(t, h)
		method.Store("list")
		plugins.latest("shop").Kill()
		time.Sleep(firstDelay)
		synctest.Wait()
		got := h.Services()
		if len(got) != 2 || got[0].String() != "CRM::get" || got[1].String() != "Shop::list" || !got[1].Up {
			t.Errorf("got services %+v, want CRM::get and Shop::list, up", got)
		}
	})
}
