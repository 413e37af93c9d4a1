package rabbitmq

import (
	"encoding/json"
	"testing"

	"github.com/postrider/postrider/core/coretest/allocations"
)

// shopMessage is what a shop publishes: a pair, of 1 KiB.
func shopMessage() triggerMessage {
	arguments, _ := json.Marshal(string(benchArguments)) // a string always can
	return triggerMessage{contentType: "application/json", messageID: "shop-1", body: []byte(`["order.created",` + string(arguments) + `]`)}
}

// BenchmarkParseTrigger reads what a shop published.
func BenchmarkParseTrigger(b *testing.B) {
	m := shopMessage()
	b.SetBytes(int64(len(m.body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseTrigger(m); err != nil {
			b.Fatal(err)
		}
	}
}

func TestReadingATriggerAllocatesNoMoreThanItsBudget(t *testing.T) {
	m := shopMessage()
	allocations.Guard(t, "rabbitmq: read a trigger", func(n int) {
		for range n {
			if _, err := parseTrigger(m); err != nil {
				t.Fatal(err)
			}
		}
	})
}
