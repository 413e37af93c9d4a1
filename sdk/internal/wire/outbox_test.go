package wire

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

func TestWhatWaitsIsSentTogetherAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := NewOutbox[int]()
		for i := range 1000 {
			o.Put(i)
		}
		var got []int
		var lengths []int
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			synctest.Wait()
			o.Put(1000) // alone
			synctest.Wait()
			cancel()
		}()
		err := o.Run(ctx, func(int) int { return 1 }, func(batch []int) error {
			got = append(got, batch...)
			lengths = append(lengths, len(batch))
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if len(got) != 1001 || !slices.IsSorted(got) {
			t.Errorf("got %d items, in order: %t", len(got), slices.IsSorted(got))
		}
		if want := []int{256, 256, 256, 232, 1}; !slices.Equal(lengths, want) {
			t.Errorf("got batches of %v, want %v", lengths, want)
		}
	})
}

func TestABatchFitsAMessage(t *testing.T) {
	large := []int{MaxItem, MaxItem, 10, batchSize, 10, 10}
	var got []int
	for rest := large; len(rest) > 0; {
		n := batch(rest, func(size int) int { return size })
		got = append(got, n)
		rest = rest[n:]
	}
	if want := []int{1, 1, 1, 1, 2}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestNothingIsLostAmongManyWriters(t *testing.T) {
	o := NewOutbox[int]()
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for range 5000 {
				o.Put(1)
			}
		})
	}
	total := 0
	o.Run(ctx, func(int) int { return 1 }, func(batch []int) error { //nolint:errcheck // it ends with its context
		for _, n := range batch {
			total += n
		}
		if total == 40_000 {
			cancel()
		}
		return nil
	})
	writers.Wait()
	if total != 40_000 {
		t.Errorf("got %d", total)
	}
}
