package bench

import (
	"context"
	"fmt"
	"strings"
	"time"
)

func idle() Scenario {
	return Scenario{
		Name: "idle", About: "memory of a daemon and three plugins that have nothing to do", Own: true,
		measure: measureIdle,
	}
}

// idlePause is how long nothing happens before memory is read: what a start needs for a moment is gone by then.
const idlePause = 3 * time.Second

func measureIdle(ctx context.Context, l *lab) error {
	if err := l.start(ctx, need{webhooks: 1, plugins: []string{"examples/resolver-orders", "examples/notifier-console"}}); err != nil {
		return err
	}
	before := usage(l.daemon.pid)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(idlePause):
	}
	l.report.Processes = between(before, usage(l.daemon.pid), 1)
	var sum int64
	var used time.Duration
	var parts []string
	for i, p := range l.report.Processes {
		sum += p.Memory.Proportional
		used += p.used - before[i].used
		parts = append(parts, fmt.Sprintf("%s %d", p.Name, p.Memory.Proportional>>20))
	}
	l.report.headline("memory in all", float64(sum), Bytes, "proportional (PSS), in MiB: "+strings.Join(parts, ", "))
	l.report.figure("CPU", used.Seconds()/idlePause.Seconds()*100, Percent, "of one processor")
	return nil
}
