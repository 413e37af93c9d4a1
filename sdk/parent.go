package sdk

import (
	"os"
	"time"
)

// parentInterval is how often a plugin looks whether its daemon is still there.
const parentInterval = 250 * time.Millisecond

// followParent ends the process when its parent has died. The kernel does the same at once where it can (see package host); this is for
// where it can't, and for plugins that a wrapper has started.
func followParent(parent int) {
	for range time.Tick(parentInterval) {
		if os.Getppid() != parent {
			os.Exit(1)
		}
	}
}
