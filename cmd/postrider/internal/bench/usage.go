package bench

import "time"

// Memory is what processes occupy, in bytes.
type Memory struct {
	Resident  int64 `json:"resident"`  // all of it: pages of mapped files too, which the kernel takes back when it needs them
	Anonymous int64 `json:"anonymous"` // what is theirs alone: heap and stacks
}

// consumption is what a daemon and its plugins have used so far.
type consumption struct {
	daemon, plugins       time.Duration // CPU time
	daemonNow, pluginsNow Memory
}

// between returns what was used from one reading to the next, nil where there are none.
func between(before, after *consumption, events int) *Usage {
	if before == nil || after == nil || events == 0 {
		return nil
	}
	each := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) / float64(events) }
	return &Usage{
		DaemonCPU: each(after.daemon - before.daemon), PluginsCPU: each(after.plugins - before.plugins),
		Daemon: after.daemonNow, Plugins: after.pluginsNow,
	}
}
