package pluginhost

import (
	"context"
	"encoding/json"

	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/host"
)

// process is what a worker needs of one running plugin. A [*host.Process] is one; see there for what the methods promise.
type process interface {
	Description() host.Description
	Configure(ctx context.Context, configuration json.RawMessage, egressAllow []string) error
	Resolve(ctx context.Context, r host.Resolution) ([]byte, error)
	Notify(ctx context.Context, d sdk.Delivery) (sdk.Outcome, error)
	Health(ctx context.Context) error
	Done() <-chan struct{}
	Err() error
	PID() int
	Memory() (int64, error)
	Close(ctx context.Context) error
	Kill()
}

// launcher starts the plugin in a file, within limits. It returns once the plugin has described itself.
type launcher func(ctx context.Context, b *binary, limits host.Limits) (process, error)
