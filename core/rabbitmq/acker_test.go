package rabbitmq

import (
	"testing"

	"pgregory.net/rapid"
)

// TestEveryDoneTagIsAcknowledgedOnceAndNoOther plays the broker, which closes the channel on an unknown tag and forgets all up to a multiple one.
func TestEveryDoneTagIsAcknowledgedOnceAndNoOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(t, "delivered")
		tags := make([]uint64, n)
		for i := range tags {
			tags[i] = uint64(i + 1)
		}
		order := rapid.Permutation(tags).Draw(t, "order")
		a := &acker{next: 1, singly: map[uint64]bool{}}
		unacked, done := map[uint64]bool{}, map[uint64]bool{}
		for _, tag := range tags {
			unacked[tag] = true
		}
		forget := func(tag uint64) {
			if !unacked[tag] {
				t.Fatalf("tag %d was acknowledged twice", tag)
			}
			if !done[tag] {
				t.Fatalf("tag %d was acknowledged and is not done", tag)
			}
			delete(unacked, tag)
		}
		for len(order) > 0 {
			some := rapid.IntRange(1, len(order)).Draw(t, "some")
			batch := append([]uint64(nil), order[:some]...)
			for _, tag := range batch {
				done[tag] = true
			}
			prefix, rest := a.plan(batch)
			if prefix != 0 && !unacked[prefix] {
				t.Fatalf("tag %d, which is not known any more, was acknowledged", prefix)
			}
			for tag := uint64(1); tag <= prefix; tag++ {
				if unacked[tag] {
					forget(tag)
				}
			}
			for _, tag := range rest {
				forget(tag)
			}
			order = order[some:]
		}
		if len(unacked) > 0 || len(a.singly) > 0 || a.next != uint64(n+1) {
			t.Fatalf("left: %v, singly %v, next %d", unacked, a.singly, a.next)
		}
	})
}
