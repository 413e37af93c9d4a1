package pluginhost

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// through returns once the request has been through the gate, and waits to be woken as often as it is held. A wake call that is lost blocks it for
// ever, which synctest reports as a deadlock.
func through(g *gate, inside func()) {
	for {
		p, held := g.enter()
		if held == nil {
			inside()
			g.leave(p)
			return
		}
		<-awake(held)
	}
}

func TestNobodyIsForgottenAtTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		defer g.stop("over")
		first := &fake{describes: notifier("web")}
		g.open(first, 3)
		var inside atomic.Int32
		var requests sync.WaitGroup
		for range 300 {
			after, takes := time.Duration(rand.IntN(100))*time.Millisecond, time.Duration(1+rand.IntN(10))*time.Millisecond
			requests.Go(func() {
				time.Sleep(after)
				through(&g, func() {
					if n := inside.Add(1); n > 3 {
						t.Errorf("%d requests are inside", n)
					}
					time.Sleep(takes)
					inside.Add(-1)
				})
			})
		}
		time.Sleep(50 * time.Millisecond)
		g.shut(first, "down")
		time.Sleep(50 * time.Millisecond)
		g.open(&fake{describes: notifier("web")}, 3)
		requests.Wait()
	})
}

func TestAGateIsIdleOnceNothingWentThroughForThatLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		p := &fake{describes: notifier("web")}
		g.open(p, 3)
		g.enter()
		time.Sleep(time.Hour)
		if g.shutIdle(time.Minute, "idle") {
			t.Error("idle though a request is inside")
		}
		g.leave(p)
		time.Sleep(time.Minute - 1)
		if g.shutIdle(time.Minute, "idle") {
			t.Error("idle before its time")
		}
		time.Sleep(time.Nanosecond)
		if !g.shutIdle(time.Minute, "idle") {
			t.Error("not idle")
		}
		if _, held := g.enter(); held == nil || held.Reason != "idle" {
			t.Errorf("got %v, want a Held with the reason", held)
		}
	})
}
