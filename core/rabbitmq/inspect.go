package rabbitmq

import (
	"context"

	"github.com/postrider/postrider/core"
)

// Found is one queue of the topology, as it is on the broker.
type Found struct {
	QueueSpec
	Exists    bool // else it would be declared
	Messages  int  // that wait; those in hand don't count
	Consumers int
	Unused    bool // a delay queue that an earlier configuration needed
}

// Inspect asks the broker of c which queues of the topology exist. It declares nothing.
func Inspect(ctx context.Context, c Config) ([]Found, error) { return nil, core.ErrUnavailable }

// Purged is one delay queue that is gone.
type Purged struct {
	Queue string
	Moved int // messages that it held, which now wait elsewhere for what was left of their time
}

// PurgeDelays removes the delay queues that earlier configurations needed and c does not, after moving what they hold. A daemon may run meanwhile.
func PurgeDelays(ctx context.Context, c Config) ([]Purged, error) { return nil, core.ErrUnavailable }
