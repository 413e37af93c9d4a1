package pluginhost

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/postrider/postrider/core/spelling"
)

// SumsFile is the file of a plugin directory that says which binaries may run there. Where there is one, no other may. It is what sha256sum(1)
// writes, and `sha256sum -c plugins.sum` checks it.
const SumsFile = "plugins.sum"

// sums are the SHA-256 sums of the binaries that may run, in hexadecimal, by file name; nil: there is no list, and any may.
type sums map[string]string

// sumLine is a line of sha256sum: the sum, a space, a space or an asterisk, the name.
var sumLine = regexp.MustCompile(`^([0-9a-f]{64}) [ *]([^/\\]+)$`)

// readSums reads the list of a plugin directory. A list that others may write to is none that can be trusted: an error, as one that can't be read.
func readSums(dir string) (sums, error) {
	path := filepath.Join(dir, SumsFile)
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the list of trusted plugins: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err == nil {
		err = guarded(path, info)
	}
	if err != nil {
		return nil, fmt.Errorf("the list of trusted plugins, %s, %w", path, err)
	}
	listed := sums{}
	lines := bufio.NewScanner(file)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimRight(lines.Text(), " \t\r")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := sumLine.FindStringSubmatch(line)
		if parts == nil {
			return nil, fmt.Errorf("%s:%d: this is no line as sha256sum writes it (64 hexadecimal digits, two spaces, a file name): "+
				"correct it, or have the file written anew by `postrider plugin trust`", path, number)
		}
		listed[parts[2]] = parts[1]
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the list of trusted plugins, %s: %w", path, err)
	}
	return listed, nil
}

// check says why a file may not run, completing the sentence "it …".
func (s sums) check(name, sum string) error {
	known, ok := s[name]
	switch {
	case !ok:
		return fmt.Errorf("is not in %s: if you trust it, run `postrider plugin trust %s`", SumsFile, name)
	case known != sum:
		return fmt.Errorf("is not the file that %s lists (its sum begins with %s, the listed one with %s): if you replaced it yourself, run "+
			"`postrider plugin trust %s`", SumsFile, sum[:12], known[:12], name)
	}
	return nil
}

// Trusted is a line of the list of trusted plugins.
type Trusted struct {
	Name string // of the file
	Sum  string // SHA-256 in hexadecimal
}

// Trust writes down that the files of those names in a plugin directory may run as they are now, and leaves what the list says of others. Without
// names it writes the list anew, with every file that is fit to run. It returns the lines that it wrote of these files. What may not run for other
// reasons is an error if it is named, and left out otherwise.
func Trust(dir string, names ...string) ([]Trusted, error) {
	files, others, err := scan(dir)
	if err != nil {
		return nil, err
	}
	listed := sums{}
	if len(names) > 0 {
		known, err := readSums(dir)
		if err != nil {
			return nil, err
		}
		maps.Copy(listed, known)
		if files, err = named(dir, names, files, others); err != nil {
			return nil, err
		}
	}
	var written []Trusted
	for _, path := range files {
		one, err := sumOf(path)
		if err != nil {
			return nil, fmt.Errorf("plugin file %s %w", path, err)
		}
		listed[one.Name] = one.Sum
		written = append(written, one)
	}
	return written, listed.write(dir)
}

// named finds the files of those names, and reports all that are wrong.
func named(dir string, names, files []string, others []skipped) (found []string, err error) {
	known := make([]string, len(files))
	for i, file := range files {
		known[i] = fileName(file)
	}
	var problems []error
	for _, name := range names {
		path := filepath.Join(dir, name)
		if slices.Contains(files, path) {
			found = append(found, path)
			continue
		}
		i := slices.IndexFunc(others, func(s skipped) bool { return s.file == path })
		if i >= 0 {
			problems = append(problems, fmt.Errorf("plugin file %s %s", path, others[i].why))
			continue
		}
		problems = append(problems, fmt.Errorf("there is no plugin file %q in %s%s", name, dir, spelling.DidYouMean(name, known)))
	}
	return found, errors.Join(problems...)
}

func sumOf(path string) (Trusted, error) {
	b, err := openBinary(path, nil)
	if err != nil {
		return Trusted{}, err
	}
	defer b.close()
	name := fileName(path)
	if sumLine.FindString(strings.Repeat("0", 64)+"  "+name) == "" {
		return Trusted{}, errors.New("has a name that the list can't hold: rename it")
	}
	if err := b.verify(sums{}); b.sum == "" {
		return Trusted{}, err
	}
	return Trusted{Name: name, Sum: b.sum}, nil
}

// write makes the list of a directory appear whole or not at all.
func (s sums) write(dir string) error {
	var content bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintf(&content, "%s  %s\n", s[name], name)
	}
	f, err := os.CreateTemp(dir, "."+SumsFile+"-*")
	if err != nil {
		return fmt.Errorf("write the list of trusted plugins: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content.Bytes())
	if err := errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write the list of trusted plugins: %w", err)
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, SumsFile)); err != nil {
		return fmt.Errorf("write the list of trusted plugins: %w", err)
	}
	return nil
}
