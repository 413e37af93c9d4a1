package main

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestEachOfABurstHasATurnOfItsOwnAndNoneIsMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const every, burst = time.Second, 20 // four times as many as may wait here
		l, began := newLines(every), time.Now()
		var mu sync.Mutex
		var turns []time.Duration
		var group sync.WaitGroup
		for i := range burst {
			group.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				wait, mine := l.await(ctx, "https://hooks.example/1", string(rune('A'+i)))
				if !mine {
					time.Sleep(wait)
					if _, mine = l.await(ctx, "https://hooks.example/1", string(rune('A'+i))); !mine {
						t.Errorf("delivery %c came when it was told to, and it was not its turn", 'A'+i)
					}
				}
				mu.Lock()
				defer mu.Unlock()
				turns = append(turns, time.Since(began))
			})
		}
		group.Wait()
		slices.Sort(turns)
		for i, turn := range turns {
			if want := time.Duration(i) * every; turn != want {
				t.Errorf("turn %d was at %v, want %v", i, turn, want)
			}
		}
	})
}

func TestTurnsAreKeptGivenUpAndForgotten(t *testing.T) {
	l, now := newLines(time.Second), time.Now()
	enter := func(delivery string, after time.Duration) (time.Duration, bool) {
		return l.enter("https://hooks.example/1", delivery, 2*time.Second, now.Add(after))
	}
	want := func(delivery string, after, wait time.Duration, mine bool) {
		t.Helper()
		if got, ok := enter(delivery, after); got != wait || ok != mine {
			t.Errorf("%s after %v: got %v, %t, want %v, %t", delivery, after, got, ok, wait, mine)
		}
	}
	for i, name := range []string{"a", "b", "c"} {
		want(name, 0, time.Duration(i)*time.Second, true)
	}
	want("d", 0, 3*time.Second, false)
	want("e", 0, 4*time.Second, false)
	want("d", 3*time.Second, 0, true)                             // its turn was kept
	want("e", 2500*time.Millisecond, 1500*time.Millisecond, true) // it came a little early
	want("f", 2500*time.Millisecond, 2500*time.Millisecond, false)
	want("f", 20*time.Second, 0, true) // it missed its turn, and nobody else is there
	for i := range 3600 {
		enter(string(rune(1000+i)), 20*time.Second)
	}
	if wait, ok := enter("g", 20*time.Second); wait != horizon || ok {
		t.Errorf("beyond what is given: got %v, %t", wait, ok)
	}
	if n := len(l.of("https://hooks.example/1").promised); n > 3600 {
		t.Errorf("%d turns are promised", n)
	}
	l.enter("https://hooks.example/2", "h", 0, now.Add(3*time.Hour))
	if n := len(l.lines); n != 1 {
		t.Errorf("%d lines are remembered, want the one that is in use", n)
	}
}
