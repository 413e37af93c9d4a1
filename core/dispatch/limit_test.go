package dispatch

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// TestALimitedContextEndsLikeOneWithATimeout begins calls, ends them and their parents at random, and compares each, and a child that a callee makes of it,
// with what [context.WithTimeout] makes of the same.
func TestALimitedContextEndsLikeOneWithATimeout(t *testing.T) {
	const after = 10 * time.Millisecond
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			type pair struct {
				ours           *limited
				theirs         context.Context
				child, another context.Context
				stop           func()
			}
			rng := rand.New(rand.NewPCG(seed, 0))
			l := newLimit(after)
			soon, cancel := context.WithTimeout(t.Context(), after/2) // its children end with it
			defer cancel()
			parents, ends := []context.Context{context.Background(), soon}, []func(){func() {}, func() {}}
			for range 2 {
				parent, end := context.WithCancel(t.Context())
				defer end()
				parents, ends = append(parents, parent), append(ends, end)
			}
			var calls []pair
			for step := range 60 {
				switch n := rng.IntN(12); {
				case n < 6:
					parent := parents[rng.IntN(len(parents))]
					theirs, stop := context.WithTimeout(parent, after)
					ours := l.begin(parent)
					child, cancel := context.WithCancel(ours)
					defer cancel()
					another, cancel := context.WithCancel(theirs)
					defer cancel()
					calls = append(calls, pair{ours, theirs, child, another, func() { ours.stop(); stop() }})
				case n < 8 && len(calls) > 0:
					calls[rng.IntN(len(calls))].stop()
				case n == 8 && step > 30:
					ends[rng.IntN(len(ends))]()
				default:
					time.Sleep(time.Duration(rng.IntN(8)) * time.Millisecond)
				}
				synctest.Wait()
				for i, c := range calls {
					if got, want := c.ours.Err(), c.theirs.Err(); got != want {
						t.Fatalf("seed %d, step %d, call %d: got %v, want %v", seed, step, i, got, want)
					}
					if got, want := c.child.Err(), c.another.Err(); got != want {
						t.Fatalf("seed %d, step %d, call %d: its child got %v, want %v", seed, step, i, got, want)
					}
					select {
					case <-c.ours.Done():
					default:
						if c.ours.Err() != nil {
							t.Fatalf("seed %d, step %d, call %d: it ended, and is not done", seed, step, i)
						}
					}
					got, _ := c.ours.Deadline()
					if want, _ := c.theirs.Deadline(); !got.Equal(want) {
						t.Fatalf("seed %d, call %d: got the deadline %v, want %v", seed, i, got, want)
					}
				}
			}
			for _, c := range calls {
				c.stop()
			}
			if l.oldest != nil || l.latest != nil {
				t.Errorf("seed %d: some are under way after all have ended", seed)
			}
		})
	}
}

func TestALimitForgetsParentsThatEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimit(time.Second)
		for range 10 {
			parent, end := context.WithCancel(t.Context())
			defer l.begin(parent).stop()
			end()
			synctest.Wait()
		}
		if n := len(l.watched); n != 0 {
			t.Errorf("%d of 10 are still watched", n)
		}
	})
}
