package dispatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
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

func TestEveryFailedAttemptIsALineForWhoDebugsAndTheLastOneForAll(t *testing.T) {
	for _, level := range []hclog.Level{hclog.Debug, hclog.Info} {
		synctest.Test(t, func(t *testing.T) {
			s := subscriber(1, "order.created")
			s.Token = "hidden-token"
			m := newMemory(s)
			var said bytes.Buffer
			resolved := 0
			start(t, m, plugins{
				resolve: func(context.Context, core.Resolution) ([]byte, error) {
					if resolved++; resolved == 1 {
						return nil, errors.New("the shop is closed")
					}
					return []byte(`"hidden-payload"`), nil
				},
				notify: func(context.Context, core.Notification) (core.Answer, error) { return failed() },
			}, func(c *Config) { c.Logger = hclog.New(&hclog.LoggerOptions{Output: &said, Level: level}) })
			event := publish(t, m, "evt_1", "order.created")
			pass(time.Hour)

			log, id := said.String(), core.DeliveryIDOf(event.ID, 1)
			trace := core.TraceOf(event, id, 1).ID()
			for number := 1; number <= 6; number++ {
				line, isLast := "attempt failed", number == 6
				if isLast {
					line = "delivery is dead"
				}
				found := regexp.MustCompile(fmt.Sprintf(
					`%s: delivery=%s webhook=order.created subscriber=1 attempt=%d trace=%s reason="answered 500"`, line, id, number, trace)).FindString(log)
				if (found != "") != (isLast || level == hclog.Debug) {
					t.Errorf("%v: attempt %d: got %q in\n%s", level, number, found, log)
				}
			}
			if again := strings.Count(log, "outcome=retry code=500 again=20"); again != map[hclog.Level]int{hclog.Debug: 5}[level] {
				t.Errorf("%v: %d lines say when it comes again:\n%s", level, again, log)
			}
			resolution := "event is not resolved yet: event=evt_1 webhook=order.created attempt=1 trace=" + trace
			if strings.Contains(log, resolution) != (level == hclog.Debug) {
				t.Errorf("%v: the resolution that failed: want a line %q in\n%s", level, resolution, log)
			}
			if strings.Contains(log, "hidden") {
				t.Errorf("the log shows what nobody should read:\n%s", log)
			}
		})
	}
}
