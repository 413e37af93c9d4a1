package core_test

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/core"
)

func TestAPublisherMayChooseAnyPrintableIDButADeliverys(t *testing.T) {
	for id, ok := range map[core.EventID]bool{
		"1":              true,
		"order/17?\"x\"": true,
		"evt_":           true,
		"my_dlv_1":       true,
		core.EventID(strings.Repeat("x", core.MaxEventIDLength)): true,
		"": false,
		core.EventID(strings.Repeat("x", core.MaxEventIDLength+1)): false,
		"a b":  false,
		"a\n":  false,
		"ä":    false,
		"dlv_": false,
		core.EventID(core.DeliveryIDOf("order-17", 1)): false, // its dead letter would take the place of the delivery's
	} {
		if err := id.Check(); (err == nil) != ok || err != nil && !core.IsInvalid(err) {
			t.Errorf("%q: got %v", string(id), err)
		}
	}
}
