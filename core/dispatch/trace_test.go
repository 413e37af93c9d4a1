package dispatch

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/postrider/postrider/core"
)

func TestEveryCallForAnEventIsOfItsTraceAndSoIsTheLineThatSaysItIsDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(subscriber(1, "order.fresh"))
		var said bytes.Buffer
		var got, want []core.Trace
		start(t, m, plugins{
			resolve: func(_ context.Context, r core.Resolution) ([]byte, error) {
				got = append(got, r.Trace)
				return []byte("1"), nil
			},
			notify: func(_ context.Context, n core.Notification) (core.Answer, error) {
				got = append(got, n.Trace)
				return failed()
			},
		}, func(c *Config) { c.Logger = hclog.New(&hclog.LoggerOptions{Output: &said}) })
		publish(t, m, "evt_1", "order.fresh")
		pass(time.Hour)

		event, id := core.Event{ID: "evt_1"}, core.DeliveryIDOf("evt_1", 1)
		want = append(want, core.TraceOf(event, "", 1)) // the event's resolution
		for number := 1; number <= 6; number++ {
			attempt := core.TraceOf(event, id, number)
			if number > 1 {
				want = append(want, attempt) // its payload is resolved again
			}
			want = append(want, attempt)
		}
		if !slices.Equal(got, want) {
			t.Errorf("the calls have the trace contexts\n%q, want\n%q", got, want)
		}
		if trace := "trace=" + want[0].ID(); !strings.Contains(said.String(), "delivery is dead") || !strings.Contains(said.String(), trace) {
			t.Errorf("the log lacks %s:\n%s", trace, said.String())
		}
	})
}
