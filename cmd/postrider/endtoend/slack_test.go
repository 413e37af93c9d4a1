package endtoend

import (
	"strings"
	"testing"
)

// The schedule has no retries: an attempt that was counted would be a dead letter.
func TestABurstToSlackIsSpreadAndNoneOfItCostsARetry(t *testing.T) {
	t.Parallel()
	const burst = 80 // 20 s of turns: most of them are too far off to be waited for in the plugin
	in := install(t, "retry: {schedule: quadratic, max_retries: 0}", "notifiers: {fast: {plugin: slack, config: {every: 250ms}}}")
	in.ownPlugins("notifier-http")
	in.installPlugin(built(t, "plugins/notifier-slack"), "notifier-slack")
	d := in.serve()
	r := receive(t, always(200))
	if status, body := d.call("POST", "/v1/subscribers", map[string]any{"event": "stock.item.changed", "notifier": "fast", "url": r.URL}); status != 201 {
		t.Fatalf("subscribe: %d %s", status, body)
	}
	events := strings.Repeat(`,{"event":"stock.item.changed"}`, burst)
	if status, body := d.call("POST", "/v1/events", "["+events[1:]+"]"); status != 202 {
		t.Fatalf("publish: %d %s", status, body)
	}

	type deadLetter struct{ Reason string }
	var delivered []delivery
	waitFor(t, 3*patience, "everything is delivered", func() bool {
		if dead := get[page[deadLetter]](d, "/v1/dead-letters").Items; len(dead) > 0 {
			t.Fatalf("%d deliveries are dead: %+v", len(dead), dead[0])
		}
		delivered = get[page[delivery]](d, "/v1/deliveries?state=delivered&limit=1000").Items
		return len(delivered) == burst
	})
	if n := len(r.all()); n != burst {
		t.Errorf("Slack got %d messages, want %d", n, burst)
	}
	putOff := 0
	for _, one := range delivered {
		attempts := get[delivery](d, "/v1/deliveries/"+one.ID).Attempts
		for _, a := range attempts[:len(attempts)-1] {
			if a.Outcome != "retry" || a.StatusCode != 0 {
				t.Errorf("attempt %d of %s is no deferral: %+v", a.Number, one.ID, a)
			}
			putOff++
		}
	}
	if putOff == 0 {
		t.Error("nothing was put off: the burst shows nothing")
	}
	t.Logf("%d attempts of %d deliveries were put off", putOff, burst)
	d.stop()
}
