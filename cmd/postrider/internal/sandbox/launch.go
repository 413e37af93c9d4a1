package sandbox

import "runtime"

// launch starts the process and returns once it runs. The goroutine that waits for it keeps the thread that started it: on Linux the
// child is told of the death of that thread, not of the process (see processAttributes).
func (d *Daemon) launch() error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := d.command.Start()
		started <- err
		if err != nil {
			return
		}
		d.err = d.command.Wait()
		close(d.exited)
	}()
	return <-started
}
