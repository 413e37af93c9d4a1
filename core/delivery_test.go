package core

import (
	"strings"
	"testing"
)

func TestADeliveryTakesOverTheTimeOfAnEventIDThatPostriderMade(t *testing.T) {
	for _, test := range []struct {
		event EventID
		taken bool
	}{
		{"evt_01M84QGFKY7W5JC1ERFEBM5Z7K", true},
		{"evt_01M84QGFKY7W5JC1ERFEBM5Z7", false},
		{"01M84QGFKY7W5JC1ERFEBM5Z7KKKKK", false},
		{"evt_01m84qgfky7w5jc1erfebm5z7k", false},
		{"evt_01M84QGFKI7W5JC1ERFEBM5Z7K", false},
		{"evt_01M84../../%2e%2e/BM5Z7KKKK", false},
		{"evt_01M84/./..7W5JC1ERFEBM5Z7K", false},
		{"evt_01M84QGFKY7W5JC1E%FEBM5Z7K", false},
		{"evt_00000000000000000000000042", false}, // a publisher's own number
		{"evt_ZZZZZZZZZZZZZZZZZZZZZZZZZZ", false}, // no time at all
	} {
		id := string(DeliveryIDOf(test.event, 7))
		start := strings.TrimPrefix(id, deliveryPrefix)[:ulidTimeLength]
		if taken := strings.HasPrefix(string(test.event), eventPrefix+start); taken != test.taken {
			t.Errorf("delivery of event %s: got %s, want the time taken over: %v", test.event, id, test.taken)
		}
		if len(id) != len(deliveryPrefix)+ulidLength || !isCrockford(strings.TrimPrefix(id, deliveryPrefix)) {
			t.Errorf("delivery of event %s: got %s, want %s and 26 characters of Crockford's alphabet", test.event, id, deliveryPrefix)
		}
	}
}

func TestDeliveriesKeepTheirIDsForEver(t *testing.T) {
	for event, want := range map[EventID]DeliveryID{
		"evt_01M84QGFKY7W5JC1ERFEBM5Z7K": "dlv_01M84QGFKY4S7MJX4KDF3W74VJ",
		"order-17":                       "dlv_SQPDV9AWX40Z5EM7TBMCEPSYKP",
		EventID(strings.Repeat("a-very-long-id-", 9)): "dlv_6GCF1PSK9ES1351J0Q6BGWQ5JR",
	} {
		if got := DeliveryIDOf(event, 7); got != want {
			t.Errorf("delivery of event %s: got %s, want %s: the log has it, and receivers know it", event, got, want)
		}
	}
}
