package core_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/postrider/postrider/core"
)

func TestAllAttemptsOfAnEventAreOneTraceAndEachASpanOfItsOwn(t *testing.T) {
	form := regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-01$`) // https://www.w3.org/TR/trace-context/#traceparent-header-field-values
	spans := map[core.Trace]bool{}
	var id string
	for _, delivery := range []core.DeliveryID{"", "dlv_1", "dlv_2"} {
		for attempt := 1; attempt <= 12; attempt++ {
			trace := core.TraceOf(core.Event{ID: "evt_1"}, delivery, attempt)
			if !form.MatchString(string(trace)) || spans[trace] {
				t.Errorf("attempt %d of %q has the trace context %s", attempt, delivery, trace)
			}
			spans[trace] = true
			if id == "" {
				id = trace.ID()
			}
			if trace.ID() != id || !strings.HasPrefix(string(trace), "00-"+id+"-") {
				t.Errorf("attempt %d of %q is of trace %s, want %s", attempt, delivery, trace.ID(), id)
			}
		}
	}
	if other := core.TraceOf(core.Event{ID: "evt_2"}, "dlv_1", 1).ID(); other == id {
		t.Errorf("two events share the trace %s", other)
	}
	if core.TraceOf(core.Event{ID: "evt_1"}, "dlv_1", 12) == core.TraceOf(core.Event{ID: "evt_1"}, "dlv_11", 2) {
		t.Error("two attempts share a span")
	}
	if none := core.Trace("").ID(); none != "" {
		t.Errorf("no trace context has the id %q", none)
	}
}

func TestAPublishersTraceGoesOn(t *testing.T) {
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	own := core.TraceOf(core.Event{ID: "evt_1"}, "dlv_1", 1)
	for given, want := range map[string]string{
		"00-" + id + "-00f067aa0ba902b7-01":          "01",
		"00-" + id + "-00f067aa0ba902b7-00":          "00",
		"00-" + id + "-00f067aa0ba902b7-ff":          "01", // the one flag that this version has
		"00-" + id + "-00f067aa0ba902b7-fe":          "00",
		"cc-" + id + "-00f067aa0ba902b7-01-and-more": "01", // a later version
		"": "", "00-" + id + "-00f067aa0ba902b7-01-more": "", "ff-" + id + "-00f067aa0ba902b7-01": "", "cc-" + id + "-00f067aa0ba902b7-01more": "",
		"00-" + strings.ToUpper(id) + "-00f067aa0ba902b7-01": "", "00-00000000000000000000000000000000-00f067aa0ba902b7-01": "",
		"00-" + id + "-0000000000000000-01": "", "00-" + id + "-00f067aa0ba902b7": "", " 00-" + id + "-00f067aa0ba902b7-01": "", "trace": "",
	} {
		got := core.TraceOf(core.Event{ID: "evt_1", Trace: core.ParseTrace(given)}, "dlv_1", 1)
		expected := own
		if want != "" {
			expected = core.Trace("00-" + id + string(own[len("00-")+len(id):len(own)-2]) + want)
		}
		if got != expected {
			t.Errorf("%q: got %s, want %s", given, got, expected)
		}
	}
}

// What an attempt's trace is must outlive restarts and upgrades: deliveries wait for days.
func TestTracesStayWhatTheyAre(t *testing.T) {
	for got, want := range map[core.Trace]core.Trace{
		core.TraceOf(core.Event{ID: "evt_01KG9ZABCDEFGHJKMNPQRSTVWX"}, "dlv_01KG9ZABCDEFGHJKMNPQRSTVWX", 3): "00-0b83329c01224a0ad795b9674e353991-9385808973e0638c-01",
		core.TraceOf(core.Event{ID: "order-1-created"}, "", 1):                                              "00-02bc4c30ba8438a1829ca8595997ab79-2e2e59c86b4f227d-01",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
