package pluginhost

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// skipped is a file of the plugin directory that isn't trusted.
type skipped struct {
	file   string
	why    string // what is wrong and what to do, completing the sentence "skip … : it …"
	plugin bool   // it may well be a plugin, which serves whom nobody knows
}

// companions are the endings of files that people keep beside plugins. They are no plugins and worth no warning.
var companions = map[string]struct{}{".sum": {}, ".md": {}, ".txt": {}, ".yaml": {}, ".yml": {}, ".json": {}, ".toml": {}}

// scan returns the files of the plugin directory that may be run as plugins, sorted, and those that may not, with the reason. Hidden files
// and the usual companions are left out of both. A directory that isn't there is an [fs.ErrNotExist].
func scan(dir string) (files []string, others []skipped, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("read plugin directory: %w", err)
	}
	for _, entry := range entries {
		if notPlugin(entry.Name()) {
			continue
		}
		file := filepath.Join(dir, entry.Name())
		if err := trust(file); err != nil {
			info, failed := entry.Info()
			others = append(others, skipped{file: file, why: err.Error(), plugin: failed != nil || runnable(info)})
			continue
		}
		files = append(files, file)
	}
	return files, others, nil
}

// trust says what forbids running file as a plugin, completing the sentence "it …"; nil: nothing does. A plugin is run with our rights, so nobody
// but us and root may be able to replace it.
//
// A symbolic link isn't followed: what it points to could be replaced by whoever may write to any directory on the way there, and this looks at
// one directory only. The plugin directory itself may be one.
func trust(file string) error {
	info, err := os.Lstat(file)
	if err != nil {
		return fmt.Errorf("can't be looked at: %w", err)
	}
	return trustInfo(file, info)
}

// runnable reports whether a file is one that can be executed.
func runnable(info fs.FileInfo) bool { return info.Mode().IsRegular() && info.Mode()&0o111 != 0 }

// trustInfo is trust for a file that was looked at already.
func trustInfo(file string, info fs.FileInfo) error {
	switch mode := info.Mode(); {
	case mode.IsDir():
		return errors.New("is a directory: put the plugin's executable itself into the plugin directory")
	case mode&fs.ModeSymlink != 0:
		return errors.New("is a symbolic link, which is not followed: copy the file here, or make plugin_dir name its directory")
	case !mode.IsRegular():
		return fmt.Errorf("is not a regular file (%s)", mode.Type())
	case mode&0o111 == 0:
		return fmt.Errorf("is not executable (mode %04o): chmod +x %s, if it is a plugin", mode.Perm(), file)
	}
	if err := guarded(file, info); err != nil {
		return err
	}
	dir := filepath.Dir(file)
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("is in a directory that can't be looked at: %w", err)
	}
	if err := guarded(dir, info); err != nil {
		return fmt.Errorf("is in a directory that %w", err)
	}
	return nil
}

// guarded says why others than us and root could change what is at path.
func guarded(path string, info fs.FileInfo) error {
	if info.Mode()&0o002 != 0 {
		return fmt.Errorf("is writable by everybody (mode %04o): chmod o-w %s", info.Mode().Perm(), path)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("has no owner that could be checked")
	}
	if us := os.Geteuid(); stat.Uid != 0 && int(stat.Uid) != us {
		return fmt.Errorf("belongs to user %d, who is neither root nor the user that runs Postrider (%d): chown %d %s", stat.Uid, us, us, path)
	}
	// A group of the daemon's own, with nobody else in it, is what many systems give each user.
	if info.Mode()&0o020 != 0 && stat.Gid != 0 && int(stat.Gid) != os.Getegid() {
		return fmt.Errorf("is writable by group %d (mode %04o), which is not the group that runs Postrider: chmod g-w %s", stat.Gid, info.Mode().Perm(), path)
	}
	return nil
}
