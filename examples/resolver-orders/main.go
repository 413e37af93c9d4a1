// Resolver-orders is the plugin "orders": it offers Magento's order repository, with a few orders inside or with those of a file.
//
// It stands where your application would: a real resolver asks a database, or the application's API. The README shows how to write one.
package main

import (
	"context"
	_ "embed" // for the orders inside
	"encoding/json"
	"fmt"
	"os"

	"github.com/postrider/postrider/sdk"
)

//go:embed orders.json
var inside []byte

// configuration is what an operator may write under plugins.orders.config.
type configuration struct {
	File string `json:"file,omitempty" jsonschema:"a JSON array of orders, read again for every event; left out: the orders inside the plugin"`
}

// repository is where the orders are.
type repository struct{ file string }

func main() {
	r := new(repository)
	sdk.ServeResolver("orders", "1.0.0",
		sdk.Configure(r.configure),
		sdk.Method(`Magento\Sales\Api\OrderRepositoryInterface`, "get", r.get, sdk.Description("Loads one order by its number.")))
}

func (r *repository) configure(_ context.Context, c configuration) error {
	r.file = c.File
	return nil
}

// getArguments are the named arguments of the service: {"id": 1}.
type getArguments struct {
	ID int `json:"id" jsonschema:"the order's entity_id, from 1"`
}

// get returns the order as it stands in the source, byte for byte.
//
// An order that isn't there is an ordinary error, which is tried again on the schedule: an application may publish its event a moment
// before it commits. An id that no order can ever have is not.
func (r *repository) get(_ context.Context, arguments getArguments) (json.RawMessage, error) {
	if arguments.ID < 1 {
		return nil, sdk.InvalidArguments("argument \"id\" is %d: orders are numbered from 1", arguments.ID)
	}
	orders, err := r.read()
	if err != nil {
		return nil, err
	}
	for _, order := range orders {
		var name struct {
			ID int `json:"entity_id"`
		}
		if err := json.Unmarshal(order, &name); err != nil {
			return nil, fmt.Errorf("an order in %s has no readable entity_id: %w", r.source(), err)
		}
		if name.ID == arguments.ID {
			return order, nil
		}
	}
	return nil, fmt.Errorf("no order %d in %s", arguments.ID, r.source())
}

// read returns all orders. The file is read each time, so that a payload is never older than its event.
func (r *repository) read() ([]json.RawMessage, error) {
	content := inside
	if r.file != "" {
		var err error
		if content, err = os.ReadFile(r.file); err != nil {
			return nil, fmt.Errorf("%w: put the orders there, or correct plugins.orders.config.file", err)
		}
	}
	var orders []json.RawMessage
	if err := json.Unmarshal(content, &orders); err != nil {
		return nil, fmt.Errorf("%s must hold a JSON array of orders: %w", r.source(), err)
	}
	return orders, nil
}

// source names where the orders come from, for messages.
func (r *repository) source() string {
	if r.file == "" {
		return "the example's own list"
	}
	return r.file
}
