package pluginhost

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/postrider/postrider/sdk/host"
)

func TestAPluginThatNobodyConfiguredSaysWhatItNeeds(t *testing.T) {
	h, _ := newFakeHost(t, Config{}, map[string]func() (*fake, error){"web": always(&fake{
		describes: notifier("web"),
		configure: func(json.RawMessage) error {
			return &host.ConfigurationError{Plugin: "web", Key: "key", What: `"key" is missing`}
		},
	})})
	running(t, h)
	if s := status(t, h, "web"); s.State != stateBroken || !strings.Contains(s.Reason, "plugins.web.config") || !strings.Contains(s.Reason, `"key" is missing`) {
		t.Errorf("got %+v, want broken, and what to configure where", s)
	}
	_, err := h.Notify(t.Context(), to("web", "dlv_1"))
	mustBeHeld(t, err)
}

func TestAWrittenConfigurationThatIsRefusedStopsTheStart(t *testing.T) {
	h, plugins := newFakeHost(t, Config{
		Plugins: map[string]json.RawMessage{"web": json.RawMessage(`{"kye":1}`)},
	}, map[string]func() (*fake, error){"web": always(&fake{
		describes: notifier("web"),
		configure: func(json.RawMessage) error {
			return &host.ConfigurationError{Plugin: "web", Key: "kye", What: `there is no "kye"`}
		},
	})})
	err := h.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "plugins.web.config") || !strings.Contains(err.Error(), `there is no "kye"`) {
		t.Errorf("got %v, want an error that says what is wrong where", err)
	}
	if !isClosed(plugins.latest("web").done) {
		t.Error("the plugin still runs")
	}
}

func TestAPluginThatCannotBeConfiguredNowIsTriedAgain(t *testing.T) {
	h, _ := newFakeHost(t, Config{
		Plugins: map[string]json.RawMessage{"web": json.RawMessage(`{"key":1}`)},
	}, map[string]func() (*fake, error){"web": always(&fake{
		describes: notifier("web"), configure: func(json.RawMessage) error { return errors.New("crashed") },
	})})
	running(t, h)
	if s := status(t, h, "web"); s.State != stateRestarting || s.Reason != "crashed" {
		t.Errorf("got %+v, want restarting, and why", s)
	}
}

func TestABadEgressEntryIsRefusedByName(t *testing.T) {
	if _, err := New(Config{EgressAllow: []string{"10.0.0.0/99"}}); err == nil || !strings.Contains(err.Error(), "10.0.0.0/99") {
		t.Errorf("got %v, want an error that names the entry", err)
	}
}
