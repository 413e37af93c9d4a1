package eventjson

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/core/coretest/allocations"
)

var published = []byte(`{"id":"order-1-created","event":"sales.order.created","arguments":{"note":"` + strings.Repeat("lorem ipsum ", 78) + `","id":12345}}`)

// BenchmarkRead reads one event of 1 KiB.
func BenchmarkRead(b *testing.B) {
	b.SetBytes(int64(len(published)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(published); err != nil {
			b.Fatal(err)
		}
	}
}

func TestReadingAllocatesNoMoreThanItsBudget(t *testing.T) {
	allocations.Guard(t, "eventjson: read an event", func(n int) {
		for range n {
			if _, err := Read(published); err != nil {
				t.Fatal(err)
			}
		}
	})
}
