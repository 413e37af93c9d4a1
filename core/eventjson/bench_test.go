package eventjson

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/core/coretest/allocations"
)

var published = []byte(`{"id":"order-1-created","event":"sales.order.created","arguments":{"note":"` + strings.Repeat("lorem ipsum ", 78) + `","id":12345}}`)

// detailed is 1 KiB, too, of short members.
var detailed = []byte(`{"event":"sales.order.created","arguments":{"order":{"id":12345,"currency":"EUR","total":129.90,"items":[` +
	strings.Repeat(`{"sku":"AB-1234","qty":2,"price":12.5,"name":"Größe \"L\""},`, 15) + `null],"paid":true}}}`)

// BenchmarkReadDetailed reads one event of many short members.
func BenchmarkReadDetailed(b *testing.B) {
	b.SetBytes(int64(len(detailed)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(detailed); err != nil {
			b.Fatal(err)
		}
	}
}

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
