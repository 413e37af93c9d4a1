package pluginhost

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/core"
)

// through returns once the request has been through the gate, and waits to be woken as often as it is held. A wake call that is lost blocks it for
// ever, which synctest reports as a deadlock.
func through(ctx context.Context, g *gate, alone bool, inside func()) {
	for {
		enter, leave := g.enter, g.leave
		started := time.Now()
		if alone {
			enter = func() (process, *core.Held) { return g.enterAlone(ctx) }
			leave = func() { g.leaveAlone(time.Since(started)) }
		}
		_, held := enter()
		if held == nil {
			started = time.Now()
			inside()
			leave()
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
		var inside, alone atomic.Int32
		var requests sync.WaitGroup
		for i := range 300 {
			suspect := i%5 == 0
			after, takes := time.Duration(rand.IntN(100))*time.Millisecond, time.Duration(1+rand.IntN(10))*time.Millisecond
			requests.Go(func() {
				time.Sleep(after)
				through(t.Context(), &g, suspect, func() {
					n := inside.Add(1)
					if suspect {
						alone.Add(1)
					}
					if n > 3 || alone.Load() > 0 && n > 1 {
						t.Errorf("%d requests are inside, %d of them alone", n, alone.Load())
					}
					time.Sleep(takes)
					if suspect {
						alone.Add(-1)
					}
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

func TestSuspectsLeaveTheOthersHalfOfTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		defer g.stop("over")
		g.open(&fake{describes: notifier("web")}, 3)
		ctx, cancel := context.WithCancel(t.Context())
		var suspectTime, othersTime time.Duration // of one request at a time each
		var requests sync.WaitGroup
		requests.Go(func() {
			for ctx.Err() == nil {
				through(ctx, &g, true, func() { time.Sleep(time.Second); suspectTime += time.Second })
			}
		})
		requests.Go(func() {
			for ctx.Err() == nil {
				through(ctx, &g, false, func() { time.Sleep(10 * time.Millisecond); othersTime += 10 * time.Millisecond })
			}
		})
		time.Sleep(100 * time.Second)
		cancel()
		requests.Wait()
		if share := othersTime.Seconds() / (othersTime + suspectTime).Seconds(); share < 0.45 || share > 0.55 {
			t.Errorf("the others got %.0f %% of the time, want about half", 100*share)
		}
	})
}

func TestASuspectWhoseCallerGivesUpLetsTheOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		defer g.stop("over")
		g.open(&fake{describes: notifier("web")}, 3)
		if _, held := g.enter(); held != nil {
			t.Fatal(held)
		}
		ctx, cancel := context.WithCancel(t.Context())
		gaveUp := make(chan struct{})
		go func() {
			defer close(gaveUp)
			if _, held := g.enterAlone(ctx); held == nil {
				t.Error("a suspect entered though another request is in flight")
			}
		}()
		synctest.Wait()
		_, held := g.enter()
		if held == nil {
			t.Fatal("a request entered though a suspect waits to be alone")
		}
		woken := awake(held)
		cancel()
		<-gaveUp
		if !isClosed(woken) {
			t.Error("the other request isn't awake")
		}
		if _, held := g.enter(); held != nil {
			t.Error(held)
		}
	})
}

func TestASuspectThatWaitsIsHeldWhenTheProcessGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		p := &fake{describes: notifier("web")}
		g.open(p, 3)
		g.enter()
		result := make(chan *core.Held, 1)
		go func() {
			_, held := g.enterAlone(t.Context())
			result <- held
		}()
		synctest.Wait()
		g.shut(p, "it went down")
		held := <-result
		if held == nil || held.Reason != "it went down" {
			t.Fatalf("got %v, want a Held with the reason", held)
		}
		woken := awake(held)
		g.leave()
		g.open(&fake{describes: notifier("web")}, 3)
		if !isClosed(woken) {
			t.Error("not awake though a process runs")
		}
	})
}
