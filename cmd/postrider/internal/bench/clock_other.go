//go:build !linux

package bench

import "time"

// now is the time of day, in nanoseconds: what every process reads the same on any system. Nobody may set it meanwhile.
func now() int64 { return time.Now().UnixNano() }

func sleep(d time.Duration) { time.Sleep(d) }
