package pluginhost

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestOnlyFilesThatNobodyElseCanReplaceAreRun(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, mode fs.FileMode) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil { // past the umask
			t.Fatal(err)
		}
		return file
	}
	good := write("good", 0o755)
	write("no-exec", 0o644)
	write("open", 0o777)
	write(".hidden", 0o755)
	write("README.md", 0o644)
	write("plugins.sum", 0o644)
	write("good.yaml", 0o755)
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(good, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o755); err != nil {
		t.Fatal(err)
	}
	why := map[string]string{
		"no-exec": "not executable", "open": "writable by everybody", "folder": "is a directory", "link": "symbolic link", "pipe": "not a regular file",
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(write("foreign", 0o755), 4711, 4711); err != nil {
			t.Fatal(err)
		}
		why["foreign"] = "belongs to user 4711"
		if err := os.Chown(write("shared", 0o775), 0, 4711); err != nil {
			t.Fatal(err)
		}
		why["shared"] = "writable by group 4711"
	}

	files, others, err := scan(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 1 || files[0] != good {
		t.Errorf("got files %q, want %q alone", files, good)
	}
	for _, s := range others {
		want, ok := why[filepath.Base(s.file)]
		if !ok || !strings.Contains(s.why, want) {
			t.Errorf("%s is skipped: it %s; want a reason with %q", s.file, s.why, want)
		}
		delete(why, filepath.Base(s.file))
	}
	if len(why) > 0 {
		t.Errorf("not skipped: %v", why)
	}
}

func TestNothingIsRunFromADirectoryThatEverybodyMayWriteTo(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "good"), []byte("x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o1777); err != nil {
		t.Fatal(err)
	}
	files, others, err := scan(dir)
	if err != nil || len(files) != 0 || len(others) != 1 || !strings.Contains(others[0].why, "chmod o-w "+dir) {
		t.Errorf("got files %q, others %+v, error %v; want the file skipped, and how to mend it", files, others, err)
	}
}

func TestADirectoryThatIsNotThereIsSaidToBeMissing(t *testing.T) {
	if _, _, err := scan(filepath.Join(t.TempDir(), "plugins")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want ErrNotExist", err)
	}
}

func TestSocketsOfAKilledDaemonAreRemovedAndNothingElse(t *testing.T) {
	dir := shortTempDir(t)
	for _, name := range []string{"plugin123", "notes.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := wipeSockets(dir); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "notes.txt" {
		t.Errorf("got %v, %v, want notes.txt alone", entries, err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("got mode %v, %v, want 0700", info.Mode(), err)
	}
}

func TestASocketDirectoryWithTooLongANameIsRefused(t *testing.T) {
	if err := wipeSockets("/" + strings.Repeat("x", 100)); err == nil || !strings.Contains(err.Error(), "shorter path") {
		t.Errorf("got %v, want an error that asks for a shorter path", err)
	}
}
