package crew

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestEveryFunctionRunsAtOnceAndWaitWaitsForAllOfThem(t *testing.T) {
	defer goleak.VerifyNone(t)
	c := New()
	const n = 100
	var together sync.WaitGroup // none would return if any of them had to wait for another
	together.Add(n)
	var ran atomic.Int32
	for range n {
		c.Go(func() {
			together.Done()
			together.Wait()
			ran.Add(1)
		})
	}
	c.Wait()
	if ran.Load() != n {
		t.Errorf("%d of %d functions ran", ran.Load(), n)
	}
}

// idlers returns how many goroutines are idle. The runtime counts those of other tests, too, which may be about to end.
func (c *Crew) idlers() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.idle)
}

func TestGoroutinesAreKeptForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		for range 100 {
			c.Go(func() {})
			synctest.Wait() // none is at work any more: each there is is idle
			if n := c.idlers(); n != 1 {
				t.Fatalf("%d goroutines for one function at a time, want 1", n)
			}
		}
		time.Sleep(linger)
		synctest.Wait()
		if n := c.idlers(); n != 0 {
			t.Errorf("%d goroutines are kept after %s without work", n, linger)
		}
		c.Wait() // those that were dismissed have ended
	})
}

func TestEachGoroutineIsKeptForASecondOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		for _, busy := range []time.Duration{1, linger / 2, 10 * linger} { // none so short that another function finds its goroutine idle
			c.Go(func() { time.Sleep(busy) })
		}
		for _, test := range []struct {
			wait time.Duration
			idle int
		}{{linger, 2}, {1, 1}, {linger/2 - 2, 1}, {1, 0}, {9*linger + linger/2 - 1, 1}, {1, 0}} {
			time.Sleep(test.wait)
			synctest.Wait()
			if n := c.idlers(); n != test.idle {
				t.Errorf("%d goroutines are idle %s later, want %d", n, test.wait, test.idle)
			}
		}
		c.Wait() // those that were dismissed have ended
	})
}

// BenchmarkGo measures what it takes to have a function run elsewhere, among many who want that, and to hear of its end.
func BenchmarkGo(b *testing.B) {
	c := New()
	defer c.Wait()
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		done := make(chan struct{})
		f := func() { done <- struct{}{} }
		for pb.Next() {
			c.Go(f)
			<-done
		}
	})
}
