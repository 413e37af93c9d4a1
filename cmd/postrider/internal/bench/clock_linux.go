package bench

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// now is the machine's clock, in nanoseconds since some moment: every process reads the same, and setting the time does not move it.
func now() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // Linux always has it
	return t.Nano()
}

// sleep waits as precisely as the kernel can, about 0.1 ms. time.Sleep rounds up to the next millisecond of the network poller, which would
// be a third of the latency that is measured here.
func sleep(d time.Duration) {
	for end := time.Now().Add(d); d > 0; d = time.Until(end) {
		wait := syscall.NsecToTimespec(int64(d))
		_ = syscall.Nanosleep(&wait, nil) // a signal cuts it short: go on with what is left
	}
}
