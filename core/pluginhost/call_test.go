package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/host"
)

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
		well.Store(true)
		<-awake(held)
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
