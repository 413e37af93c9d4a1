package httpapi_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/httpapi"
)

func TestPublishesAreRefusedWhileTooMuchIsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDaemon(func(c *httpapi.Config) { c.BacklogLimit = 100 })
		publish := func() int {
			time.Sleep(time.Second) // the figure is measured anew
			return d.do("POST", "/v1/events", `{"event":"stock.item.changed","arguments":{}}`).Code
		}
		d.queue.depths = []core.Depth{{Queue: core.EventQueue, Ready: 60, Due: 1000}, {Queue: core.DeliveryQueue, Ready: 39, Due: 1000}}
		if got := publish(); got != http.StatusAccepted {
			t.Errorf("99 are waiting: got %d, want 202", got)
		}
		d.queue.depths[1].Ready = 40
		if got := publish(); got != http.StatusTooManyRequests {
			t.Errorf("100 are waiting: got %d, want 429", got)
		}
		calls := d.queue.calls
		answer := d.do("POST", "/v1/events", `{"event":"stock.item.changed","arguments":{}}`)
		problem(t, answer, http.StatusTooManyRequests, "limits.backlog")
		if answer.Header().Get("Retry-After") == "" {
			t.Error("a refused publish is not told when to come back")
		}
		if d.queue.calls != calls {
			t.Error("a refused publish reached the queue")
		}
		d.queue.depths[0].Ready = 0
		if got := publish(); got != http.StatusAccepted {
			t.Errorf("40 are waiting: got %d, want 202", got)
		}
	})
}
