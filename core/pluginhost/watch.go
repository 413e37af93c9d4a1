package pluginhost

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/postrider/postrider/core"
)

// snapshot is all of a plugin directory that a change can be seen by: who may write to it, and each of its files. A look at a few files each second
// costs next to nothing, works on every file system, and has to be taken anyway: only by a second look is a file known to be complete.
type snapshot map[string]fingerprint

// snapshotOf looks at a plugin directory. It leaves out what [scan] does, and what can't be looked at; nil: there is no directory.
func snapshotOf(dir string) snapshot {
	info, err := os.Stat(dir)
	if err != nil {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	seen := snapshot{".": fingerprintOf(info)}
	for _, entry := range entries {
		name := entry.Name()
		if name != SumsFile && notPlugin(name) {
			continue
		}
		if info, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			seen[name] = fingerprintOf(info)
		}
	}
	return seen
}

// watchDirectory reloads until ctx ends, each time the plugin directory has changed and has stopped changing.
func (h *Host) watchDirectory(ctx context.Context) {
	ticks := time.NewTicker(h.config.WatchInterval)
	defer ticks.Stop()
	var last snapshot
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		now := snapshotOf(h.config.Dir)
		stable := maps.Equal(now, last)
		last = now
		if now == nil || !stable { // a directory that is gone may be a file system that is: nothing is stopped for that
			continue
		}
		h.reloading.Lock()
		if !maps.Equal(now, h.applied) {
			if _, err := h.reload(ctx); err != nil && ctx.Err() == nil {
				h.log.Error("the plugin directory changed, and can't be read; what runs goes on", "reason", err)
			}
		}
		h.reloading.Unlock()
	}
}

// tell logs what became of a file that changed.
func (h *Host) tell(c core.PluginChange) {
	switch c.Change {
	case core.PluginRefused:
		h.log.Warn("plugin file is not used", "file", c.File, "plugin", c.Name, "reason", c.Reason)
	case core.PluginRemoved:
		h.log.Info("plugin was taken away; what needs it waits until it is back", "file", c.File, "plugin", c.Name)
	default:
		h.log.Info("plugin was "+c.Change, "file", c.File, "plugin", c.Name)
	}
}

// notPlugin reports whether a name is that of a hidden file, or of what people keep beside plugins.
func notPlugin(name string) bool {
	_, companion := companions[filepath.Ext(name)]
	return strings.HasPrefix(name, ".") || companion
}
