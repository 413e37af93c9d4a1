package pluginhost

import (
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/sdk/host"
)

// get asks for the payload of class::get.
func get(class string) core.Resolution {
	return core.Resolution{Event: "evt_1", Service: core.Service{Class: class, Method: "get"}, Arguments: json.RawMessage(`{"id":1}`)}
}

func TestServicesThatAConfigurationBringsAreOffered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, plugins := newFakeHost(t, Config{Plugins: map[string]json.RawMessage{"api": json.RawMessage(`{"offer":"Orders"}`)}},
			map[string]func() (*fake, error){"api": always(&fake{describes: empty("api"), brings: resolver("", "Orders", "get").Services})})
		running(t, h)
		if got := h.Services(); len(got) != 1 || got[0].Service != get("Orders").Service || got[0].Plugin != "api" || !got[0].Up {
			t.Fatalf("got %+v, want Orders::get", got)
		}
		if _, err := h.Resolve(t.Context(), get("Orders")); err != nil {
			t.Error(err)
		}
		var invalid *core.Invalid
		if err := h.CheckArguments(get("Orders").Service, json.RawMessage(`{"id":"x"}`)); !errors.As(err, &invalid) || !strings.Contains(err.Error(), `"id"`) {
			t.Errorf("an argument of another type: got %v", err)
		}

		plugins.latest("api").Kill()
		time.Sleep(firstDelay)
		synctest.Wait()
		if n := plugins.started("api"); n != 2 {
			t.Errorf("it was started %d times, want 2", n)
		}
		if _, err := h.Resolve(t.Context(), get("Orders")); err != nil {
			t.Errorf("after a restart: got %v", err)
		}
	})
}

// empty is a resolver that offers nothing before it is configured.
func empty(name string) host.Description {
	return host.Description{Name: name, Version: "1.0.0", Role: "resolver", MaxInFlight: 4, ConfigSchema: json.RawMessage(`{}`)}
}

func TestServicesThatTwoConfigurationsBringAreAClash(t *testing.T) {
	h, _ := newFakeHost(t, Config{}, map[string]func() (*fake, error){
		"a": always(&fake{describes: resolver("a", "A", "get"), brings: resolver("", "Orders", "get").Services}),
		"b": always(&fake{describes: resolver("b", "Orders", "get")}),
	})
	if err := h.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "service Orders::get is offered by 2 plugins") {
		t.Errorf("got %v, want the clash", err)
	}
}

func TestARestartedResolverMayBringOtherServicesButNotThoseOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var class atomic.Value
		class.Store("Orders")
		h, plugins := newFakeHost(t, Config{}, map[string]func() (*fake, error){
			"api": func() (*fake, error) {
				return &fake{describes: empty("api"), brings: resolver("", class.Load().(string), "get").Services}, nil
			},
			"shop": always(&fake{describes: resolver("shop", "Shop", "get")}),
		})
		running(t, h)

		_, err := h.Resolve(t.Context(), get("Invoices"))
		offered := awake(mustBeHeld(t, err))
		class.Store("Invoices")
		plugins.latest("api").Kill()
		time.Sleep(firstDelay)
		synctest.Wait()
		if !isClosed(offered) {
			t.Error("who waits for the new service is not woken")
		}
		if _, err := h.Resolve(t.Context(), get("Invoices")); err != nil {
			t.Errorf("the new service: got %v", err)
		}

		class.Store("Shop")
		plugins.latest("api").Kill()
		time.Sleep(2 * firstDelay)
		synctest.Wait()
		if s := status(t, h, "api"); s.State != stateRestarting || !strings.Contains(s.Reason, "service Shop::get is offered by 2 plugins") {
			t.Errorf("got %+v, want the clash as the reason why it does not run", s)
		}
		if _, err := h.Resolve(t.Context(), get("Shop")); err != nil {
			t.Errorf("the shop's own service: got %v", err)
		}
	})
}
